/**
 * Ends jobs whose deadline passed where they wait, behind whatever else. A job with an actor looks after its own deadline; this is for those
 * that nobody holds, and for actors that missed it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { JobRecords } from "../../layers/JobRecords.ts"
import type { JobStore, JobSurvey } from "../../layers/JobStore.ts"
import { endWaiting } from "../EndWaiting.ts"
import type { Options } from "./Sweeper.ts"

/** What an actor is given to do it itself. */
const GRACE_MS = 250
const AT_ONCE = 64
const EXPIRED = { state: "expired", code: "deadline" } as const

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
      if (!dryRun)
        yield* Effect.forEach(waiting, (row) => endWaiting(house, row, EXPIRED), {
          concurrency: AT_ONCE,
          discard: true
        })
      return { taken: waiting.length, watermark }
    })
})
