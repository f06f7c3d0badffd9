/**
 * The three kinds of inference: how each body is checked, and what of it a job is made of. The checks decide what is refused; what the runtime
 * gets is the body as it came.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { JobRequest } from "../actors/job/Admission.ts"
import type { Endpoint } from "../schemas/Job.ts"
import { ChatRequest } from "../schemas/openai/ChatRequest.ts"
import { CompletionRequest, promptsOf } from "../schemas/openai/CompletionRequest.ts"
import { EmbeddingsRequest, inputsOf } from "../schemas/openai/EmbeddingsRequest.ts"
import { runtimeBody } from "../schemas/openai/RuntimeBody.ts"
import { type Refusal, refuse } from "../schemas/Refusal.ts"
import { type Call, header } from "./Call.ts"
import { badField, decoder } from "./Decode.ts"
import type { Wishes } from "./Wishes.ts"

export interface Asked {
  readonly endpoint: Endpoint
  readonly model: string
  readonly choices: number
  readonly outputTokensMax: number | null
  readonly stream: boolean
  readonly includeUsage: boolean
  readonly base64: boolean
  readonly user: string | null
  readonly resultity: Schema.Json | undefined
}

const decodeChat = decoder(ChatRequest)
const decodeCompletion = decoder(CompletionRequest)
const decodeEmbeddings = decoder(EmbeddingsRequest)

/** Checks a body for its endpoint. */
export const readAsked = (endpoint: Endpoint, body: unknown): Effect.Effect<Asked, Refusal> => {
  switch (endpoint) {
    case "chat":
      return Effect.map(decodeChat(body), (chat) => ({
        ...textAsked(chat),
        endpoint,
        choices: chat.n ?? 1,
        outputTokensMax: chat.max_completion_tokens ?? chat.max_tokens ?? null
      }))
    case "completions":
      return Effect.map(decodeCompletion(body), (completion) => ({
        ...textAsked(completion),
        endpoint,
        choices: promptsOf(completion.prompt) * (completion.n ?? 1),
        outputTokensMax: completion.max_tokens ?? null
      }))
    case "embeddings":
      return Effect.map(decodeEmbeddings(body), (embeddings) => ({
        endpoint,
        model: embeddings.model,
        choices: inputsOf(embeddings.input),
        outputTokensMax: null,
        stream: false,
        includeUsage: false,
        base64: embeddings.encoding_format === "base64",
        user: embeddings.user ?? null,
        resultity: embeddings.resultity
      }))
  }
}

const textAsked = (body: ChatRequest | CompletionRequest) => ({
  model: body.model,
  stream: body.stream === true,
  includeUsage: body.stream_options?.include_usage === true,
  base64: false,
  user: body.user ?? null,
  resultity: body.resultity
})

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** @param sent the OpenAI body with our extension in it, as the record keeps it */
export const jobRequest = (
  call: Call,
  asked: Asked,
  wishes: Wishes,
  sent: Schema.JsonObject
): Effect.Effect<JobRequest, Refusal> =>
  Effect.gen(function* () {
    if (asked.endpoint === "embeddings" && wishes.mode === "stream") {
      return yield* badField("mode", "embeddings are not streamed")
    }
    const { mode, priority, constraints, onNodeLoss, deadlineMs, workflow } = wishes
    const traceparent = header(call, "traceparent")
    return {
      endpoint: asked.endpoint,
      mode,
      model: asked.model,
      request: sent,
      body: runtimeBody(sent),
      outputTokensMax: asked.outputTokensMax,
      choices: asked.choices,
      priority,
      constraints,
      onNodeLoss,
      deadlineMs,
      clientTag: asked.user,
      workflow,
      idempotencyKey: yield* idempotencyKey(call),
      traceparent: traceparent !== undefined && TRACEPARENT.test(traceparent) ? traceparent : null
    }
  })

const idempotencyKey = (call: Call): Effect.Effect<string | null, Refusal> => {
  const key = header(call, "idempotency-key")
  if (key === undefined) return Effect.succeed(null)
  return /^[\x20-\x7e]{1,255}$/.test(key)
    ? Effect.succeed(key)
    : Effect.fail(
        refuse("invalid_request", "Idempotency-Key must be 1 to 255 printable ASCII characters.", {
          param: "Idempotency-Key"
        })
      )
}
