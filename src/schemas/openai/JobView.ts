/** Jobs as their namespace sees them. No node, daemon or session is named anywhere: who served a request is not the customer's to know. */
import * as Schema from "effect/Schema"
import { Endpoint, Mode, Priority } from "../Job.ts"
import { AttemptState, JobState } from "../JobState.ts"

const Amount = Schema.String

export const JobView = Schema.Struct({
  id: Schema.String,
  /** The same as `id`: what a polling client asks for. */
  request_id: Schema.String,
  object: Schema.Literal("job"),
  endpoint: Endpoint,
  mode: Mode,
  model: Schema.String,
  state: JobState,
  priority: Priority,
  attempts: Schema.Int,
  created_at: Schema.Int,
  deadline_at: Schema.Int,
  finished_at: Schema.NullOr(Schema.Int),
  user: Schema.NullOr(Schema.String),
  usage: Schema.Struct({ prompt_tokens: Schema.Int, output_tokens: Schema.Int, total_tokens: Schema.Int }),
  /** Credits, as a decimal string; null until it ended. */
  cost: Schema.NullOr(Amount),
  error: Schema.NullOr(
    Schema.Struct({ code: Schema.String, cause: Schema.NullOr(Schema.String), message: Schema.String })
  )
}).annotate({ identifier: "Job" })
export type JobView = typeof JobView.Type

/** What stays of an erased job: whoever kept a copy of request and answer can show by the hash that it is the one. */
export const JobErasure = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("job.erasure"),
  /** False: ordered, and not done yet. */
  erased: Schema.Boolean,
  /** null: not done yet, or nothing was kept any more. */
  sha256: Schema.NullOr(Schema.String),
  erased_at: Schema.NullOr(Schema.Int),
  /** Ed25519, hexadecimal: who signed, and the signature over the canonical JSON of what is signed. */
  key: Schema.NullOr(Schema.String),
  signature: Schema.NullOr(Schema.String)
}).annotate({ identifier: "JobErasure" })
export type JobErasure = typeof JobErasure.Type

export const JobLine = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("job"),
  endpoint: Endpoint,
  mode: Mode,
  model: Schema.String,
  state: JobState,
  priority: Priority,
  error_code: Schema.NullOr(Schema.String),
  user: Schema.NullOr(Schema.String),
  key_id: Schema.String,
  created_at: Schema.Int,
  finished_at: Schema.NullOr(Schema.Int),
  prompt_tokens: Schema.Int,
  output_tokens: Schema.Int,
  cost: Schema.NullOr(Amount),
  total_ms: Schema.NullOr(Schema.Int)
}).annotate({ identifier: "JobLine" })
export type JobLine = typeof JobLine.Type

export const JobList = Schema.Struct({
  object: Schema.Literal("list"),
  data: Schema.Array(JobLine),
  has_more: Schema.Boolean,
  next_cursor: Schema.NullOr(Schema.String)
}).annotate({ identifier: "JobList" })
export type JobList = typeof JobList.Type

export const JobExplanation = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("job.explanation"),
  sentences: Schema.Array(Schema.String)
}).annotate({ identifier: "JobExplanation" })
export type JobExplanation = typeof JobExplanation.Type

const AttemptView = Schema.Struct({
  attempt: Schema.Int,
  /** `node-1`: a name that holds within this job only. */
  node: Schema.String,
  state: AttemptState,
  leased_at: Schema.Int,
  assigned_at: Schema.NullOr(Schema.Int),
  first_token_at: Schema.NullOr(Schema.Int),
  ended_at: Schema.NullOr(Schema.Int),
  cause: Schema.NullOr(Schema.String),
  tokens: Schema.Int
})
export type AttemptView = typeof AttemptView.Type

export const JobTrace = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("job.trace"),
  state: JobState,
  attempts: Schema.Array(AttemptView),
  moments: Schema.Array(Schema.Struct({ at: Schema.Int, name: Schema.String, detail: Schema.JsonObject })),
  logs: Schema.Array(
    Schema.Struct({ at: Schema.Int, type: Schema.String, code: Schema.String, data: Schema.JsonObject })
  ),
  /** Pieces of output over all attempts. */
  pieces: Schema.Int
}).annotate({ identifier: "JobTrace" })
export type JobTrace = typeof JobTrace.Type

export const BalanceView = Schema.Struct({
  object: Schema.Literal("balance"),
  unit: Schema.Literal("credits"),
  granted: Amount,
  available: Amount,
  reserved: Amount,
  spent: Amount
}).annotate({ identifier: "Balance" })
export type BalanceView = typeof BalanceView.Type

export const UsageView = Schema.Struct({
  object: Schema.Literal("usage"),
  group_by: Schema.Literals(["model", "key", "day"]),
  from: Schema.Int,
  to: Schema.Int,
  data: Schema.Array(
    Schema.Struct({
      group: Schema.String,
      jobs: Schema.Int,
      failed: Schema.Int,
      prompt_tokens: Schema.Int,
      output_tokens: Schema.Int,
      cost: Amount,
      total_ms_p50: Schema.NullOr(Schema.Finite),
      total_ms_p95: Schema.NullOr(Schema.Finite)
    })
  )
}).annotate({ identifier: "Usage" })
export type UsageView = typeof UsageView.Type

export const StatusView = Schema.Struct({
  status: Schema.Literals(["ok", "draining"]),
  environment: Schema.String,
  nodes: Schema.Int,
  slots: Schema.Int,
  slots_leased: Schema.Int,
  models: Schema.Array(
    Schema.Struct({
      id: Schema.String,
      endpoints: Schema.Array(Endpoint),
      nodes: Schema.Int,
      slots: Schema.Int,
      slots_leased: Schema.Int
    })
  )
}).annotate({ identifier: "Status" })
export type StatusView = typeof StatusView.Type
