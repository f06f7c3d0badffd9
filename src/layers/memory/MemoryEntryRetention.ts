/** Marks beside log entries and incidents, and their deletion. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { EntryClass, SegmentId } from "../../schemas/Archive.ts"
import type { IncidentId, NamespaceId } from "../../schemas/Ids.ts"
import * as EntryRetention from "../EntryRetention.ts"
import { byText, MemoryRecords, type State } from "./MemoryRecords.ts"

interface Found {
  readonly id: string
  readonly namespaceId: NamespaceId | null
  readonly entry: EntryRetention.Entry
}

const keyOf = (dataClass: EntryClass, id: string) => `${dataClass} ${id}`

/** Oldest first; entries of one instant in order of arrival. */
const all = (state: State, dataClass: EntryClass): ReadonlyArray<Found> =>
  dataClass === "logs"
    ? state.logs
        .map(({ number, entry }) => ({
          id: String(number),
          namespaceId: entry.namespaceId,
          entry: { _tag: "log" as const, id: String(number), at: entry.at, entry }
        }))
        .toSorted((a, b) => a.entry.at - b.entry.at)
    : [...state.incidents.values()]
        .map((entry) => ({
          id: entry.id as string,
          namespaceId: entry.namespaceId,
          entry: { _tag: "incident" as const, id: entry.id, at: entry.at, entry }
        }))
        .toSorted((a, b) => a.entry.at - b.entry.at || byText(a.id, b.id))

const marked = (state: State, dataClass: EntryClass, segmentId: SegmentId) =>
  all(state, dataClass).filter(({ id }) => state.marks.get(keyOf(dataClass, id)) === segmentId)

const isOfLiveJob = (state: State, { entry }: Found): boolean =>
  entry._tag === "log" && entry.entry.jobId !== null && state.records.has(entry.entry.jobId)

const expired = (
  state: State,
  dataClass: EntryClass,
  namespaceId: NamespaceId | null,
  before: number,
  limit: number
): ReadonlyArray<string> =>
  all(state, dataClass)
    .filter(
      (found) =>
        found.namespaceId === namespaceId &&
        found.entry.at < before &&
        !state.marks.has(keyOf(dataClass, found.id)) &&
        !isOfLiveJob(state, found)
    )
    .slice(0, Math.max(limit, 0))
    .map(({ id }) => id)

const mark = (state: State, dataClass: EntryClass, segmentId: SegmentId, ids: ReadonlyArray<string>): number => {
  const known = new Set(all(state, dataClass).map(({ id }) => id))
  for (const id of ids) {
    const key = keyOf(dataClass, id)
    if (known.has(id) && !state.marks.has(key)) state.marks.set(key, segmentId)
  }
  return marked(state, dataClass, segmentId).length
}

const retiring = (state: State): ReadonlyArray<EntryRetention.RetiringEntries> => {
  const segments = new Map<string, EntryRetention.RetiringEntries>()
  for (const dataClass of ["logs", "incidents"] as const) {
    for (const { id, namespaceId } of all(state, dataClass)) {
      const segmentId = state.marks.get(keyOf(dataClass, id))
      if (segmentId === undefined) continue
      const count = (segments.get(segmentId)?.count ?? 0) + 1
      segments.set(segmentId, { segmentId, dataClass, namespaceId, count })
    }
  }
  return [...segments.values()]
}

const prune = (state: State, dataClass: EntryClass, segmentId: SegmentId): number => {
  const leaving = new Set(marked(state, dataClass, segmentId).map(({ id }) => id))
  if (dataClass === "logs") state.logs = state.logs.filter(({ number }) => !leaving.has(String(number)))
  for (const id of leaving) {
    if (dataClass === "incidents") state.incidents.delete(id as IncidentId)
    state.marks.delete(keyOf(dataClass, id))
  }
  return leaving.size
}

const driver = (state: State): EntryRetention.Driver => ({
  expired: (dataClass, namespaceId, before, limit) =>
    Effect.sync(() => expired(state, dataClass, namespaceId, before, limit)),
  mark: (dataClass, segmentId, ids) => Effect.sync(() => mark(state, dataClass, segmentId, ids)),
  retiring: Effect.sync(() => retiring(state)),
  read: (dataClass, segmentId) => Effect.sync(() => marked(state, dataClass, segmentId).map(({ entry }) => entry)),
  prune: (dataClass, segmentId) => Effect.sync(() => prune(state, dataClass, segmentId))
})

export const layer = Layer.effect(
  EntryRetention.EntryRetention,
  Effect.map(MemoryRecords, (state) => EntryRetention.make(driver(state)))
)
