/**
 * Takes what was written to the ledger into the rollups and closes the hours that are over: credits first, then the jobs that these settled, then the accounts.
 * Each page is a transaction that moves its own watermark, so a pass that breaks off, or is done by two leaders at once, counts nothing twice.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import { rollupEntries, rollupsClosedUntil } from "../../layers/Metrics.ts"
import type { Outage } from "../../layers/Outage.ts"
import type { Booking, Rollups } from "../../layers/Rollups.ts"
import { NamespaceId } from "../../schemas/Ids.ts"
import { hourOf } from "../../schemas/Rollup.ts"
import type { Options } from "./Sweeper.ts"

/**
 * How long an hour stays open after its end. What is under way is bounded by seconds, so what comes later had a daemon that was stopped, or a store that was out; it
 * counts in the next hour then, and what is closed stays as it is.
 */
export const SETTLED_MS = 5 * 60_000
/** Entries of one transaction. */
const PAGE = 250
/** Hours of accounts that one batch closes; more follow in the next one. */
const HOURS_MAX = 48

/** Where a pass over the namespaces stands, and when it began: an hour may be closed once a whole pass began after it. */
const Watermark = Schema.Struct({
  stage: Schema.Literals(["credits", "jobs"]),
  from: Schema.NullOr(NamespaceId),
  since: Schema.Int
})
type Watermark = typeof Watermark.Type
const isWatermark = Schema.is(Watermark)

export const make = (rollups: Rollups["Service"]): Options => ({
  name: "rollup",
  everyMs: 60_000,
  batchMax: 5_000,
  sweepBatch: (stored, max, dryRun) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      if (dryRun) {
        const waiting = yield* rollups.waiting
        return { taken: waiting.credits, watermark: stored, detail: { ...waiting } }
      }
      const begun: Watermark = isWatermark(stored) ? stored : { stage: "credits", from: null, since: now }
      const { taken, at } = yield* goOn(rollups, begun, max, now)
      if (at !== null) return { taken: max, watermark: at, detail: { entries: taken } }
      const accounts = yield* rollups.close("accounts", begun.since, HOURS_MAX)
      const { jobs } = yield* rollups.closedUntil
      yield* Metric.update(rollupsClosedUntil, Math.min(jobs, accounts) / 1000)
      // A full batch means that there is more; the sweeper goes on at once then, and only then.
      const isBehind = accounts < jobs
      return { taken: isBehind ? max : Math.min(taken, max - 1), watermark: null, detail: { entries: taken } }
    })
})

/** Takes at most `max` entries; `at`: where to go on, or null when the pass is through. */
const goOn = (rollups: Rollups["Service"], { since, ...begun }: Watermark, max: number, now: number) =>
  Effect.gen(function* () {
    let [taken, stage, from] = [0, begun.stage, begun.from]
    while (taken < max) {
      const booked = yield* rollups.book(stage, from, Math.min(PAGE, max - taken), now)
      taken += booked.taken
      yield* Metric.update(Metric.withAttributes(rollupEntries, { definition: stage }), booked.taken)
      from = booked.next
      if (from !== null) continue
      const next = yield* closing(rollups, stage, since)
      if (next === null) return { taken, at: null }
      stage = next
    }
    return { taken, at: { stage, from, since } satisfies Watermark }
  })

/** Every namespace was looked at since the pass began: closes what was over then. Answers what comes next, or null. */
const closing = (rollups: Rollups["Service"], stage: Booking, since: number): Effect.Effect<Booking | null, Outage> =>
  Effect.as(rollups.close(stage, hourOf(since - SETTLED_MS), 1), stage === "credits" ? ("jobs" as const) : null)
