/**
 * The most tokens a prompt can be, from the bytes of the request alone: the server runs no tokenizer.
 *
 * A token of a byte-level tokenizer stands for at least one byte of UTF-8, so bytes bound tokens from above; what the
 * runtime's chat template adds around them is bounded by fixed allowances. The bound is about four times the truth for
 * plain English. It decides what is reserved and the most that can be charged, never what is charged.
 */
import type * as Schema from "effect/Schema"
import type { Endpoint } from "../schemas/Job.ts"

/** Begin-of-text, a default system prompt with dates and channels, and the opening of the answer. */
export const REQUEST_OVERHEAD_TOKENS = 128
/** Markers around one message and its role. */
export const MESSAGE_OVERHEAD_TOKENS = 16
/** What templates say about how to call tools, besides the tools themselves. */
export const TOOLS_OVERHEAD_TOKENS = 512
/** Begin and end markers of one text to embed or to complete. */
export const TEXT_OVERHEAD_TOKENS = 8
/** The most that known vision runtimes make of one picture; its bytes say nothing about it. */
export const MEDIA_TOKENS_MAX = 16_384

/** Fields that steer the runtime and never become a part of the prompt. */
const NOT_PROMPT: ReadonlySet<string> = new Set([
  "model",
  "stop",
  "stream_options",
  "logit_bias",
  "metadata",
  "user",
  "encoding_format",
  "modalities"
])

/** `body` is what the runtime is sent. Every field that is not known to stay out of the prompt counts as a part of it. */
export const promptTokensMax = (endpoint: Endpoint, body: Schema.JsonObject): number => {
  const main = endpoint === "chat" ? "messages" : endpoint === "completions" ? "prompt" : "input"
  const said = body[main]
  const spoken = endpoint === "chat" ? messagesMax(said) + REQUEST_OVERHEAD_TOKENS : textsMax(said)
  return spoken + restMax(body, main)
}

const messagesMax = (messages: Schema.Json | undefined): number => {
  if (!isArray(messages)) return printedBytes(messages)
  let sum = 0
  for (const message of messages) sum += MESSAGE_OVERHEAD_TOKENS + messageMax(message)
  return sum
}

const messageMax = (message: Schema.Json): number => {
  if (!isObject(message)) return printedBytes(message)
  let sum = 0
  for (const [field, value] of Object.entries(message)) {
    if (field === "content") sum += contentMax(value)
    else if (typeof value === "string") sum += utf8(value)
    else sum += printedBytes(value)
  }
  return sum
}

const contentMax = (content: Schema.Json): number => {
  if (typeof content === "string") return utf8(content)
  if (!isArray(content)) return printedBytes(content)
  let sum = 0
  for (const part of content) sum += partMax(part)
  return sum
}

/** Pictures count by the piece: a link is short and a data URL long, and both become the same number of tokens. */
const partMax = (part: Schema.Json): number => {
  if (!isObject(part)) return typeof part === "string" ? utf8(part) : printedBytes(part)
  if (part["type"] === "image_url") return MEDIA_TOKENS_MAX
  const text = part["text"]
  return part["type"] === "text" && typeof text === "string" ? utf8(text) : MEDIA_TOKENS_MAX + printedBytes(part)
}

/** A string, strings, token numbers, or lists of token numbers. Numbers are tokens already and count exactly. */
const textsMax = (texts: Schema.Json | undefined): number => {
  if (typeof texts === "string") return utf8(texts) + TEXT_OVERHEAD_TOKENS
  if (!isArray(texts)) return printedBytes(texts)
  let sum = 0
  for (const text of texts) sum += typeof text === "number" ? 1 : textsMax(text)
  return sum
}

const restMax = (body: Schema.JsonObject, main: string): number => {
  let sum = 0
  for (const [field, value] of Object.entries(body)) {
    if (field === main || NOT_PROMPT.has(field)) continue
    if (typeof value === "string") sum += utf8(value)
    else if (typeof value === "object") sum += printedBytes(value)
    if (isTools(field, value)) sum += TOOLS_OVERHEAD_TOKENS
  }
  return sum
}

const isTools = (field: string, value: Schema.Json): boolean =>
  (field === "tools" || field === "functions") && isArray(value) && value.length > 0

/** As templates print JSON into a prompt: indented, which is the longest way. JSON within JSON is indented once more, hence twice. */
const printedBytes = (value: Schema.Json | undefined): number =>
  value === undefined || value === null ? 0 : 2 * utf8(JSON.stringify(value, null, 4))

const utf8 = (text: string): number => Buffer.byteLength(text, "utf8")
const isArray = (value: Schema.Json | undefined): value is Schema.JsonArray => Array.isArray(value)
const isObject = (value: Schema.Json): value is Schema.JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)
