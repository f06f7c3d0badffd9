/** What an OpenAI-shaped answer needs to know of its job besides the pieces, and the parts that whole and streamed answers share. */
import type * as Schema from "effect/Schema"
import type { JobId } from "../schemas/Ids.ts"
import type { Endpoint, Usage } from "../schemas/Job.ts"

export interface AnswerShape {
  readonly jobId: JobId
  readonly endpoint: Endpoint
  /** As the client named it, which may be an alias. */
  readonly model: string
  readonly acceptedAt: number
  /** Embeddings as base64 instead of numbers. */
  readonly base64: boolean
  /** A last chunk with the usage, and `usage: null` in those before. */
  readonly includeUsage: boolean
}

export type Fields = Readonly<Record<string, Schema.Json>>

const ID_PREFIX: Readonly<Record<Endpoint, string>> = { chat: "chatcmpl-", completions: "cmpl-", embeddings: "embd-" }

export const answerId = ({ endpoint, jobId }: AnswerShape): string => `${ID_PREFIX[endpoint]}${jobId}`

/** OpenAI counts in seconds. */
export const createdOf = ({ acceptedAt }: AnswerShape): number => Math.floor(acceptedAt / 1000)

export const completionUsage = ({ promptTokens, outputTokens }: Usage) => ({
  prompt_tokens: promptTokens,
  completion_tokens: outputTokens,
  total_tokens: promptTokens + outputTokens
})

/** Fields of a delta without those that stand beside it in a choice. */
export const withoutLogprobs = (extra: Fields): Fields => {
  const { logprobs: _, ...rest } = extra
  return rest
}
