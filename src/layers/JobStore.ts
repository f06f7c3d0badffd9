/**
 * The deciding store of jobs: the row, its history, the credits it holds, and the message that must follow.
 *
 * `admit`, `claim`, `release` and `finish` are one transaction each: the guarded change of the row, the append-only
 * `job_event`, the credit entries and the outbox row stand or fall together, and no other code changes a job's state.
 * A guard that does not hold is an answer (`Stale`, `Refused`), not a failure. Never holds text of a request or answer.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { type Balance, type Credits, zero } from "../schemas/Credits.ts"
import type { Envelope } from "../schemas/Envelope.ts"
import type { DaemonId, JobId, NamespaceId, NodeId } from "../schemas/Ids.ts"
import type { Job, Lane, Usage } from "../schemas/Job.ts"
import type { JobEvent } from "../schemas/JobEvent.ts"
import { isLegal, type JobRow, type TerminalState } from "../schemas/JobState.ts"
import type { Refusal } from "../schemas/Refusal.ts"
import type { Outage } from "./Outage.ts"
import { traced } from "./Traced.ts"

export interface Admission {
  readonly job: Job
  /** Published to the job's lane once the transaction is durable. */
  readonly envelope: Envelope
  /** The client's key for this submission; `bodyHash` tells a repeat from a misuse. */
  readonly idempotency: { readonly key: string; readonly bodyHash: string; readonly expiresAt: number } | null
  /** Jobs of the namespace that may be unfinished, this one included. */
  readonly openJobsMax: number
}

export interface Admitted {
  readonly row: JobRow
  /** False when the idempotency key named a job that exists already: nothing was reserved. */
  readonly created: boolean
}

export interface Claim {
  readonly jobId: JobId
  readonly daemonId: DaemonId
  /** `node`: a new attempt on this node. null: take over the attempt that the row names, without a new one. */
  readonly nodeId: NodeId | null
  /** The epoch that the claimer saw; another epoch in the row refuses the claim. */
  readonly epochSeen: number
  readonly failures: number
  /**
   * A living owner that it is taken over from, because the attempt's node is connected to the claimer now. Anybody else's row is still refused as
   * `owned`; the owner finds out by the epoch.
   */
  readonly from: DaemonId | null
  /** This claim follows the death of an actor or of the owner. Counted: a job that takes daemons down with it must end. */
  readonly crashed: boolean
  readonly at: number
}

export type Claimed =
  | { readonly _tag: "Claimed"; readonly row: JobRow }
  /** unknown: no such job. ended: terminal. owned: another living daemon acts for it. dead: the claimer was declared dead. epoch: seen too late. */
  | {
      readonly _tag: "Refused"
      readonly why: "unknown" | "ended" | "owned" | "dead" | "epoch"
      readonly row: JobRow | null
    }

export interface Release {
  readonly jobId: JobId
  readonly daemonId: DaemonId
  readonly epoch: number
  readonly runAt: number
  readonly code: string
  readonly envelope: Envelope
  readonly at: number
}

export interface Finish {
  readonly jobId: JobId
  /** null: nobody owns it (it waits, and is expired or cancelled where it waits). */
  readonly daemonId: DaemonId | null
  readonly epoch: number
  readonly state: TerminalState
  /** At most what was reserved; the rest is refunded in the same transaction. */
  readonly charge: Credits
  readonly usage: Usage
  readonly nodeId: NodeId | null
  readonly code: string | null
  /** Published on the topic `job` when durable. */
  readonly envelope: Envelope
  readonly at: number
}

export type Guarded =
  | { readonly _tag: "Done"; readonly row: JobRow }
  /** The row is as this very call would leave it: a repeat. */
  | { readonly _tag: "Repeated"; readonly row: JobRow }
  | { readonly _tag: "Stale"; readonly row: JobRow | null }

/** The code of a job that was refused after its row was there: its client is told to try again, with the same key. */
export const WITHDRAWN = "record_unavailable"

export interface Driver {
  /**
   * Afterwards the row is `queued`, its credits are reserved, and its outbox row waits. Twice with one job id, or with one
   * idempotency key and body: the first row, `created: false`. Refused (nothing changed): `insufficient_credits`,
   * `idempotency_mismatch`, `overloaded` (open jobs), `not_found` (no such namespace). A key whose job ended as {@link WITHDRAWN} is free again.
   */
  readonly admit: (admission: Admission) => Effect.Effect<Admitted, Refusal | Outage>
  /**
   * Afterwards the row is `active`, owned by the claimer, with epoch + 1 and, with a node, attempt + 1. Allowed when the row is
   * queued, or active with a dead owner, or active and owned by the claimer itself or by `from`, and only with the epoch that it saw.
   */
  readonly claim: (claim: Claim) => Effect.Effect<Claimed, Outage>
  /** Afterwards the row is `queued` without owner and published again. Only from `active` with this owner and epoch. */
  readonly release: (release: Release) => Effect.Effect<Guarded, Outage>
  /**
   * Afterwards the row is terminal, `charge` settled, the rest refunded. Only with this epoch and owner (null: from `queued`).
   * A charge above the reservation is a defect of the caller.
   */
  readonly finish: (finish: Finish) => Effect.Effect<Guarded, Outage>
  readonly get: (jobId: JobId) => Effect.Effect<JobRow | null, Outage>
  /** The job's history, oldest first. */
  readonly events: (jobId: JobId) => Effect.Effect<ReadonlyArray<JobEvent>, Outage>
  /** Afterwards the rows of those that have ended name no end user. What has not ended, or is not there, stays as it is. */
  readonly forgetTags: (jobIds: ReadonlyArray<JobId>) => Effect.Effect<void, Outage>
}

/** Questions of the sweepers and of operators about many rows at once. */
export interface Survey {
  /** Unfinished rows whose deadline has passed, oldest deadline first. */
  readonly due: (now: number, limit: number) => Effect.Effect<ReadonlyArray<JobRow>, Outage>
  /** Queued rows, ready since `before`, without an unsent outbox row: their message may be lost. Ordered by id, after `after`. */
  readonly waiting: (before: number, after: JobId | null, limit: number) => Effect.Effect<ReadonlyArray<JobRow>, Outage>
  /** Active rows of owners that are not alive. */
  readonly orphans: (limit: number) => Effect.Effect<ReadonlyArray<JobRow>, Outage>
  /** Lanes with waiting rows, and how many wait. */
  readonly lanes: Effect.Effect<
    ReadonlyArray<{ readonly lane: Lane; readonly waiting: number; readonly oldestAt: number }>,
    Outage
  >
  /** Unfinished jobs of a namespace. */
  readonly open: (namespaceId: NamespaceId) => Effect.Effect<number, Outage>
}

export class JobStore extends Context.Service<JobStore, Driver>()("resultity/layers/JobStore") {}
export class JobSurvey extends Context.Service<JobSurvey, Survey>()("resultity/layers/JobSurvey") {}

/** The balance checks that every back end's transactions must pass; exported for them, since only they see both sides. */
export const assertConserved = ({ granted, available, reserved, spent }: Balance): void => {
  if (available + reserved + spent !== granted) {
    throw new Error(`credits are not conserved: ${available} + ${reserved} + ${spent} is not ${granted}`)
  }
}

export const make = (driver: Driver): JobStore["Service"] =>
  JobStore.of({
    admit: traced("JobStore.admit", driver.admit),
    claim: traced("JobStore.claim", (claim) => Effect.tap(driver.claim(claim), assertClaimed)),
    release: traced("JobStore.release", driver.release),
    finish: traced("JobStore.finish", driver.finish),
    get: driver.get,
    forgetTags: (jobIds) => (jobIds.length === 0 ? Effect.void : driver.forgetTags(jobIds)),
    events: traced("JobStore.events", (jobId) => Effect.tap(driver.events(jobId), assertHistory))
  })

const assertClaimed = (claimed: Claimed): Effect.Effect<void> =>
  claimed._tag === "Claimed" && (claimed.row.state !== "active" || claimed.row.owner === null)
    ? Effect.die(new Error(`claimed row of ${claimed.row.job.id} is ${claimed.row.state}`))
    : Effect.void

/** A history that is not gap-free or makes an illegal move is a defect of the back end. */
const assertHistory = (events: ReadonlyArray<JobEvent>): Effect.Effect<void> => {
  const broken = events.find(
    (event, index) => event.seq !== index + 1 || (event.from === null ? index !== 0 : !isLegal(event.from, event.to))
  )
  return broken === undefined
    ? Effect.void
    : Effect.die(new Error(`history of ${broken.jobId} is broken at ${broken.seq}`))
}

/** A row as admission leaves it. */
export const queuedRow = (job: Job): JobRow => ({
  job,
  state: "queued",
  owner: null,
  epoch: 0,
  attempt: 0,
  failures: 0,
  crashes: 0,
  nodeId: null,
  runAt: job.acceptedAt,
  usage: { promptTokens: 0, outputTokens: 0 },
  charged: zero,
  errorCode: null,
  finishedAt: null
})
