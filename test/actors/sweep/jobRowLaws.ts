/** What the sweeper of rows must do over any stores: a row follows its record into the archive, later, whole, and once, whoever dies in between. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer, Random, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Archive, BrokenSegment } from "../../../src/layers/Archive.ts"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { Incidents } from "../../../src/layers/Incidents.ts"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { JobRowRetention } from "../../../src/layers/JobRowRetention.ts"
import { JobStore } from "../../../src/layers/JobStore.ts"
import { Namespaces } from "../../../src/layers/Namespaces.ts"
import type { JobId, NamespaceId } from "../../../src/schemas/Ids.ts"
import { JobRowLine } from "../../../src/schemas/JobRowLine.ts"
import type { Namespace } from "../../../src/schemas/Namespace.ts"
import { HOUR_MS } from "../../../src/schemas/Rollup.ts"
import { credits, livingDaemon, unique } from "../../support/factories.ts"
import { aFinishedRecord, DAY, operator } from "../../support/recordFactories.ts"
import {
  changeRetention,
  living,
  makeHouse,
  pass,
  type Stores,
  sweepAll,
  theNamespace
} from "../../support/RetentionHouse.ts"
import { closeUntil, endedJob, publishAll, type RowServices } from "../../layers/contracts/JobRowRetention.contract.ts"

type Needed = Stores | RowServices

const NOW = Date.UTC(2026, 5, 1, 12)

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(JobRowLine))

const world = Effect.gen(function* () {
  const daemonId = yield* livingDaemon(NOW)
  let hours = 0
  return {
    paying: (rules: Partial<Namespace["rules"]> = {}) =>
      Effect.gen(function* () {
        const { id } = yield* theNamespace(rules)
        const grant = { namespaceId: id, amount: credits(1_000_000), reference: unique(), at: NOW - 200 * DAY }
        yield* (yield* CreditLedger).grant(grant)
        return id
      }),
    /** Ended so many days ago; with a record when it is to have one still. */
    job: (namespaceId: NamespaceId, days: number, hasRecord = false) =>
      Effect.gen(function* () {
        const at = NOW - days * DAY
        const jobId = yield* endedJob(namespaceId, daemonId, at)
        if (hasRecord) yield* (yield* JobRecords).open(aFinishedRecord(at, { jobId, namespaceId, createdAt: at - 5 }))
        return jobId
      }),
    /** All messages are out, and all is counted. */
    settled: Effect.andThen(
      publishAll,
      Effect.suspend(() => closeUntil(NOW + ++hours * HOUR_MS))
    )
  }
})

const sweep = (batchMax?: number, hasArchive = true) =>
  Effect.flatMap(makeHouse(living(), hasArchive), ({ jobRows }) => pass(jobRows, batchMax))

const isLive = (jobId: JobId) =>
  Effect.map(
    Effect.flatMap(JobStore, ({ get }) => get(jobId)),
    (row) => row !== null
  )

/** Rows in the archive, from segments that are whole. */
const archived = Effect.gen(function* () {
  const archive = yield* Archive
  const segments = (yield* archive.list).filter(({ dataClass }) => dataClass === "rows")
  return yield* Effect.forEach(segments, ({ id }) =>
    Effect.map(archive.lines(id), (lines) => lines.map((line) => decode(line)))
  )
})

export const jobRowLaws = (backEnd: string, stores: () => Layer.Layer<Needed, unknown>, kills: number) => {
  const law = (title: string, body: Effect.Effect<void, unknown, Needed>) => {
    const own = stores()
    it.effect(title, () => Effect.andThen(TestClock.setTime(NOW), Effect.provide(body, own, { local: true })), 120_000)
  }

  describe(`rows of jobs over ${backEnd}`, () => {
    law(
      "C97, S90: a row leaves 90 days after its day, with its history, for a segment of class rows, and not before",
      Effect.gen(function* () {
        const { paying, job, settled } = yield* world
        const id = yield* paying()
        const [old, day91, day90] = [yield* job(id, 100), yield* job(id, 91), yield* job(id, 90)]
        const store = yield* JobStore
        const known = { row: yield* store.get(old), events: yield* store.events(old) }
        assert.strictEqual(yield* sweep(), 0, "no day is closed")
        yield* settled
        assert.strictEqual(yield* sweep(), 2)
        assert.deepStrictEqual([yield* isLive(old), yield* isLive(day91), yield* isLive(day90)], [false, false, true])
        const [segment] = yield* archived
        assert.deepStrictEqual(segment?.[0], known as never)
        const manifest = (yield* (yield* Archive).list).find(({ dataClass }) => dataClass === "rows")
        assert.deepInclude(manifest, { namespaceId: null, count: 2, from: NOW - 100 * DAY, to: NOW - 91 * DAY })

        yield* TestClock.adjust("12 hours")
        yield* sweep()
        assert.isFalse(yield* isLive(day90), "the day of it has been over for 90 days")
      })
    )

    law(
      "C97: the days are a setting, and hold from the next pass on",
      Effect.gen(function* () {
        const { paying, job, settled } = yield* world
        const young = yield* job(yield* paying({ retentionDays: 5 }), 31)
        yield* settled
        yield* sweep()
        assert.isTrue(yield* isLive(young))
        yield* changeRetention({ rowDays: 30 })
        yield* sweep()
        assert.isFalse(yield* isLive(young))
      })
    )

    law(
      "C77: a row stays as long as its record, and those behind it leave all the same",
      Effect.gen(function* () {
        const { paying, job, settled } = yield* world
        const [extended, standard] = [yield* paying({ retentionTier: "extended" }), yield* paying()]
        const kept = [yield* job(extended, 130, true), yield* job(standard, 129, true)]
        const gone = [yield* job(standard, 120), yield* job(standard, 119)]
        yield* settled
        for (let passes = 0; passes < 3; passes++) yield* sweep(1)
        for (const id of kept) assert.isTrue(yield* isLive(id))
        for (const id of gone) assert.isFalse(yield* isLive(id))
        yield* sweepAll()
        yield* sweep()
        assert.isTrue(yield* isLive(kept[0]!))
        assert.isFalse(yield* isLive(kept[1]!))
      })
    )

    law(
      "C97: nothing leaves under a legal hold, also when it came after the mark",
      Effect.gen(function* () {
        const { paying, job, settled } = yield* world
        const [held, free] = [yield* paying({ held: true }), yield* paying()]
        const jobs = [yield* job(held, 190), yield* job(free, 190)]
        yield* settled
        const { jobRows } = yield* makeHouse()
        const stopped = Archive.of({
          ...(yield* Archive),
          verify: (segmentId) => Effect.fail(new BrokenSegment({ segmentId, why: "hashes to something else" }))
        })
        const broken = yield* Effect.provideService(makeHouse(), Archive, stopped)
        assert.strictEqual((yield* Effect.flip(pass(broken.jobRows))).during, "verify")
        const namespaces = yield* Namespaces
        const { rules } = (yield* namespaces.get(free))!
        yield* namespaces.amend(free, { ...rules, held: true })
        assert.strictEqual(yield* pass(jobRows), 0)
        for (const id of jobs) assert.isTrue(yield* isLive(id))
        assert.lengthOf(yield* (yield* Incidents).list(operator, { type: "archive_broken", limit: 9 }), 1)
        yield* namespaces.amend(free, rules)
        assert.strictEqual(yield* pass(jobRows), 1)
        assert.deepStrictEqual([yield* isLive(jobs[0]!), yield* isLive(jobs[1]!)], [true, false])
      })
    )

    law(
      "S11, S87: without cold storage rows stay, unless metadata may be dropped",
      Effect.gen(function* () {
        const { paying, job, settled } = yield* world
        const jobId = yield* job(yield* paying(), 100)
        yield* settled
        assert.strictEqual(yield* sweep(500, false), 0)
        assert.isTrue(yield* isLive(jobId))
        yield* changeRetention({
          withoutArchive: { bodies: "hold", metadata: "drop", logs: "hold", incidents: "hold" }
        })
        assert.strictEqual(yield* sweep(500, false), 1)
        assert.isFalse(yield* isLive(jobId))
        assert.deepStrictEqual(yield* archived, [])
      })
    )

    law(`S93: ${kills} kills at random calls lose no row, and archive none twice`, manyKills(kills))
  })
}

const manyKills = (kills: number) =>
  Effect.gen(function* () {
    const { paying, job, settled } = yield* world
    const namespaces = [yield* paying(), yield* paying({ retentionTier: "extended" })]
    const created = new Set<JobId>()
    // Whose record is still there, so that its row is gone past each time.
    const kept = yield* job(namespaces[0]!, 105, true)
    created.add(kept)
    let killsDone = 0
    while (killsDone < kills) {
      for (const id of namespaces) {
        for (const days of [5, 100, 110]) created.add(yield* job(id, days))
      }
      yield* settled
      // One round of work, cut off again and again until it is through, or all have died: what stays is gone past in each pass, so passes grow.
      for (let through = false; !through && killsDone < kills;) {
        const life = living()
        life.killAt = yield* Random.nextIntBetween(1, 24)
        life.after = yield* Random.nextBoolean
        const { jobRows } = yield* makeHouse(life)
        const exit = yield* Effect.exit(pass(jobRows, 3))
        through = exit._tag === "Success"
        if (!through) killsDone++
        if (killsDone % 5 === 0) yield* nothingLost(created)
      }
    }
    for (let passes = 0; passes < 9; passes++) yield* sweep()
    const gone = yield* nothingLost(created)
    assert.isAtLeast(gone, kills / 10)
    assert.isTrue(yield* isLive(kept))
    assert.deepStrictEqual(yield* (yield* JobRowRetention).retiring, [])
    assert.deepStrictEqual([...(yield* (yield* CreditLedger).audit)], [])
  })

/** Each row is live or in the archive, and there once: also one that is still live was written once at most. */
const nothingLost = (created: ReadonlySet<JobId>) =>
  Effect.gen(function* () {
    const lines = (yield* archived).flat().map(({ row }) => row.job.id)
    assert.strictEqual(new Set(lines).size, lines.length, "a row is archived twice")
    for (const jobId of created) {
      if (!(yield* isLive(jobId))) assert.include(lines, jobId, `${jobId} is nowhere`)
    }
    return lines.length
  })
