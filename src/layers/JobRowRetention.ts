/**
 * Rows of jobs that leave the deciding store, with their history, long after their end: the ledger and the rollups keep what was paid and counted. A batch is
 * marked with its segment first, then read, archived and verified, and only then pruned; whoever comes after a crash goes on with the same batch. What refers
 * to a job stands by itself (entries, leaves of receipts, stones) or goes with the row (history, keys of idempotency that are over).
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { JobId, NamespaceId } from "../schemas/Ids.ts"
import type { LeavingRow } from "../schemas/JobRowLine.ts"
import type { JobRow } from "../schemas/JobState.ts"
import type { JobEvent } from "../schemas/JobEvent.ts"
import { isTerminal } from "../schemas/JobState.ts"
import type { SegmentId } from "../schemas/SegmentId.ts"
import type { Outage } from "./Outage.ts"

/** Where a row stands in the order of their ends. */
export interface EndedPlace {
  readonly endedAt: number
  readonly jobId: JobId
}

export interface LeavableRow extends EndedPlace {
  readonly namespaceId: NamespaceId
}

export interface LeavingBounds {
  /** Rows that ended from here on stay. */
  readonly before: number
  /** A key of idempotency that holds beyond it keeps its row. */
  readonly now: number
}

export interface RetiringRows {
  readonly segmentId: SegmentId
  readonly count: number
}

export interface Driver {
  /**
   * Unmarked rows that may leave, oldest end first, after this place (null: from the first on): terminal, of a day that is closed by every definition, with
   * an entry of settlement that the rollups took, without a message of theirs in the outbox (of their time: of anybody's), and without a living key of
   * idempotency. Whether a record of the job is still live is not known here.
   */
  readonly expired: (
    after: EndedPlace | null,
    bounds: LeavingBounds,
    limit: number
  ) => Effect.Effect<ReadonlyArray<LeavableRow>, Outage>
  /** Marks those of them that may leave and are unmarked; returns how many now carry the mark. */
  readonly mark: (
    segmentId: SegmentId,
    jobIds: ReadonlyArray<JobId>,
    bounds: LeavingBounds
  ) => Effect.Effect<number, Outage>
  /** Segments that are marked and not pruned yet, by their ids. */
  readonly retiring: Effect.Effect<ReadonlyArray<RetiringRows>, Outage>
  /** The marked rows with their histories, ordered by (finishedAt, jobId): the same each time. */
  readonly read: (segmentId: SegmentId) => Effect.Effect<ReadonlyArray<LeavingRow>, Outage>
  /**
   * Deletes the marked rows, with their histories and keys of idempotency, all or none; returns how many rows. Entries of the ledger stay. Call it only after
   * the archive was verified, unless nothing is to be archived. Twice: 0.
   */
  readonly prune: (segmentId: SegmentId) => Effect.Effect<number, Outage>
}

export class JobRowRetention extends Context.Service<JobRowRetention, Driver>()("resultity/layers/JobRowRetention") {}

export const make = (driver: Driver): JobRowRetention["Service"] =>
  JobRowRetention.of({
    ...driver,
    mark: Effect.fn("JobRowRetention.mark")(driver.mark),
    prune: Effect.fn("JobRowRetention.prune")(driver.prune)
  })

/** Of a row that is marked, and so has ended; anything else is a defect of the back end. */
export const leavingRow = (row: JobRow, events: ReadonlyArray<JobEvent>): LeavingRow => {
  const { state, owner, finishedAt } = row
  if (!isTerminal(state) || owner !== null || finishedAt === null) {
    throw new Error(`the row of ${row.job.id} is marked and has not ended`)
  }
  return { row: { ...row, state, owner, finishedAt }, events }
}
