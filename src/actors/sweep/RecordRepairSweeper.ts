/**
 * Compares documents that look unfinished with the deciding store: one whose job ended (its writer died between the two) is closed as truncated
 * with the reason, one whose submission was refused or never came through is discarded.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { JobRecords } from "../../layers/JobRecords.ts"
import type { JobStore } from "../../layers/JobStore.ts"
import type { JobId } from "../../schemas/Ids.ts"
import { isTerminal } from "../../schemas/JobState.ts"
import type { Options } from "./Sweeper.ts"

/** Younger documents may be in the hands of their writer. */
const AGE_MIN_MS = 10 * 60_000
const AT_ONCE = 16

export const make = (records: JobRecords["Service"], store: JobStore["Service"]): Options => ({
  name: "record-repair",
  everyMs: 30_000,
  batchMax: 500,
  sweepBatch: (watermark, max, dryRun) =>
    Effect.gen(function* () {
      const before = (yield* Clock.currentTimeMillis) - AGE_MIN_MS
      const ids = yield* records.unfinished(before, max)
      const repaired = yield* Effect.forEach(ids, (id) => repair(records, store, id, dryRun), { concurrency: AT_ONCE })
      const taken = repaired.filter(Boolean).length
      // A full page of jobs that really run would be looked at again and again within one pass.
      return { taken: taken === 0 ? 0 : Math.min(taken, max - 1), watermark }
    })
})

const repair = (records: JobRecords["Service"], store: JobStore["Service"], jobId: JobId, dryRun: boolean) =>
  Effect.gen(function* () {
    const row = yield* store.get(jobId)
    if (row !== null && !isTerminal(row.state)) return false
    if (dryRun) return true
    if (row === null) {
      yield* records.discard(jobId)
      return true
    }
    const { state, errorCode, finishedAt, charged } = row
    yield* records.patch(
      jobId,
      { state, errorCode, finishedAt, cost: charged, completeness: "truncated", truncatedReason: "record_lost" },
      true
    )
    return true
  })
