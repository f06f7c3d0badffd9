/**
 * JSON with one spelling: keys sorted by code unit, no spaces. Two equal values give the same bytes, so hashes
 * and signatures over it agree between a node and a daemon.
 */
import type * as Schema from "effect/Schema"

export const canonicalJson = (value: Schema.Json): string => {
  if (value === null || typeof value !== "object") return JSON.stringify(value)
  // Text is put together piece by piece, because archives are made of this: lists of lists in between cost twice the time.
  let text = ""
  if (isArray(value)) {
    for (const each of value) text += `${text === "" ? "" : ","}${canonicalJson(each)}`
    return `[${text}]`
  }
  const keys = Object.keys(value)
  for (const key of keys.length > 1 ? keys.toSorted() : keys) {
    text += `${text === "" ? "" : ","}${JSON.stringify(key)}:${canonicalJson(value[key] ?? null)}`
  }
  return `{${text}}`
}

const isArray = (value: Schema.Json): value is Schema.JsonArray => Array.isArray(value)
