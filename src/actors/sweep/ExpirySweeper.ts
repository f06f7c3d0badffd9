/**
 * Ends jobs whose deadline passed where they wait, behind whatever else. A job with an actor looks after its own deadline; this is for those
 * that nobody holds, and for actors that missed it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { JobRecords } from "../../layers/JobRecords.ts"
import type { JobStore, JobSurvey } from "../../layers/JobStore.ts"
import { zero } from "../../schemas/Credits.ts"
import { freshEnvelope } from "../../schemas/Envelope.ts"
import type { JobRow } from "../../schemas/JobState.ts"
import { giveRowsWord } from "../RowsWord.ts"
import type { Options } from "./Sweeper.ts"

/** What an actor is given to do it itself. */
const GRACE_MS = 250
const AT_ONCE = 64

export interface ExpiryHouse {
  readonly store: JobStore["Service"]
  readonly survey: JobSurvey["Service"]
  readonly records: JobRecords["Service"]
}

export const make = (house: ExpiryHouse): Options => ({
  name: "expiry",
  everyMs: 500,
  batchMax: 500,
  sweepBatch: (watermark, max, dryRun) =>
    Effect.gen(function* () {
      const due = yield* house.survey.due((yield* Clock.currentTimeMillis) - GRACE_MS, max)
      const waiting = due.filter(({ state }) => state === "queued")
      if (!dryRun) yield* Effect.forEach(waiting, (row) => expire(house, row), { concurrency: AT_ONCE, discard: true })
      return { taken: waiting.length, watermark }
    })
})

/** Record, then row, guarded by the epoch that was seen: who claimed it in between keeps it. */
const expire = ({ records, store }: ExpiryHouse, { job, epoch }: JobRow) =>
  Effect.gen(function* () {
    const at = yield* Clock.currentTimeMillis
    const closing = {
      state: "expired",
      errorCode: "deadline",
      finishedAt: at,
      cost: zero,
      completeness: "truncated",
      truncatedReason: "deadline"
    } as const
    yield* records.patch({ jobId: job.id, epoch, patch: closing, durable: true })
    const guarded = yield* store.finish({
      jobId: job.id,
      daemonId: null,
      epoch,
      state: "expired",
      charge: zero,
      usage: { promptTokens: 0, outputTokens: 0 },
      nodeId: null,
      code: "deadline",
      envelope: yield* freshEnvelope(
        { _tag: "JobFinished", jobId: job.id, state: "expired" },
        { traceparent: job.traceparent }
      ),
      at
    })
    if (guarded._tag === "Stale") yield* giveRowsWord({ records, store }, job.id)
  })
