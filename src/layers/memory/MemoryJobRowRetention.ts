/** Rows of jobs that leave the state in memory, with their histories. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { JobId } from "../../schemas/Ids.ts"
import { dayOf } from "../../schemas/Rollup.ts"
import type { SegmentId } from "../../schemas/SegmentId.ts"
import { type Driver, JobRowRetention, type LeavingBounds, leavingRow, make } from "../JobRowRetention.ts"
import { byText } from "./MemoryRecords.ts"
import { MemoryState, type State, type StoredJob } from "./MemoryState.ts"

const byEnd = (a: StoredJob, b: StoredJob): number =>
  (a.row.finishedAt ?? 0) - (b.row.finishedAt ?? 0) || byText(a.row.job.id, b.row.job.id)

/** What ended from here on stays: its day is open, or a message of its time is not out. */
const boundOf = (state: State, before: number): number =>
  Math.min(
    before,
    dayOf(Math.min(...Object.values(state.rollups.closedUntil))),
    ...[...state.outbox.values()].map(({ dueAt }) => dueAt)
  )

const isBooked = (state: State, { account, row }: StoredJob): boolean => {
  const settled = account.entries.find(({ kind, jobId }) => kind === "settle" && jobId === row.job.id)
  return settled !== undefined && settled.seq <= (state.rollups.places.get(account.namespace.id)?.jobsSeq ?? 0)
}

const mayLeave = (state: State, { before, now }: LeavingBounds) => {
  const bound = boundOf(state, before)
  const announced = new Set(
    [...state.outbox.values()].flatMap(({ row: { envelope } }) =>
      envelope.message._tag === "JobQueued" ? envelope.message.jobId : []
    )
  )
  return (stored: StoredJob): boolean => {
    const { row, account } = stored
    const remembered = [...account.remembered.values()].some(
      ({ jobId, expiresAt }) => jobId === row.job.id && expiresAt > now
    )
    return (
      row.finishedAt !== null &&
      row.finishedAt < bound &&
      !state.leaving.has(row.job.id) &&
      !announced.has(row.job.id) &&
      !remembered &&
      isBooked(state, stored)
    )
  }
}

const marked = (state: State, segmentId: SegmentId): ReadonlyArray<StoredJob> =>
  [...state.leaving]
    .flatMap(([jobId, under]) => (under === segmentId ? (state.jobs.get(jobId) ?? []) : []))
    .toSorted(byEnd)

const mark = (state: State, segmentId: SegmentId, jobIds: ReadonlyArray<JobId>, bounds: LeavingBounds): number => {
  const may = mayLeave(state, bounds)
  for (const jobId of jobIds) {
    const stored = state.jobs.get(jobId)
    if (stored !== undefined && may(stored)) state.leaving.set(jobId, segmentId)
  }
  return marked(state, segmentId).length
}

const prune = (state: State, segmentId: SegmentId): number => {
  const leaving = marked(state, segmentId)
  for (const { row, account } of leaving) {
    for (const [key, { jobId }] of account.remembered) if (jobId === row.job.id) account.remembered.delete(key)
    state.leaving.delete(row.job.id)
    state.jobs.delete(row.job.id)
  }
  return leaving.length
}

const driver = (state: State): Driver => ({
  expired: (after, bounds, limit) =>
    Effect.sync(() => {
      const may = mayLeave(state, bounds)
      return [...state.jobs.values()]
        .filter(may)
        .toSorted(byEnd)
        .map(({ row }) => ({ endedAt: row.finishedAt ?? 0, jobId: row.job.id, namespaceId: row.job.namespaceId }))
        .filter(
          ({ endedAt, jobId }) =>
            after === null || endedAt > after.endedAt || (endedAt === after.endedAt && byText(jobId, after.jobId) > 0)
        )
        .slice(0, Math.max(0, limit))
    }),
  mark: (segmentId, jobIds, bounds) => Effect.sync(() => mark(state, segmentId, jobIds, bounds)),
  retiring: Effect.sync(() =>
    [...new Set(state.leaving.values())]
      .toSorted(byText)
      .map((segmentId) => ({ segmentId, count: marked(state, segmentId).length }))
  ),
  read: (segmentId) =>
    Effect.sync(() => marked(state, segmentId).map(({ row, events }) => leavingRow(row, [...events]))),
  prune: (segmentId) => Effect.sync(() => prune(state, segmentId))
})

export const layer: Layer.Layer<JobRowRetention, never, MemoryState> = Layer.effect(
  JobRowRetention,
  Effect.map(MemoryState, (state) => make(driver(state)))
)
