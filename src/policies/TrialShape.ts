/**
 * What a trial looks like from outside: the shape of a customer's request with the trial's own text in it. Of the customer's request only names of fields,
 * their order, numbers and switches are taken, never a text. A node sees fields that customers send, with values that customers send.
 */
import type * as Schema from "effect/Schema"

/** Fields that tell how to answer and hold no text. What they hold must be a number or a switch to be taken. */
const SHAPE_FIELDS: ReadonlySet<string> = new Set([
  "max_tokens",
  "max_completion_tokens",
  "temperature",
  "top_p",
  "frequency_penalty",
  "presence_penalty",
  "seed",
  "stream"
])
const BOUNDS = ["max_completion_tokens", "max_tokens"] as const
const TEXT_FIELDS = { chat: "messages", completions: "prompt" } as const

export type TrialEndpoint = keyof typeof TEXT_FIELDS

export interface Asking {
  readonly text: string
  /** Output tokens without which no good answer can be expected. */
  readonly tokensMin: number
}

/** The request of a customer with this text instead of his; null when it has no such text. */
export const shapedLike = (
  request: Schema.Json,
  endpoint: TrialEndpoint,
  { text }: Asking
): Schema.JsonObject | null => {
  if (typeof request !== "object" || request === null || Array.isArray(request)) return null
  const shaped: Record<string, Schema.Json> = {}
  for (const [field, value] of Object.entries(request as Schema.JsonObject)) {
    if (field === "model") shaped[field] = ""
    else if (field === TEXT_FIELDS[endpoint]) shaped[field] = textIn(endpoint, text)
    else if (SHAPE_FIELDS.has(field) && (typeof value === "number" || typeof value === "boolean")) shaped[field] = value
  }
  return shaped[TEXT_FIELDS[endpoint]] === undefined || shaped["model"] === undefined ? null : shaped
}

/** Whether it leaves room for a good answer. */
export const fits = (request: Schema.JsonObject | null, { tokensMin }: Asking): boolean =>
  request !== null && (boundOf(request) ?? tokensMin) >= tokensMin

/** The same with room for a good answer. */
export const roomier = (request: Schema.JsonObject, { tokensMin }: Asking): Schema.JsonObject =>
  Object.fromEntries(
    Object.entries(request).map(([field, value]) => {
      const isTight = BOUNDS.some((bound) => bound === field) && typeof value === "number" && value < tokensMin
      return [field, isTight ? tokensMin : value]
    })
  )

/** Where no customer has asked for the model yet, there is nobody to look like. */
export const plainShape = (endpoint: TrialEndpoint, { text, tokensMin }: Asking): Schema.JsonObject => ({
  model: "",
  [TEXT_FIELDS[endpoint]]: textIn(endpoint, text),
  max_tokens: Math.max(256, tokensMin)
})

const textIn = (endpoint: TrialEndpoint, text: string): Schema.Json =>
  endpoint === "chat" ? [{ role: "user", content: text }] : text

/** Output tokens that a request asks for; null when it says none. */
export const boundOf = (request: Schema.JsonObject): number | null => {
  for (const field of BOUNDS) {
    const value = request[field]
    if (typeof value === "number") return value
  }
  return null
}

/** Whether the same request should give the same answer again. */
export const isRepeatable = (request: Schema.Json): boolean =>
  typeof request === "object" &&
  request !== null &&
  !Array.isArray(request) &&
  (request as Schema.JsonObject)["temperature"] === 0 &&
  ((request as Schema.JsonObject)["n"] ?? 1) === 1

/** The chance that something which happens so often an hour happens within this time: without memory, so that nobody can foresee it. */
export const chanceWithin = (perHour: number, ms: number): number =>
  1 - Math.exp((-perHour * Math.max(0, ms)) / 3_600_000)
