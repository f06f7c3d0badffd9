/**
 * Letting go of finished jobs in a way that no crash can make lossy or double: first the batch is chosen and marked with its segment, then
 * read, archived and verified, and only then pruned. Whoever comes after a crash finds the marks and goes on with the same batch.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { JobClass, SegmentId } from "../schemas/Archive.ts"
import type { JobId, NamespaceId } from "../schemas/Ids.ts"
import type { JobRecord, LogEntry } from "../schemas/JobRecord.ts"
import type { Tombstone } from "../schemas/Tombstone.ts"
import type { TokenEvent } from "../schemas/TokenEvent.ts"
import type { Outage } from "./Outage.ts"

/** One line of a segment: everything that is known of one job. */
export interface ArchivedJob {
  readonly record: JobRecord
  readonly traces: ReadonlyArray<TokenEvent>
  readonly logs: ReadonlyArray<LogEntry>
}

/** What a mark is for. erased: the body goes on request, and nothing of it to the archive. */
export type LeavesAs = JobClass | "erased"

/** whole: with its body. stripped: the body has left. held: under legal hold, with or without it. */
export type Part = "whole" | "stripped" | "held"

export interface RetiringSegment {
  readonly segmentId: SegmentId
  readonly namespaceId: NamespaceId
  readonly leavesAs: LeavesAs
  readonly count: number
}

/** What stands in the place of the body of this job from now on. */
export interface Stone {
  readonly jobId: JobId
  readonly tombstone: Tombstone
}

export interface Driver {
  /** Finished, unmarked jobs of this part of the namespace's that ended before `finishedBefore`, oldest first: what a pass would take. */
  readonly expired: (
    namespaceId: NamespaceId,
    finishedBefore: number,
    limit: number,
    part?: Part
  ) => Effect.Effect<ReadonlyArray<JobId>, Outage>
  /** Marks those of the jobs that are finished, unmarked and unheld (as `held`: also held ones); returns how many now carry the mark. */
  readonly mark: (
    segmentId: SegmentId,
    jobIds: ReadonlyArray<JobId>,
    leavesAs?: LeavesAs
  ) => Effect.Effect<number, Outage>
  /** Segments that are marked and not pruned yet. */
  readonly retiring: Effect.Effect<ReadonlyArray<RetiringSegment>, Outage>
  /** The marked jobs with their traces and logs, ordered by (finishedAt, jobId): the same bytes each time. */
  readonly read: (segmentId: SegmentId) => Effect.Effect<ReadonlyArray<ArchivedJob>, Outage>
  /**
   * Deletes the marked jobs with traces and logs; with `stones`, only the bodies and pieces of these of them, which give way to their stones and are
   * unmarked. Returns how many. Call it only after the archive was verified, unless nothing is to be archived. Twice: 0.
   */
  readonly prune: (segmentId: SegmentId, stones?: ReadonlyArray<Stone>) => Effect.Effect<number, Outage>
  /** Legal hold. A job that is marked already can no longer be held: false. */
  readonly hold: (jobId: JobId, held: boolean) => Effect.Effect<boolean, Outage>
  readonly counts: Effect.Effect<{ readonly live: number; readonly pruned: number }, Outage>
}

export class RecordRetention extends Context.Service<RecordRetention, Driver>()("resultity/layers/RecordRetention") {}

export const make = (driver: Driver): RecordRetention["Service"] =>
  RecordRetention.of({
    ...driver,
    mark: Effect.fn("RecordRetention.mark")(driver.mark),
    prune: Effect.fn("RecordRetention.prune")(driver.prune)
  })
