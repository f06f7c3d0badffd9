/**
 * One inference request as every part of the house knows it: what was asked, what it may cost, what it must run on.
 * The prompt rides in `JobInput` only; `Job` carries none, so it may stand in PostgreSQL and on the broker.
 */
import * as Schema from "effect/Schema"
import { Credits } from "./Credits.ts"
import { JobId, KeyId, NamespaceId, NodeId } from "./Ids.ts"

export const Environment = Schema.Literals(["testnet", "mainnet"])
export type Environment = typeof Environment.Type

/** The kind of inference, named for the OpenAI route that asks for it. */
export const Endpoint = Schema.Literals(["chat", "completions", "embeddings"])
export type Endpoint = typeof Endpoint.Type

/** How the client waits: on the connection, not at all, or token by token. */
export const Mode = Schema.Literals(["sync", "polling", "stream"])
export type Mode = typeof Mode.Type

/** Strongest first. Customers never set `test`; `urgent` needs the namespace's entitlement. */
export const Priority = Schema.Literals(["urgent", "normal", "bulk", "test"])
export type Priority = typeof Priority.Type

/** What happens to a stream whose node died: go on from the text sent, start again (only before the first token), or end. */
export const OnNodeLoss = Schema.Literals(["continue", "restart", "fail"])
export type OnNodeLoss = typeof OnNodeLoss.Type

export const Constraints = Schema.Struct({
  subcloud: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(64))),
  region: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(64))),
  gpu: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(64))),
  vramMinMiB: Schema.optionalKey(Schema.Natural),
  /** This node and no other. Only the network asks for it: no field of the API leads here, and only administrators are shown it. */
  node: Schema.optionalKey(NodeId)
})
export type Constraints = typeof Constraints.Type

/** Prices frozen at admission, so that a later change cannot touch a running job. Micro-credits per token and per request. */
export const Quote = Schema.Struct({
  version: Schema.Int,
  perPromptToken: Credits,
  perOutputToken: Credits,
  perRequest: Credits
})
export type Quote = typeof Quote.Type

/** Where a job waits: `environment × subcloud-or-global × model × priority`. */
export interface Lane {
  readonly environment: Environment
  readonly subcloud: string
  readonly model: string
  readonly priority: Priority
}

const part = (text: string) => encodeURIComponent(text).replaceAll(".", "%2E")

/** The lane's name on the broker. Subclouds and models may hold anything printable, so they are percent-encoded, dots too. */
export const laneName = (lane: Lane): string =>
  `lane.${lane.environment}.${part(lane.subcloud)}.${part(lane.model)}.${lane.priority}`

/** The lane of that name; null when it is none. */
export const laneNamed = (name: string): Lane | null => {
  const [head, environment, subcloud, model, priority, ...rest] = name.split(".")
  if (head !== "lane" || subcloud === undefined || model === undefined || rest.length > 0) return null
  if (!isEnvironment(environment) || !isPriority(priority)) return null
  const [subcloudName, modelName] = [plain(subcloud), plain(model)]
  return subcloudName === null || modelName === null
    ? null
    : { environment, subcloud: subcloudName, model: modelName, priority }
}

const plain = (encoded: string): string | null => {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return null
  }
}

const isEnvironment = Schema.is(Environment)
const isPriority = Schema.is(Priority)

export const GLOBAL = "global"

/** The facts of a job that never change after admission. */
export const Job = Schema.Struct({
  id: JobId,
  namespaceId: NamespaceId,
  keyId: KeyId,
  environment: Environment,
  endpoint: Endpoint,
  mode: Mode,
  model: Schema.String,
  priority: Priority,
  constraints: Constraints,
  onNodeLoss: OnNodeLoss,
  /** Output tokens asked for, over all choices. */
  outputTokensMax: Schema.Natural,
  /** Upper bound of the prompt's tokens, counted from its bytes. */
  promptTokensMax: Schema.Natural,
  choices: Schema.Natural,
  reserved: Credits,
  quote: Quote,
  /** Node faults after which the job fails. */
  failuresMax: Schema.Natural,
  clientTag: Schema.NullOr(Schema.String),
  configDigest: Schema.String,
  traceparent: Schema.NullOr(Schema.String),
  acceptedAt: Schema.Int,
  deadlineAt: Schema.Int
})
export type Job = typeof Job.Type

export const laneOf = (job: Pick<Job, "environment" | "constraints" | "model" | "priority">): Lane => ({
  environment: job.environment,
  subcloud: job.constraints.subcloud ?? GLOBAL,
  model: job.model,
  priority: job.priority
})

/** What the client sent, unchanged, and what the runtime is to be sent. Stored with the record only. */
export interface JobInput {
  readonly endpoint: Endpoint
  /** The accepted request, extension object included. */
  readonly request: Schema.Json
  /** The body for the runtime: the request without our extension, with the resolved model. */
  readonly body: Schema.JsonObject
}

/** Tokens of a job: what the server counted, which is what is charged. */
export const Usage = Schema.Struct({ promptTokens: Schema.Natural, outputTokens: Schema.Natural })
export type Usage = typeof Usage.Type
