/**
 * What a job's actor holds while it lives, and the house around it. All of it can be had again from the deciding store, the record and the
 * traces, so a crash loses nothing; the actor alone changes it.
 */
import type * as Effect from "effect/Effect"
import type { DaemonId, LeaseToken, NodeId } from "../../schemas/Ids.ts"
import type * as Deferred from "effect/Deferred"
import type { Job } from "../../schemas/Job.ts"
import type { JobMoment, JobPast } from "../../schemas/JobMoment.ts"
import type { Claim, Evaluation, JobRecord, LogEntry, Routing } from "../../schemas/JobRecord.ts"
import type { JobRow } from "../../schemas/JobState.ts"
import type { Decision, Gpu } from "../../schemas/NodeProfile.ts"
import type { NodeProof } from "../../schemas/NodeProof.ts"
import type { RuntimeSettings } from "../../schemas/RuntimeSettings.ts"
import type { ActorContext } from "../../kernel/Actor.ts"
import type { Registry } from "../../kernel/Registry.ts"
import type { Incidents } from "../../layers/Incidents.ts"
import type { JobRecords } from "../../layers/JobRecords.ts"
import type { JobStore } from "../../layers/JobStore.ts"
import type { Logs } from "../../layers/Logs.ts"
import type { Moderation } from "../../layers/Moderation.ts"
import type { PiecesHash } from "../../layers/Signatures.ts"
import type { Traces } from "../../layers/Traces.ts"
import type { Delivery } from "../../layers/Transport.ts"
import type { JobCommand, JobMachine } from "../../policies/JobMachine.ts"
import type { OutputCount } from "../../policies/OutputTokens.ts"
import type { FreshJobs } from "./FreshJobs.ts"
import type { Hold } from "./HeldDeliveries.ts"
import type { JobFeed, JobFeeds } from "./JobFeed.ts"
import type { JobMessage } from "./JobMessages.ts"
import type { JobRelay } from "./JobRelay.ts"
import type { Mail } from "../Mail.ts"
import type { Publisher } from "./Publisher.ts"

/** What a job's actor works with. */
export interface JobHouse {
  readonly daemonId: DaemonId
  readonly store: JobStore["Service"]
  readonly records: JobRecords["Service"]
  readonly traces: Traces["Service"]
  readonly logs: Logs["Service"]
  /** Gives the slot of a claimed attempt back, also when the actor ends before the leases answer. */
  readonly release: (nodeId: NodeId, lease: LeaseToken) => Effect.Effect<void>
  /** Gives a slot back under which no attempt was claimed. */
  readonly releaseUnclaimed: (nodeId: NodeId, lease: LeaseToken) => Effect.Effect<void>
  readonly incidents: Incidents["Service"]
  readonly moderation: Moderation["Service"]
  readonly registry: Registry["Service"]
  readonly feeds: JobFeeds["Service"]
  readonly publisher: Publisher["Service"]
  readonly fresh: FreshJobs["Service"]
  readonly relay: JobRelay["Service"]
  readonly mail: Mail["Service"]
}

/** A slot that another daemon leased for the job, here. */
export interface Grant {
  readonly nodeId: NodeId
  readonly lease: LeaseToken
  readonly decision: Decision
  /** Of the row that the slot was leased for. */
  readonly epoch: number
  readonly past: JobPast
}

/** The slot on a node of another daemon, on offer to that daemon with the job. */
export interface Handing {
  readonly daemonId: DaemonId
  readonly nodeId: NodeId
  readonly lease: LeaseToken
}

/** How a job came to this daemon. */
export interface Arrival {
  readonly delivery: Delivery | null
  readonly followers: ReadonlyArray<DaemonId>
  readonly grant: Grant | null
  /** The daemon that it is taken over from, if that one lives. */
  readonly from: DaemonId | null
}

/** The present attempt. */
export interface AttemptProgress {
  firstSeq: number
  assignedAt: number
  firstTokenAt: number | null
  /** Over the pieces of this attempt; null when its beginning is not known (then no result can be checked). */
  hash: PiecesHash | null
  /** What the server counted in this attempt. */
  counted: OutputCount
  /** How often the node was asked to repeat since anything new came from it. */
  repeats: number
}

/** What the node's result brought, once it matched the pieces. */
export interface AttemptResult {
  readonly promptTokens: number
  readonly outputTokens: number
  readonly gpu: Gpu | null
  /** Null: nobody claimed anything. */
  readonly claim: Claim | null
  /** null: the signed result is lost with its node. */
  readonly proof: NodeProof | null
}

export interface JobActorState {
  readonly house: JobHouse
  readonly self: ActorContext<JobMessage>
  readonly job: Job
  readonly settings: RuntimeSettings
  readonly weight: number
  readonly record: JobRecord
  readonly feed: JobFeed
  readonly delivery: Hold
  readonly from: DaemonId | null
  /** The slot that it came with, until it is used. */
  grant: Grant | null
  /** The slot that is on offer to another daemon, with the job. */
  handing: Handing | null
  row: JobRow
  machine: JobMachine
  readonly moments: Array<{ readonly at: number; readonly moment: JobMoment }>
  routing: Routing
  failures: Evaluation["failures"]
  logs: Array<LogEntry>
  /** Pieces that survive the process. */
  stored: number
  storing: boolean
  /** The trace store does not answer: readers are served without waiting for it. */
  tracesOut: boolean
  outputBytes: number
  attempt: AttemptProgress
  result: AttemptResult | null
  /** Choices that have said their last piece. */
  readonly over: Set<number>
  /** The record was closed before, by somebody who does not own the job either: it gets the row's word once that is settled. */
  contested: boolean
  suspicious: boolean
  /** Open while a note of the job's progress is on its way to the record. */
  noting: Deferred.Deferred<void> | null
  lastPieceAt: number
  leasedAt: number | null
  firstTokenAt: number | null
  /** The job settled before its record could be written; what is left to do once it is. */
  recordPending: boolean
  parting: ReadonlyArray<JobCommand>
}

/** Text of one job's output, at most. */
export const OUTPUT_BYTES_MAX = 16 * 1_048_576
