/**
 * What of a JSON value may be told to whoever may not see everything: figures, truths and a few words of our own. Other texts are left out, because
 * they may hold what a customer wrote, or name a node.
 */
import type * as Schema from "effect/Schema"

/** Fields whose texts are this house's own words, written by no customer and no node, and what these look like. */
const CODE = /^[a-z][a-z0-9_]{0,63}$/
const OWN_WORDS: ReadonlyMap<string, RegExp> = new Map([
  ["code", CODE],
  ["disabledFor", CODE],
  ["segmentId", CODE],
  ["why", /^[A-Za-z0-9 ,.:_-]{1,200}$/]
])
const DEPTH_MAX = 4
const MEMBERS_MAX = 50

/** What of a value may go out; undefined: nothing. */
const kept = (value: Schema.Json, name: string, depth: number): Schema.Json | undefined => {
  if (value === null || typeof value === "boolean" || typeof value === "number") return value
  if (typeof value === "string") return OWN_WORDS.get(name)?.test(value) === true ? value : undefined
  if (depth >= DEPTH_MAX) return undefined
  if (Array.isArray(value)) {
    return value.slice(0, MEMBERS_MAX).flatMap((member: Schema.Json) => {
      const inner = kept(member, name, depth + 1)
      return inner === undefined ? [] : [inner]
    })
  }
  return Object.fromEntries(
    Object.entries(value)
      // A name that is no word of a program may itself be what a customer wrote.
      .filter(([member]) => /^[a-z][A-Za-z0-9]{0,31}$/.test(member))
      .slice(0, MEMBERS_MAX)
      .flatMap(([member, inner]) => {
        const outer = kept(inner, member, depth + 1)
        return outer === undefined ? [] : [[member, outer]]
      })
  )
}

export const outward = (value: Schema.Json): Schema.Json => kept(value, "", 0) ?? null
