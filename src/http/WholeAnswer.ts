/** A finished job's joined output as one OpenAI body. The same output gives the same body, whether it was waited for or fetched later. */
import type * as Schema from "effect/Schema"
import type { Usage } from "../schemas/Job.ts"
import type { OutputChoice } from "../schemas/JobRecord.ts"
import { type AnswerShape, answerId, completionUsage, createdOf, type Fields, withoutLogprobs } from "./AnswerShape.ts"

export const wholeAnswer = (
  shape: AnswerShape,
  choices: ReadonlyArray<OutputChoice>,
  usage: Usage
): Schema.JsonObject => {
  if (shape.endpoint === "embeddings") return embeddingList(shape, choices, usage)
  return {
    id: answerId(shape),
    object: shape.endpoint === "chat" ? "chat.completion" : "text_completion",
    created: createdOf(shape),
    model: shape.model,
    choices: choices.map(shape.endpoint === "chat" ? chatChoice : textChoice),
    usage: completionUsage(usage)
  }
}

const chatChoice = ({ choice, text, extra = {}, finish }: OutputChoice): Schema.JsonObject => {
  const { tool_calls: calls, refusal = null, ...rest } = withoutLogprobs(extra)
  const called = isList(calls) && calls.length > 0
  return {
    index: choice,
    message: {
      role: "assistant",
      content: text === "" && (called || refusal !== null) ? null : text,
      refusal,
      ...rest,
      ...(called ? { tool_calls: calls.map(withoutIndex) } : {})
    },
    logprobs: extra["logprobs"] ?? null,
    finish_reason: finish ?? "stop"
  }
}

const textChoice = ({ choice, text, extra = {}, finish }: OutputChoice): Schema.JsonObject => ({
  index: choice,
  text,
  logprobs: extra["logprobs"] ?? null,
  finish_reason: finish ?? "stop"
})

/** The index belongs to deltas; a finished list is in order. */
const withoutIndex = (call: Schema.Json): Schema.Json => {
  if (!isFields(call)) return call
  const { index: _, ...rest } = call
  return rest
}

const embeddingList = (shape: AnswerShape, choices: ReadonlyArray<OutputChoice>, usage: Usage): Schema.JsonObject => ({
  object: "list",
  data: choices.map(({ choice, extra = {} }) => ({
    object: "embedding",
    index: choice,
    embedding: shape.base64 ? toBase64(extra["embedding"]) : toNumbers(extra["embedding"])
  })),
  model: shape.model,
  usage: { prompt_tokens: usage.promptTokens, total_tokens: usage.promptTokens + usage.outputTokens }
})

/** Little-endian 32-bit floats. A runtime may have sent either form, whatever it was asked for. */
const toBase64 = (embedding: Schema.Json | undefined): string => {
  if (typeof embedding === "string") return embedding
  const numbers = isList(embedding) ? embedding : []
  const bytes = Buffer.alloc(numbers.length * 4)
  for (const [at, value] of numbers.entries()) bytes.writeFloatLE(typeof value === "number" ? value : 0, at * 4)
  return bytes.toString("base64")
}

const toNumbers = (embedding: Schema.Json | undefined): Schema.Json => {
  if (typeof embedding !== "string") return embedding ?? []
  const bytes = Buffer.from(embedding, "base64")
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, at) => bytes.readFloatLE(at * 4))
}

const isList = (value: Schema.Json | undefined): value is Schema.JsonArray => Array.isArray(value)
const isFields = (value: Schema.Json): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)
