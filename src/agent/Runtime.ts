/**
 * What an agent needs of the process that runs the models. A runtime knows nothing of daemons and sessions: it is asked
 * for one assignment at a time and streams what it says; stopping the stream stops the request.
 */
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { Endpoint } from "../schemas/Job.ts"
import type { ServedModel } from "../schemas/NodeProfile.ts"
import type { ChoiceText, FinishReason } from "../schemas/TokenEvent.ts"

export interface Assignment {
  readonly endpoint: Endpoint
  readonly body: Schema.JsonObject
  /** 1 for a fresh start; otherwise this many pieces less one were said by another node. */
  readonly firstSeq: number
  /** What each choice has said already. */
  readonly prefix: ReadonlyArray<ChoiceText>
  /** Over all choices. */
  readonly outputTokensMax: number
}

/** One step of a choice: text to append, news in other fields, or its end. */
export interface Delta {
  readonly _tag: "Delta"
  readonly choice: number
  readonly text: string
  readonly extra?: Schema.JsonObject
  readonly finish?: FinishReason
}

export type RuntimeChunk =
  | Delta
  /** Comes last, if at all; a later one replaces an earlier one. */
  | { readonly _tag: "Usage"; readonly promptTokens: number; readonly outputTokens: number }
  /** Only a simulated runtime says this: the agent shall lose its session now, and the answer goes on. */
  | { readonly _tag: "LoseSession" }

/** `job`: the request itself is at fault, any node would say the same. `node`: another node may do better. */
export class RuntimeFailed extends Data.TaggedError("RuntimeFailed")<{
  readonly code: string
  readonly fault: "node" | "job"
}> {}

export interface Runtime {
  /** What it is called in the node's profile. */
  readonly name: Effect.Effect<string>
  readonly models: Effect.Effect<ReadonlyArray<ServedModel>, RuntimeFailed>
  /** Whether it would answer a request now. Never fails. */
  readonly healthy: Effect.Effect<boolean>
  /** Why this assignment is declined before anything is asked of the runtime; null when it is not. */
  readonly declines: (assignment: Assignment) => "invalid_body" | "cannot_continue" | null
  /** Ends after the last chunk; interrupting it closes the request. */
  readonly run: (assignment: Assignment) => Stream.Stream<RuntimeChunk, RuntimeFailed>
}

/** Whether another node has said part of the answer. */
export const isContinuation = (assignment: Assignment): boolean => assignment.prefix.some(({ text }) => text !== "")

/** The number of answers that a chat or completions body asks for. */
export const choicesOf = (body: Schema.JsonObject): number => {
  const n = body["n"]
  return typeof n === "number" && Number.isInteger(n) && n >= 1 ? n : 1
}

/** The output tokens a body allows for each choice, or null when it says nothing. */
export const tokensAsked = (body: Schema.JsonObject): number | null => {
  const asked = body["max_completion_tokens"] ?? body["max_tokens"]
  return typeof asked === "number" ? asked : null
}

/**
 * The body with the bound of the assignment where the client named none, so that no answer is longer than what is
 * reserved.
 */
export const bounded = ({ endpoint, body, outputTokensMax }: Assignment): Schema.JsonObject =>
  endpoint === "embeddings" || tokensAsked(body) !== null
    ? body
    : { ...body, max_tokens: Math.max(1, Math.floor(outputTokensMax / choicesOf(body))) }

/** Tokens of the prompt at four characters each, where no runtime counted them. */
export const promptTokensGuess = ({ endpoint, body }: Assignment): number => {
  const field = { chat: "messages", completions: "prompt", embeddings: "input" }[endpoint]
  const asked = body[field]
  return Math.max(1, Math.ceil((typeof asked === "string" ? asked : JSON.stringify(asked ?? null)).length / 4))
}

/** Whether the body has what its endpoint cannot do without. */
export const isWellFormed = ({ endpoint, body }: Assignment): boolean => {
  switch (endpoint) {
    case "chat":
      return Array.isArray(body["messages"]) && body["messages"].length > 0
    case "completions":
      return typeof body["prompt"] === "string" || Array.isArray(body["prompt"])
    case "embeddings":
      return typeof body["input"] === "string" || Array.isArray(body["input"])
  }
}
