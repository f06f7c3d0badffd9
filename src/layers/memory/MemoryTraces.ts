/** The pieces of each job in an array, whose length is the last number: gap-free by construction. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { JobId } from "../../schemas/Ids.ts"
import * as Traces from "../Traces.ts"
import { MemoryRecords, sees, type State, type StoredTrace } from "./MemoryRecords.ts"

const traceOf = (state: State, jobId: JobId): StoredTrace => {
  const known = state.traces.get(jobId)
  if (known !== undefined) return known
  const fresh: StoredTrace = { epoch: 0, events: [] }
  state.traces.set(jobId, fresh)
  return fresh
}

const append = (state: State, { jobId, epoch, events }: Traces.TraceBatch): boolean => {
  const trace = traceOf(state, jobId)
  const [first] = events
  if (epoch < trace.epoch || (first !== undefined && first.seq > trace.events.length + 1)) return false
  // A writer that came without a fence keeps the older ones out all the same.
  trace.epoch = epoch
  const last = trace.events.length
  trace.events.push(...events.filter(({ seq }) => seq > last))
  return true
}

const driver = (state: State): Traces.Driver => ({
  fence: (jobId, epoch) =>
    Effect.sync(() => {
      const trace = traceOf(state, jobId)
      trace.epoch = Math.max(trace.epoch, epoch)
      return [...trace.events]
    }),
  append: (batch) => Effect.sync(() => append(state, batch)),
  read: (scope, jobId, afterSeq, limit) =>
    Effect.sync(() => {
      const trace = state.traces.get(jobId)
      if (trace === undefined || !sees(scope, state.records.get(jobId)?.record.namespaceId ?? null)) return []
      const from = Math.max(afterSeq, 0)
      return trace.events.slice(from, from + Math.max(limit, 0))
    })
})

export const layer = Layer.effect(
  Traces.Traces,
  Effect.map(MemoryRecords, (state) => Traces.make(driver(state)))
)
