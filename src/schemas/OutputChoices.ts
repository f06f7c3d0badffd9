/**
 * Numbered pieces joined to whole answers, one for each choice: text is appended, tool calls are merged by their index as OpenAI's deltas
 * mean it, lists grow, other strings are appended, everything else (a vector too) is replaced by what came last.
 */
import type * as Schema from "effect/Schema"
import type { OutputChoice } from "./JobRecord.ts"
import type { TokenEvent } from "./TokenEvent.ts"

type Fields = Record<string, Schema.Json>

interface Growing {
  readonly texts: Array<string>
  extra: Fields | undefined
  finish: TokenEvent["finish"] | null
}

/** In the order of the choices' numbers. */
export const joinChoices = (
  events: Iterable<Pick<TokenEvent, "choice" | "text" | "extra" | "finish">>
): ReadonlyArray<OutputChoice> => {
  const choices = new Map<number, Growing>()
  for (const event of events) {
    let growing = choices.get(event.choice)
    if (growing === undefined) choices.set(event.choice, (growing = { texts: [], extra: undefined, finish: null }))
    if (event.text !== "") growing.texts.push(event.text)
    if (event.extra !== undefined) growing.extra = mergeFields(growing.extra ?? {}, event.extra)
    if (event.finish !== undefined) growing.finish = event.finish
  }
  return [...choices]
    .toSorted(([a], [b]) => a - b)
    .map(([choice, { texts, extra, finish }]) => ({
      choice,
      text: texts.join(""),
      ...(extra === undefined ? {} : { extra }),
      finish: finish ?? null
    }))
}

/** Text that names what it is: said once, never appended. */
const CONSTANT = new Set(["id", "type", "name", "role"])

const mergeFields = (into: Fields, delta: Readonly<Record<string, Schema.Json>>): Fields => {
  const merged: Fields = { ...into }
  for (const [key, value] of Object.entries(delta)) merged[key] = mergeValue(key, merged[key], value)
  return merged
}

const mergeValue = (key: string, old: Schema.Json | undefined, value: Schema.Json): Schema.Json => {
  // A vector comes whole; a second one for its input is the same one again.
  if (key === "embedding") return value
  if (old === undefined || old === null) return isList(value) && key === "tool_calls" ? byIndex([], value) : value
  if (typeof old === "string" && typeof value === "string") return CONSTANT.has(key) ? value : old + value
  if (isList(old) && isList(value)) return key === "tool_calls" ? byIndex(old, value) : [...old, ...value]
  if (isFields(old) && isFields(value)) return mergeFields(old, value)
  return value
}

const byIndex = (old: Schema.JsonArray, deltas: Schema.JsonArray): Schema.JsonArray => {
  const calls = [...old]
  for (const delta of deltas) {
    const index = isFields(delta) && typeof delta["index"] === "number" ? delta["index"] : calls.length
    const at = calls.findIndex((call) => isFields(call) && call["index"] === index)
    if (at === -1) calls.push(isFields(delta) ? { ...delta, index } : delta)
    else calls[at] = mergeValue("", calls[at], delta)
  }
  return calls
}

const isList = (value: Schema.Json): value is Schema.JsonArray => Array.isArray(value)
const isFields = (value: Schema.Json): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)
