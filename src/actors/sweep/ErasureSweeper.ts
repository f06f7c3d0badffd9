/**
 * Orders of erasure, oldest first, in batches until they are done: first what is live, then what is archived. Each step may be the last before a crash and
 * is repeated by whoever comes next. A legal hold over the namespace makes an order wait; what retention has in its hands is waited for.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Erasures, Progress } from "../../layers/Erasures.ts"
import type { JobSearch, JobSummary } from "../../layers/JobSearch.ts"
import type { Namespaces } from "../../layers/Namespaces.ts"
import type { SegmentManifest } from "../../schemas/Archive.ts"
import type { Erasure } from "../../schemas/Erasure.ts"
import type { JobId } from "../../schemas/Ids.ts"
import { isTerminal } from "../../schemas/JobState.ts"
import { eraseFromSegment, type ErasingHouse, eraseLive, listSegments } from "./Erasing.ts"
import type { Options } from "./Sweeper.ts"

export interface ErasureHouse extends ErasingHouse {
  readonly erasures: Erasures["Service"]
  readonly search: JobSearch["Service"]
  readonly namespaces: Namespaces["Service"]
}

/** Orders that one round looks at. */
const ORDERS_MAX = 20

export const make = (house: ErasureHouse): Options => ({
  name: "erasure",
  everyMs: 2_000,
  batchMax: 100,
  sweepBatch: (watermark, max, dryRun) =>
    Effect.gen(function* () {
      const orders = yield* house.erasures.open(ORDERS_MAX)
      if (dryRun || orders.length === 0) return { taken: orders.length, watermark }
      let taken = 0
      for (const order of orders) taken += yield* work(house, order, max)
      return { taken, watermark }
    })
})

/** Batches of one order in one round: the others wait for no longer than these take. */
const STEPS_MAX = 50

const work = (house: ErasureHouse, order: Erasure, max: number) =>
  Effect.gen(function* () {
    let [taken, current]: [number, Erasure | null] = [0, order]
    for (let steps = 0; steps < STEPS_MAX && current !== null && current.doneAt === null; steps++) {
      const step: Progress | null = yield* takeStep(house, current, max)
      if (step === null) break
      current = yield* house.erasures.advance(order.id, step)
      taken += step.erased + step.refused
    }
    return taken
  })

/** What was done; null: it waits. */
const takeStep = (house: ErasureHouse, order: Erasure, max: number) =>
  Effect.gen(function* () {
    const namespace = yield* house.namespaces.get(order.namespaceId)
    if (namespace?.rules.held === true) return null
    if (order.jobId !== null) return yield* eraseJob(house, order, order.jobId)
    const at = placeOf(order)
    return at.phase === "live" ? yield* eraseLiveBatch(house, order, at, max) : yield* eraseSegments(house, order, at)
  })

const done = (erased: number, refused: number) =>
  Effect.map(Clock.currentTimeMillis, (doneAt): Progress => ({ cursor: null, erased, refused, doneAt }))

const eraseJob = (house: ErasureHouse, order: Erasure, jobId: JobId) =>
  Effect.gen(function* () {
    const row = yield* house.store.get(jobId)
    if (row !== null && !isTerminal(row.state)) return yield* done(0, 1)
    const live = yield* eraseLive(house, order, jobId)
    if (live === "waits") return null
    if (live === "refused") return yield* done(0, 1)
    const finishedAt = row?.finishedAt ?? null
    const isCandidate = ({ from, to }: SegmentManifest) =>
      finishedAt === null || (from - SLACK_MS <= finishedAt && finishedAt <= to + SLACK_MS)
    let [erased, refused] = [live === "erased" ? 1 : 0, 0]
    for (const manifest of (yield* listSegments(house, order.namespaceId)).filter(isCandidate)) {
      const found = yield* eraseFromSegment(house, order, manifest, (record) => record.jobId === jobId)
      if (found === "waits") return null
      erased += found.erased
      refused += found.refused
    }
    // Also of a job of which no more than the row is left.
    if (refused === 0) yield* house.store.forgetTags([jobId])
    return yield* done(erased, refused)
  })

/** The record and the row may have been closed by different hands. */
const SLACK_MS = 86_400_000

type Place =
  | { readonly phase: "live"; readonly after: { readonly createdAt: number; readonly jobId: JobId } | null }
  | { readonly phase: "archive"; readonly after: string }

const placeOf = ({ cursor }: Erasure): Place =>
  cursor === null ? { phase: "live", after: null } : (JSON.parse(cursor) as Place)

const going = (place: Place, erased: number, refused: number): Progress => ({
  cursor: JSON.stringify(place),
  erased,
  refused,
  doneAt: null
})

const ARCHIVE: Place = { phase: "archive", after: "" }

const eraseLiveBatch = (
  house: ErasureHouse,
  order: Erasure,
  { after }: Extract<Place, { phase: "live" }>,
  max: number
) =>
  Effect.gen(function* () {
    const scope = { _tag: "Namespace", namespaceId: order.namespaceId } as const
    const filter = order.clientTag === null ? {} : { clientTag: order.clientTag }
    const found = yield* house.search.search(scope, filter, after, max)
    let [erased, refused] = [0, 0]
    for (const { jobId, state } of found) {
      const outcome = isTerminal(state) ? yield* eraseLive(house, order, jobId) : "refused"
      // What is on its way to the archive is found there.
      if (outcome === "erased") erased++
      if (outcome === "refused") refused++
    }
    const last: JobSummary | undefined = found.length < max ? undefined : found.at(-1)
    if (last === undefined) return going(ARCHIVE, erased, refused)
    return going({ phase: "live", after: { createdAt: last.createdAt, jobId: last.jobId } }, erased, refused)
  })

/** One segment in which there was something, or the end. */
const eraseSegments = (house: ErasureHouse, order: Erasure, { after }: Extract<Place, { phase: "archive" }>) =>
  Effect.gen(function* () {
    const retiring = yield* house.retention.retiring
    if (retiring.some((each) => each.namespaceId === order.namespaceId && each.leavesAs !== "erased")) return null
    let refused = 0
    for (const manifest of yield* listSegments(house, order.namespaceId)) {
      if (manifest.id <= after) continue
      const isMeant = (record: { readonly clientTag: string | null }) =>
        order.clientTag === null || record.clientTag === order.clientTag
      const found = yield* eraseFromSegment(house, order, manifest, isMeant)
      if (found === "waits") return null
      refused += found.refused
      if (found.erased > 0) return going({ phase: "archive", after: manifest.id }, found.erased, refused)
    }
    return yield* done(0, refused)
  })
