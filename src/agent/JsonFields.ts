/**
 * Looking into JSON that another program made, without believing that it has any shape.
 */
import type * as Schema from "effect/Schema"

/** The value of this text, or undefined when it is no JSON. */
export const parsed = (text: string): Schema.Json | undefined => {
  try {
    return JSON.parse(text) as Schema.Json
  } catch {
    return undefined
  }
}

/** The value as an object, or null when it is none. */
export const fieldsOf = (value: Schema.Json | undefined): Schema.JsonObject | null =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Schema.JsonObject) : null

/** The value as an array; anything else is an empty one. */
export const listOf = (value: Schema.Json | undefined): ReadonlyArray<Schema.Json> =>
  Array.isArray(value) ? (value as ReadonlyArray<Schema.Json>) : []
