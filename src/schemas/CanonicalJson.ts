/**
 * JSON with one spelling: keys sorted by code unit, no spaces. Two equal values give the same bytes, so hashes
 * and signatures over it agree between a node and a daemon.
 */
import type * as Schema from "effect/Schema"

export const canonicalJson = (value: Schema.Json): string => {
  if (value === null || typeof value !== "object") return JSON.stringify(value)
  if (isArray(value)) return `[${value.map(canonicalJson).join(",")}]`
  const fields = Object.keys(value)
    .toSorted()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key] ?? null)}`)
  return `{${fields.join(",")}}`
}

const isArray = (value: Schema.Json): value is Schema.JsonArray => Array.isArray(value)
