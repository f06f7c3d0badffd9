/**
 * What of a job is text that somebody wrote, and whether it holds a word. Letters match in either case, anywhere in a text. Names of fields, roles and
 * ids are no text, and neither are pictures, sounds and vectors.
 */
import type * as Schema from "effect/Schema"
import type { Output } from "./JobRecord.ts"

/** Fields of a request in which a person or a program speaks to the model. */
const SPOKEN = ["messages", "prompt", "input", "suffix"] as const
/** Below those: what stands there is no text to read. */
const MUTE: ReadonlySet<string> = new Set(["role", "type", "id", "name", "image_url", "input_audio", "embedding"])

/** Lower case, and one sigma for both: how a letter is folded does not depend on what stands beside it. */
export const fold = (text: string): string => text.toLowerCase().replaceAll("ς", "σ")

const holds = (value: unknown, folded: string): boolean => {
  if (typeof value === "string") return fold(value).includes(folded)
  if (typeof value !== "object" || value === null) return false
  if (Array.isArray(value)) return value.some((item) => holds(item, folded))
  return Object.entries(value).some(([name, item]) => !MUTE.has(name) && holds(item, folded))
}

/** Whether a request says it. `folded` went through `fold`. */
export const requestHolds = (request: Schema.Json | null, folded: string): boolean => {
  if (typeof request !== "object" || request === null || Array.isArray(request)) return false
  const fields = request as Schema.JsonObject
  // A native submission carries the body that OpenAI knows as its `input`.
  return SPOKEN.some((name) => {
    const said = fields[name]
    return name === "input" && typeof said === "object" && said !== null && !Array.isArray(said)
      ? requestHolds(said as Schema.JsonObject, folded)
      : holds(said, folded)
  })
}

/** Whether an answer says it. */
export const outputHolds = (output: Pick<Output, "choices"> | null, folded: string): boolean =>
  output !== null &&
  output.choices.some(({ text, extra }) => holds(text, folded) || (extra !== undefined && holds(extra, folded)))

/**
 * Whether JSON text of a request or an answer may hold the word: false is certain, and costs far less than to read it as JSON.
 */
export const jsonMayHold = (json: string, folded: string): boolean =>
  fold(json).includes(JSON.stringify(folded).slice(1, -1))
