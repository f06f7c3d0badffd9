/**
 * Whether an answer is what a prompt of an evaluation set expects. Letter case and white space never decide. An operator's pattern meets at most 4,096
 * characters of an answer, because a node may have written it to take long.
 */
import type { Check, Expectation, JsonKind } from "../schemas/Quality.ts"
import { jsonWithin, kindOf, normal } from "./AnswerText.ts"

const SEARCHED_MAX = 4096

export interface Judgement {
  readonly checks: ReadonlyArray<Check>
  /** The share of checks that held. */
  readonly score: number
  readonly passed: boolean
}

export const judge = (expect: ReadonlyArray<Expectation>, answer: string): Judgement => {
  const checks = expect.map((expectation) => ({ check: expectation.kind, ok: holds(expectation, answer) }))
  const held = checks.filter(({ ok }) => ok).length
  return { checks, score: checks.length === 0 ? 0 : held / checks.length, passed: held === checks.length && held > 0 }
}

const holds = (expectation: Expectation, answer: string): boolean => {
  switch (expectation.kind) {
    case "exact":
      return normal(answer) === normal(expectation.text)
    case "contains": {
      const said = normal(answer)
      return expectation.all.every((text) => said.includes(normal(text)))
    }
    case "regex":
      return new RegExp(expectation.pattern, "iu").test(answer.slice(0, SEARCHED_MAX))
    case "json":
      return hasFields(jsonWithin(answer), expectation.required)
    case "length":
      return answer.length >= expectation.min && answer.length <= expectation.max
  }
}

const hasFields = (value: unknown, required: Readonly<Record<string, JsonKind>>): boolean =>
  kindOf(value) === "object" &&
  Object.entries(required).every(
    ([field, kind]) =>
      Object.hasOwn(value as object, field) && kindOf((value as Record<string, unknown>)[field]) === kind
  )

/** Whether a model is meant by a set's pattern: `*` stands for anything, everything else for itself. */
export const isMeant = (pattern: string, model: string): boolean => {
  const [first = "", ...rest] = pattern.split("*")
  const last = rest.pop()
  if (last === undefined) return model === pattern
  if (!model.startsWith(first) || model.length < first.length + last.length || !model.endsWith(last)) return false
  let at = first.length
  for (const part of rest) {
    const found = model.indexOf(part, at)
    if (found < 0 || found + part.length > model.length - last.length) return false
    at = found + part.length
  }
  return true
}
