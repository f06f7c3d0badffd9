/** Jobs as their namespace sees them. No node, daemon or session is named anywhere: who served a request is not the customer's to know. */
import * as Schema from "effect/Schema"
import { Endpoint, Mode, Priority } from "../Job.ts"
import { Feedback } from "../JobRecord.ts"
import { AttemptState, JobState } from "../JobState.ts"

const Amount = Schema.String

/** What a customer thinks of an answer. */
export const FeedbackView = Schema.Struct({
  score: Schema.Int,
  label: Schema.NullOr(Schema.String),
  comment: Schema.NullOr(Schema.String),
  at: Schema.Int
}).annotate({ identifier: "Feedback" })
export type FeedbackView = typeof FeedbackView.Type

export const EvaluationView = Schema.Struct({
  /** Whether any attempt failed, also when the job went well in the end. */
  failure: Schema.Boolean,
  /** null: the model did not say how sure it was. */
  low_confidence: Schema.NullOr(Schema.Boolean),
  moderation: Schema.Array(Schema.String),
  feedback: Schema.NullOr(FeedbackView)
}).annotate({ identifier: "Evaluation" })
export type EvaluationView = typeof EvaluationView.Type

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
  ),
  /** Of a job that ended, while its record is here. */
  evaluation: Schema.optionalKey(EvaluationView)
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
  queue_ms: Schema.NullOr(Schema.Int),
  first_token_ms: Schema.NullOr(Schema.Int),
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

export const InvoiceView = Schema.Struct({
  object: Schema.Literal("invoice"),
  unit: Schema.Literal("credits"),
  namespace: Schema.String,
  /** Whole hours, epoch ms, without the end. */
  from: Schema.Int,
  to: Schema.Int,
  /** It may still change. */
  preliminary: Schema.Boolean,
  /** Available or reserved. opening_balance + granted - charged = closing_balance. */
  opening_balance: Amount,
  granted: Amount,
  charged: Amount,
  closing_balance: Amount,
  /** Set aside for jobs within the span, and what came back of it. */
  reserved: Amount,
  refunded: Amount,
  /** Of the closing balance, for jobs that were not over. */
  open_reservations: Amount,
  charges: Schema.Array(
    Schema.Struct({
      model: Schema.String,
      jobs: Schema.Int,
      prompt_tokens: Schema.Int,
      output_tokens: Schema.Int,
      cost: Amount
    })
  )
}).annotate({ identifier: "Invoice" })
export type InvoiceView = typeof InvoiceView.Type
const Percentiles = Schema.NullOr(Schema.Struct({ p50: Schema.Finite, p95: Schema.Finite, p99: Schema.Finite }))

export const StatsView = Schema.Struct({
  object: Schema.Literal("stats"),
  group_by: Schema.Array(Schema.Literals(["model", "key", "hour", "day"])),
  from: Schema.Int,
  to: Schema.Int,
  data: Schema.Array(
    Schema.Struct({
      group: Schema.Record(Schema.String, Schema.NullOr(Schema.String)),
      jobs: Schema.Int,
      completed: Schema.Int,
      failed: Schema.Int,
      /** Failed of those that completed or failed; null when there is neither. */
      error_rate: Schema.NullOr(Schema.Finite),
      prompt_tokens: Schema.Int,
      output_tokens: Schema.Int,
      cost: Amount,
      /** Milliseconds, of completed jobs. */
      queue_ms: Percentiles,
      first_token_ms: Percentiles,
      total_ms: Percentiles
    })
  )
}).annotate({ identifier: "Stats" })
export type StatsView = typeof StatsView.Type

export const LogList = Schema.Struct({
  object: Schema.Literal("list"),
  data: Schema.Array(
    Schema.Struct({
      at: Schema.Int,
      type: Schema.String,
      code: Schema.String,
      job_id: Schema.NullOr(Schema.String),
      data: Schema.JsonObject
    })
  ),
  has_more: Schema.Boolean,
  next_cursor: Schema.NullOr(Schema.String)
}).annotate({ identifier: "LogList" })
export type LogList = typeof LogList.Type

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

/** The last one given counts. */
export const FeedbackOrder = Schema.Struct({
  score: Feedback.fields.score,
  label: Schema.optionalKey(Feedback.fields.label),
  comment: Schema.optionalKey(Feedback.fields.comment)
}).annotate({ identifier: "FeedbackOrder" })
