/**
 * Compares documents that look unfinished with the deciding store: one whose job ended (its writer died between the two) is closed, whole if
 * its pieces are, else as truncated with the reason; one whose submission was refused or never came through is discarded.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { JobRecords } from "../../layers/JobRecords.ts"
import type { JobStore } from "../../layers/JobStore.ts"
import type { Traces } from "../../layers/Traces.ts"
import type { JobId } from "../../schemas/Ids.ts"
import { isTerminal, type JobRow } from "../../schemas/JobState.ts"
import type { TokenEvent } from "../../schemas/TokenEvent.ts"
import { closingOf } from "../ClosingRecord.ts"
import type { Options } from "./Sweeper.ts"

/** Younger documents may be in the hands of their writer. */
const AGE_MIN_MS = 10 * 60_000
const AT_ONCE = 16
const PAGE = 512
const SCOPE = { _tag: "Operator", by: "sweeper/record-repair" } as const

export interface RepairHouse {
  readonly records: JobRecords["Service"]
  readonly store: JobStore["Service"]
  readonly traces: Traces["Service"]
}

export const make = (house: RepairHouse): Options => ({
  name: "record-repair",
  everyMs: 30_000,
  batchMax: 500,
  sweepBatch: (watermark, max, dryRun) =>
    Effect.gen(function* () {
      const before = (yield* Clock.currentTimeMillis) - AGE_MIN_MS
      const ids = yield* house.records.unfinished(before, max)
      const repaired = yield* Effect.forEach(ids, (id) => repair(house, id, dryRun), { concurrency: AT_ONCE })
      const taken = repaired.filter(Boolean).length
      // A full page of jobs that really run would be looked at again and again within one pass.
      return { taken: taken === 0 ? 0 : Math.min(taken, max - 1), watermark }
    })
})

const repair = ({ records, store, traces }: RepairHouse, jobId: JobId, dryRun: boolean) =>
  Effect.gen(function* () {
    const row = yield* store.get(jobId)
    if (row !== null && !isTerminal(row.state)) return false
    if (dryRun) return true
    if (row === null) {
      yield* records.discard(jobId)
      return true
    }
    const events = yield* readAll(traces, jobId)
    const patch = closingOf(row, events, row.state === "completed" && isWhole(row, events))
    yield* records.patch({ jobId, epoch: row.epoch, patch, durable: true })
    return true
  })

const readAll = (traces: Traces["Service"], jobId: JobId) =>
  Effect.gen(function* () {
    const events: Array<TokenEvent> = []
    while (true) {
      const page = yield* traces.read(SCOPE, jobId, events.length, PAGE)
      events.push(...page)
      if (page.length < PAGE) return events
    }
  })

/** Every choice has said its last piece. */
const isWhole = ({ job }: JobRow, events: ReadonlyArray<TokenEvent>): boolean =>
  new Set(events.flatMap(({ choice, finish }) => (finish === undefined ? [] : [choice]))).size >= job.choices
