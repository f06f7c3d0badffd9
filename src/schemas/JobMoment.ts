/**
 * What happened to a job, one moment at a time, as its machine (`policies/JobMachine`) was told.
 * The record keeps them; played again from the first, they give the same state. They hold no text.
 */
import * as Schema from "effect/Schema"
import { LeaseToken, NodeId } from "./Ids.ts"

export const JobTimer = Schema.Literals(["accept", "execution", "idle", "grace", "backoff", "deadline"])
export type JobTimer = typeof JobTimer.Type

export const CancelCause = Schema.Literals(["client", "operator", "client_gone"])
export type CancelCause = typeof CancelCause.Type

/** Whose fault a broken attempt was. A refusal by the node is nobody's. */
export const Fault = Schema.Literals(["node", "job", "nobody"])
export type Fault = typeof Fault.Type

/** What a job went through under actors that handed it on: it may not be forgotten with them. */
export const JobPast = Schema.Struct({
  failures: Schema.Int,
  rejections: Schema.Int,
  tried: Schema.Array(NodeId),
  faults: Schema.Array(Schema.Struct({ nodeId: NodeId, code: Schema.String }))
})
export type JobPast = typeof JobPast.Type

export const JobMoment = Schema.TaggedUnion({
  /** The actor began. Pieces up to `last` are durable already; `adopting` says that a node may still hold the attempt. */
  Started: {
    epoch: Schema.Int,
    attempt: Schema.Int,
    failures: Schema.Int,
    last: Schema.Int,
    tokens: Schema.Int,
    adopting: Schema.Boolean,
    nodeId: Schema.NullOr(NodeId),
    lease: Schema.NullOr(LeaseToken),
    past: Schema.optionalKey(JobPast)
  },
  Leased: { nodeId: NodeId, lease: LeaseToken },
  /** No node will ever serve what is left of this job. */
  Unservable: { code: Schema.String },
  Claimed: { epoch: Schema.Int, attempt: Schema.Int },
  ClaimRefused: { why: Schema.String },
  Accepted: {},
  Rejected: { code: Schema.String },
  /** Pieces up to `last` arrived; `tokens` of them billable. */
  Tokens: { last: Schema.Int, tokens: Schema.Int },
  Result: { last: Schema.Int, promptTokens: Schema.Int, outputTokens: Schema.Int },
  AttemptFailed: { code: Schema.String, fault: Fault },
  NodeLost: { code: Schema.String },
  NodeBack: { nodeId: NodeId },
  TimerFired: { timer: JobTimer },
  CancelAsked: { cause: CancelCause },
  Recorded: { pending: Schema.Boolean },
  Settled: {},
  /** A guarded write found another epoch or a terminal row: somebody else acts for the job, or it is over. */
  Stale: {},
  Drained: {}
})
export type JobMoment = typeof JobMoment.Type
