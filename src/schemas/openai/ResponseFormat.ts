/**
 * Which JSON schemas a client may ask the answer to follow. The runtime of a contributor compiles them, so what could make it fetch, loop
 * or backtrack for ever is refused: references out of the document, references that come back to themselves, nested repetition in patterns.
 */
import type * as Schema from "effect/Schema"

const NODES_MAX = 5_000
const PATTERN_MAX = 256

interface Survey {
  nodes: number
  problem: string | null
  /** Definition (or "#" for what stands outside of all) → the definitions it refers to. */
  readonly references: Map<string, Set<string>>
}

/** What is wrong with it in a few words, or null. Depth is bounded for the whole body before. */
export const responseFormatProblem = (schema: Schema.JsonObject): string | null => {
  const survey: Survey = { nodes: 0, problem: null, references: new Map() }
  visit(schema, "#", [], survey)
  if (survey.problem !== null) return survey.problem
  return isCyclic(survey.references) ? "refers back to itself" : null
}

const DEFINITION = /^#\/(?:\$defs|definitions)\/([^/]+)$/

const visit = (value: Schema.Json, within: string, path: ReadonlyArray<string>, survey: Survey): void => {
  if (survey.problem !== null || typeof value !== "object" || value === null) return
  survey.nodes += 1
  if (survey.nodes > NODES_MAX) return void (survey.problem = `has more than ${NODES_MAX} parts`)
  for (const [key, member] of Object.entries(value)) {
    if (key === "$ref" && typeof member === "string") refer(member, within, survey)
    else if (key === "pattern" && typeof member === "string") checkPattern(member, survey)
    else visit(member, definitionAt([...path, key]) ?? within, [...path, key], survey)
  }
}

const definitionAt = (path: ReadonlyArray<string>): string | undefined =>
  path.length === 2 && (path[0] === "$defs" || path[0] === "definitions") ? path[1] : undefined

const refer = (reference: string, within: string, survey: Survey): void => {
  if (!reference.startsWith("#")) return void (survey.problem = "may refer to its own definitions only")
  const target = DEFINITION.exec(reference)?.[1]
  if (target === undefined) return void (survey.problem = "may refer to entries of $defs only")
  const known = survey.references.get(within)
  if (known === undefined) survey.references.set(within, new Set([target]))
  else known.add(target)
}

/** A group with a repetition in it that is itself repeated: `(a+)+`. */
const NESTED_REPETITION = /\([^()]*[+*}][^()]*\)[+*{]/

const checkPattern = (pattern: string, survey: Survey): void => {
  if (pattern.length > PATTERN_MAX) survey.problem = `has a pattern of more than ${PATTERN_MAX} characters`
  else if (NESTED_REPETITION.test(pattern)) survey.problem = "has a pattern with a repetition within a repetition"
}

const isCyclic = (references: ReadonlyMap<string, ReadonlySet<string>>): boolean => {
  const done = new Set<string>()
  const open = new Set<string>()
  const comesBack = (name: string): boolean => {
    if (open.has(name)) return true
    if (done.has(name)) return false
    open.add(name)
    const found = [...(references.get(name) ?? [])].some(comesBack)
    open.delete(name)
    done.add(name)
    return found
  }
  return [...references.keys()].some(comesBack)
}
