/**
 * What the broker carries: ids, routing facts, a deadline and the trace context. A hint, never the only copy of
 * anything, and never text of a request: losing every envelope loses nothing.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { DaemonId, EnvelopeId, freshEnvelopeId, JobId, LeaseToken, NamespaceId, NodeId } from "./Ids.ts"
import { CancelCause, JobPast } from "./JobMoment.ts"
import { Decision } from "./NodeProfile.ts"

export const ENVELOPE_VERSION = 1

export const Message = Schema.TaggedUnion({
  /** A job waits in this lane. */
  JobQueued: { jobId: JobId, namespaceId: NamespaceId },
  /** A lane was opened: daemons consume it from now on. */
  LaneOpened: { lane: Schema.String },
  /** To the daemon of the chosen node: act for the job from here on, with the slot that is leased for it. */
  TakeJob: {
    jobId: JobId,
    namespaceId: NamespaceId,
    /** Of the row as the sender saw it: a row that went on since is not taken. */
    epoch: Schema.Int,
    nodeId: NodeId,
    lease: LeaseToken,
    decision: Decision,
    past: JobPast,
    /** Daemons with readers of it. */
    followers: Schema.Array(DaemonId)
  },
  /** To whoever the job's node came back to: take the job over from its owner, or, when it is completed, the answer that its record may lack. */
  AdoptJob: { jobId: JobId, namespaceId: NamespaceId, from: Schema.NullOr(DaemonId) },
  /** Its answer: the row is claimed over there (true), or the job is still the sender's (false). */
  JobTaken: { jobId: JobId, taken: Schema.Boolean },
  /** To the daemon with the job's actor: readers of the job are at that daemon. */
  FollowJob: { jobId: JobId, by: DaemonId },
  /** To the daemon with the job's actor. */
  CancelJob: { jobId: JobId, cause: CancelCause },
  /** To the daemon that had the job's actor: somebody else claimed it. */
  JobMoved: { jobId: JobId },
  /** A job reached its end (topic). */
  JobFinished: { jobId: JobId, state: Schema.String },
  /** A node opened a session somewhere: older ones of it are over (topic). */
  NodeConnected: { nodeId: NodeId, by: DaemonId, generation: Schema.Int },
  /** A node's restrictions changed (topic). */
  NodeRestricted: { nodeId: NodeId },
  /** To the daemon with the node's session: finish what runs, take nothing new. */
  DrainNode: { nodeId: NodeId },
  /** To the leader of a sweeper: sweep now. */
  Sweep: { sweeper: Schema.String, dryRun: Schema.Boolean },
  /** Answer to a call: what came of it, or the refusal. */
  Answered: { call: EnvelopeId, outcome: Schema.Json, refusal: Schema.NullOr(Schema.Json) },
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

/** A new envelope around the message; what is not said is null, or the first attempt. */
export const freshEnvelope = (
  message: Message,
  about: Partial<Omit<Envelope, "version" | "id" | "message">> = {}
): Effect.Effect<Envelope> =>
  Effect.map(freshEnvelopeId, (id) => ({
    version: ENVELOPE_VERSION,
    id,
    message,
    replyTo: null,
    deadlineAt: null,
    attempt: 0,
    traceparent: null,
    ...about
  }))
