/** The documents of jobs in a Map. A marked document is frozen: a patch finds it no more, so what was archived is what is pruned. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as JobRecords from "../JobRecords.ts"
import { byText, MemoryRecords, sees, type State } from "./MemoryRecords.ts"

const driver = (state: State): JobRecords.Driver => ({
  open: (record) =>
    Effect.sync(() => {
      if (state.records.has(record.jobId)) return false
      state.records.set(record.jobId, { record, epoch: 0, mark: null })
      return true
    }),
  patch: ({ jobId, epoch, patch, durable }) =>
    Effect.sync(() => {
      const stored = state.records.get(jobId)
      if (stored === undefined || stored.mark !== null || stored.record.tombstone !== undefined) return "missing"
      if (epoch < stored.epoch || (!durable && stored.record.completeness !== "open")) return "stale"
      stored.epoch = epoch
      stored.record = { ...stored.record, ...patch }
      return "done"
    }),
  get: (scope, jobId) =>
    Effect.sync(() => {
      const record = state.records.get(jobId)?.record
      return record !== undefined && sees(scope, record.namespaceId) ? record : null
    }),
  discard: (jobId) =>
    Effect.sync(() => {
      if (state.records.get(jobId)?.mark === null) state.records.delete(jobId)
    }),
  unfinished: (before, limit) =>
    Effect.sync(() =>
      [...state.records.values()]
        .map(({ record }) => record)
        .filter(
          ({ completeness, state, createdAt }) =>
            completeness === "open" && (state === "queued" || state === "active") && createdAt < before
        )
        .toSorted((a, b) => a.createdAt - b.createdAt || byText(a.jobId, b.jobId))
        .slice(0, Math.max(limit, 0))
        .map(({ jobId }) => jobId)
    )
})

export const layer = Layer.effect(
  JobRecords.JobRecords,
  Effect.map(MemoryRecords, (state) => JobRecords.make(driver(state)))
)
