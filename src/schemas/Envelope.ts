/**
 * What the broker carries: ids, routing facts, a deadline and the trace context. A hint, never the only copy of
 * anything, and never text of a request: losing every envelope loses nothing.
 */
import * as Schema from "effect/Schema"
import { EnvelopeId, JobId, NamespaceId, NodeId } from "./Ids.ts"
import { CancelCause } from "./JobMoment.ts"

export const ENVELOPE_VERSION = 1

export const Message = Schema.TaggedUnion({
  /** A job waits in this lane. */
  JobQueued: { jobId: JobId, namespaceId: NamespaceId },
  /** A lane was opened: daemons consume it from now on. */
  LaneOpened: { lane: Schema.String },
  /** To the daemon with the job's actor. */
  CancelJob: { jobId: JobId, cause: CancelCause },
  /** A job reached its end (topic). */
  JobFinished: { jobId: JobId, state: Schema.String },
  /** A node's restrictions changed (topic). */
  NodeRestricted: { nodeId: NodeId },
  /** Lead the sweep: delivered to one daemon at a time. */
  Lead: { sweeper: Schema.String }
})
export type Message = typeof Message.Type

export const Envelope = Schema.Struct({
  version: Schema.Int,
  id: EnvelopeId,
  message: Message,
  /** Where an answer goes, `daemon/…`; null when none is wanted. */
  replyTo: Schema.NullOr(Schema.String),
  deadlineAt: Schema.NullOr(Schema.Int),
  attempt: Schema.Int,
  traceparent: Schema.NullOr(Schema.String)
})
export type Envelope = typeof Envelope.Type
