/**
 * Marks on the stored documents. Marking freezes the whole job: patches find the document no more, the trace is fenced for good, and log
 * entries that come later are not part of the segment and not pruned with it.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SegmentId } from "../../schemas/Archive.ts"
import { withoutBody } from "../../schemas/Body.ts"
import type { JobId } from "../../schemas/Ids.ts"
import { isTerminal } from "../../schemas/JobState.ts"
import * as RecordRetention from "../RecordRetention.ts"
import { byText, MemoryRecords, type State, type StoredRecord } from "./MemoryRecords.ts"

const hasEnded = ({ record, mark }: StoredRecord): boolean =>
  mark === null && record.finishedAt !== null && isTerminal(record.state)

const mayLeave = (stored: StoredRecord): boolean => hasEnded(stored) && !stored.record.held

const isOf: Readonly<Record<RecordRetention.Part, (stored: StoredRecord) => boolean>> = {
  whole: (stored) => mayLeave(stored) && stored.record.tombstone === undefined,
  stripped: (stored) => mayLeave(stored) && stored.record.tombstone !== undefined,
  held: (stored) => hasEnded(stored) && stored.record.held
}

const byEnd = (a: StoredRecord, b: StoredRecord): number =>
  (a.record.finishedAt ?? 0) - (b.record.finishedAt ?? 0) || byText(a.record.jobId, b.record.jobId)

const marked = (state: State, segmentId: SegmentId): ReadonlyArray<StoredRecord> =>
  [...state.records.values()].filter(({ mark }) => mark?.segmentId === segmentId).toSorted(byEnd)

const mark = (
  state: State,
  segmentId: SegmentId,
  jobIds: ReadonlyArray<JobId>,
  leavesAs: RecordRetention.LeavesAs
): number => {
  for (const jobId of jobIds) {
    const stored = state.records.get(jobId)
    if (stored === undefined || !(leavesAs === "held" ? hasEnded(stored) : mayLeave(stored))) continue
    stored.mark = { segmentId, logsSeen: state.logsSeen, leavesAs }
    state.traces.set(jobId, { epoch: Number.POSITIVE_INFINITY, events: state.traces.get(jobId)?.events ?? [] })
  }
  return marked(state, segmentId).length
}

const retiring = (state: State): ReadonlyArray<RecordRetention.RetiringSegment> => {
  const segments = new Map<string, RecordRetention.RetiringSegment>()
  for (const { record, mark } of state.records.values()) {
    if (mark === null) continue
    const key = `${mark.segmentId} ${record.namespaceId}`
    const count = (segments.get(key)?.count ?? 0) + 1
    const { segmentId, leavesAs } = mark
    segments.set(key, { segmentId, namespaceId: record.namespaceId, leavesAs, count })
  }
  return [...segments].toSorted(([a], [b]) => byText(a, b)).map(([, segment]) => segment)
}

const archived = (state: State, { record, mark }: StoredRecord): RecordRetention.ArchivedJob => ({
  record,
  traces: [...(state.traces.get(record.jobId)?.events ?? [])],
  logs: state.logs
    .filter(({ number, entry }) => entry.jobId === record.jobId && number <= (mark?.logsSeen ?? 0))
    .map(({ entry }) => entry)
    .toSorted((a, b) => a.at - b.at)
})

const prune = (state: State, segmentId: SegmentId): number => {
  const leaving = new Map(marked(state, segmentId).map(({ record, mark }) => [record.jobId, mark?.logsSeen ?? 0]))
  for (const jobId of leaving.keys()) {
    state.records.delete(jobId)
    state.traces.delete(jobId)
  }
  state.logs = state.logs.filter(
    ({ number, entry }) => entry.jobId === null || number > (leaving.get(entry.jobId) ?? -1)
  )
  state.pruned += leaving.size
  return leaving.size
}

/** The closed trace stays without its pieces, against late ones. */
const strip = (state: State, segmentId: SegmentId, stones: ReadonlyArray<RecordRetention.Stone>): number => {
  let stripped = 0
  for (const { jobId, tombstone } of stones) {
    const stored = state.records.get(jobId)
    if (stored?.mark?.segmentId !== segmentId) continue
    stored.record = withoutBody(stored.record, tombstone)
    stored.mark = null
    state.traces.set(jobId, { epoch: Number.POSITIVE_INFINITY, events: [] })
    stripped++
  }
  return stripped
}

const hold = (state: State, jobId: JobId, held: boolean): boolean => {
  const stored = state.records.get(jobId)
  if (stored === undefined || stored.mark !== null) return false
  stored.record = { ...stored.record, held }
  return true
}

const driver = (state: State): RecordRetention.Driver => ({
  expired: (namespaceId, finishedBefore, limit, part = "whole") =>
    Effect.sync(() =>
      [...state.records.values()]
        .filter(
          (stored) =>
            stored.record.namespaceId === namespaceId &&
            isOf[part](stored) &&
            (stored.record.finishedAt ?? finishedBefore) < finishedBefore
        )
        .toSorted(byEnd)
        .slice(0, Math.max(limit, 0))
        .map(({ record }) => record.jobId)
    ),
  mark: (segmentId, jobIds, leavesAs = "jobs") => Effect.sync(() => mark(state, segmentId, jobIds, leavesAs)),
  retiring: Effect.sync(() => retiring(state)),
  read: (segmentId) => Effect.sync(() => marked(state, segmentId).map((stored) => archived(state, stored))),
  prune: (segmentId, stones) =>
    Effect.sync(() => (stones === undefined ? prune(state, segmentId) : strip(state, segmentId, stones))),
  hold: (jobId, held) => Effect.sync(() => hold(state, jobId, held)),
  counts: Effect.sync(() => ({ live: state.records.size, pruned: state.pruned }))
})

export const layer = Layer.effect(
  RecordRetention.RecordRetention,
  Effect.map(MemoryRecords, (state) => RecordRetention.make(driver(state)))
)
