/** What the OpenAI routes answer, in OpenAI's own shapes. `finish_reason` and `usage` come from what the server counted. */
import * as Schema from "effect/Schema"
import { Endpoint } from "../Job.ts"
import { FinishReason } from "../TokenEvent.ts"

const CompletionUsage = Schema.Struct({
  prompt_tokens: Schema.Int,
  completion_tokens: Schema.Int,
  total_tokens: Schema.Int
}).annotate({ identifier: "CompletionUsage" })

const ToolCallAnswer = Schema.Struct({
  id: Schema.String,
  type: Schema.String,
  function: Schema.optionalKey(Schema.Struct({ name: Schema.String, arguments: Schema.String }))
})

const ChatMessage = Schema.Struct({
  role: Schema.Literal("assistant"),
  content: Schema.NullOr(Schema.String),
  refusal: Schema.NullOr(Schema.String),
  tool_calls: Schema.optionalKey(Schema.Array(ToolCallAnswer))
})

export const ChatCompletion = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("chat.completion"),
  created: Schema.Int,
  model: Schema.String,
  choices: Schema.Array(
    Schema.Struct({
      index: Schema.Int,
      message: ChatMessage,
      logprobs: Schema.NullOr(Schema.Json),
      finish_reason: Schema.NullOr(FinishReason)
    })
  ),
  usage: CompletionUsage
}).annotate({ identifier: "ChatCompletion" })

export const ChatCompletionChunk = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("chat.completion.chunk"),
  created: Schema.Int,
  model: Schema.String,
  choices: Schema.Array(
    Schema.Struct({
      index: Schema.Int,
      delta: Schema.JsonObject,
      logprobs: Schema.NullOr(Schema.Json),
      finish_reason: Schema.NullOr(FinishReason)
    })
  ),
  usage: Schema.optionalKey(Schema.NullOr(CompletionUsage))
}).annotate({ identifier: "ChatCompletionChunk" })

/** A whole answer, and each chunk of a streamed one, which differs in `usage` only. */
export const TextCompletion = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("text_completion"),
  created: Schema.Int,
  model: Schema.String,
  choices: Schema.Array(
    Schema.Struct({
      index: Schema.Int,
      text: Schema.String,
      logprobs: Schema.NullOr(Schema.Json),
      finish_reason: Schema.NullOr(FinishReason)
    })
  ),
  usage: Schema.optionalKey(Schema.NullOr(CompletionUsage))
}).annotate({ identifier: "TextCompletion" })

export const EmbeddingList = Schema.Struct({
  object: Schema.Literal("list"),
  data: Schema.Array(
    Schema.Struct({
      object: Schema.Literal("embedding"),
      index: Schema.Int,
      /** Numbers, or base64 of little-endian 32-bit floats. */
      embedding: Schema.Union([Schema.Array(Schema.Finite), Schema.String])
    })
  ),
  model: Schema.String,
  usage: Schema.Struct({ prompt_tokens: Schema.Int, total_tokens: Schema.Int })
}).annotate({ identifier: "EmbeddingList" })

export const Model = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("model"),
  created: Schema.Int,
  owned_by: Schema.String,
  endpoints: Schema.Array(Endpoint)
}).annotate({ identifier: "Model" })
export type Model = typeof Model.Type

export const ModelList = Schema.Struct({ object: Schema.Literal("list"), data: Schema.Array(Model) }).annotate({
  identifier: "ModelList"
})
