/** What retention must do over any stores: two clocks, tiers, holds, the rules without cold storage, and a hundred kills. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, type Layer, Random } from "effect"
import { TestClock } from "effect/testing"
import { Archive, BrokenSegment } from "../../../src/layers/Archive.ts"
import { EntryRetention } from "../../../src/layers/EntryRetention.ts"
import { Incidents } from "../../../src/layers/Incidents.ts"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { Logs } from "../../../src/layers/Logs.ts"
import { Namespaces } from "../../../src/layers/Namespaces.ts"
import { RecordRetention } from "../../../src/layers/RecordRetention.ts"
import { Traces } from "../../../src/layers/Traces.ts"
import { bodySha256 } from "../../../src/schemas/Body.ts"
import type { JobId } from "../../../src/schemas/Ids.ts"
import { aLogEntry, anIncident, DAY, only, operator } from "../../support/recordFactories.ts"
import {
  archivedOf,
  changeRetention,
  jobsIn,
  living,
  makeHouse,
  oldJob,
  pass,
  provided,
  type Stores,
  sweepAll,
  theNamespace
} from "../../support/RetentionHouse.ts"

const NOW = Date.UTC(2026, 5, 1)

const recordOf = (jobId: JobId) => Effect.flatMap(JobRecords, (records) => records.get(operator, jobId))

export const retentionLaws = (backEnd: string, stores: () => Layer.Layer<Stores, unknown>, kills: number) => {
  const law = (title: string, body: Effect.Effect<void, unknown, Stores>) =>
    it.effect(title, () => Effect.andThen(TestClock.setTime(NOW), provided(stores(), body)), 120_000)

  describe(`retention over ${backEnd}`, () => {
    law(
      "S9, S84: a body leaves when its days are over, the rest when its own are, neither before",
      Effect.gen(function* () {
        const namespace = yield* theNamespace()
        const [young, middle, old] = [
          yield* oldJob(namespace, 29),
          yield* oldJob(namespace, 31),
          yield* oldJob(namespace, 91)
        ]
        yield* sweepAll()

        assert.deepStrictEqual(yield* recordOf(young.jobId), young)
        const left = yield* recordOf(middle.jobId)
        assert.deepStrictEqual([left?.input.request, left?.output?.choices], [null, []])
        assert.deepStrictEqual(left?.output?.tokens, middle.output?.tokens)
        assert.deepInclude({ ...left?.tombstone }, { why: "archived", sha256: bodySha256(middle), at: NOW })
        assert.isNull(yield* recordOf(old.jobId))
        assert.lengthOf(yield* (yield* Logs).query(only(namespace.id), { jobId: middle.jobId, limit: 9 }), 1)
        const lines = yield* archivedOf(namespace.id)
        assert.deepStrictEqual(jobsIn(lines, "bodies"), [middle.jobId, old.jobId].toSorted())
        assert.deepStrictEqual(jobsIn(lines, "metadata"), [old.jobId])
        const body = lines.find((each) => each.dataClass === "bodies" && each.line.record?.jobId === middle.jobId)
        assert.include(body?.text, '"content":"hello"')
        assert.include(body?.text, '"text":"p3"')
        assert.strictEqual(left?.tombstone?.segmentId, (yield* segmentsOf(namespace.id, "bodies"))[0]?.id)
      })
    )

    law(
      "S10: a longer tier keeps longer, and a downgrade holds from the next pass on",
      Effect.gen(function* () {
        const [standard, extended] = [yield* theNamespace(), yield* theNamespace({ retentionTier: "extended" })]
        const [gone, stays] = [yield* oldJob(standard, 100), yield* oldJob(extended, 100)]
        yield* sweepAll()
        assert.isNull(yield* recordOf(gone.jobId))
        assert.deepStrictEqual(yield* recordOf(stays.jobId), stays)

        yield* (yield* Namespaces).amend(extended.id, { ...extended.rules, retentionTier: "standard" })
        yield* sweepAll()
        assert.isNull(yield* recordOf(stays.jobId))
      })
    )

    law(
      "S25, S43: without payloads the body and its trace go when the result window is over, and nothing of them is archived",
      Effect.gen(function* () {
        const namespace = yield* theNamespace({ persistPayloads: false })
        yield* changeRetention({ resultWindowMs: 60_000 })
        const request = { messages: [{ role: "user", content: "canary-of-the-question" }] }
        const job = yield* oldJob(namespace, 0, { input: { ...(yield* oldJob(namespace, 0)).input, request } })
        yield* TestClock.adjust("59 seconds")
        yield* sweepAll()
        assert.deepStrictEqual(yield* recordOf(job.jobId), job)

        yield* TestClock.adjust("2 seconds")
        yield* sweepAll()
        assert.strictEqual((yield* recordOf(job.jobId))?.tombstone?.why, "unkept")
        assert.deepStrictEqual(yield* (yield* Traces).read(operator, job.jobId, 0, 9), [])
        assert.deepStrictEqual(yield* archivedOf(namespace.id), [])

        yield* TestClock.adjust("91 days")
        yield* sweepAll()
        const lines = yield* archivedOf(namespace.id)
        assert.include(jobsIn(lines, "metadata"), job.jobId)
        assert.notInclude(lines.map(({ text }) => text).join(), "canary")
        assert.notInclude(lines.map(({ text }) => text).join(), '"p1"')
      })
    )

    law(
      "S91: a job that runs longer than everything is kept survives, and its days count from its end",
      Effect.gen(function* () {
        const namespace = yield* theNamespace()
        const running = yield* oldJob(namespace, 300, { state: "active", finishedAt: null, completeness: "open" })
        const ended = yield* oldJob(namespace, 1, { createdAt: NOW - 300 * DAY })
        yield* sweepAll()
        assert.deepStrictEqual(yield* recordOf(running.jobId), running)
        assert.deepStrictEqual(yield* recordOf(ended.jobId), ended)
      })
    )

    law(
      "S86: what is under a hold stays whole until the ceiling, and is then archived as held",
      Effect.gen(function* () {
        const [held, free] = [yield* theNamespace({ held: true }), yield* theNamespace()]
        const [one, two] = [yield* oldJob(held, 179), yield* oldJob(free, 179, { held: true })]
        yield* sweepAll()
        assert.deepStrictEqual(yield* recordOf(one.jobId), one)
        assert.deepStrictEqual(yield* recordOf(two.jobId), two)

        yield* TestClock.adjust("2 days")
        yield* sweepAll()
        assert.isNull(yield* recordOf(one.jobId))
        assert.isNull(yield* recordOf(two.jobId))
        assert.deepStrictEqual(jobsIn(yield* archivedOf(held.id), "held"), [one.jobId])
        assert.deepStrictEqual(jobsIn(yield* archivedOf(free.id), "held"), [two.jobId])
      })
    )

    law(
      "S11: without cold storage each class goes by its rule: one is dropped, the others wait",
      Effect.gen(function* () {
        const namespace = yield* theNamespace()
        const job = yield* oldJob(namespace, 200)
        yield* changeRetention({
          withoutArchive: { bodies: "drop", metadata: "hold", logs: "archive", incidents: "drop" }
        })
        yield* (yield* Logs).append([aLogEntry(namespace.id, { at: NOW - 200 * DAY })])
        yield* (yield* Incidents).raise([anIncident({ namespaceId: namespace.id, at: NOW - 200 * DAY })])
        yield* sweepAll({ hasArchive: false })
        assert.strictEqual((yield* recordOf(job.jobId))?.tombstone?.why, "dropped")
        assert.lengthOf(yield* (yield* Logs).query(only(namespace.id), { limit: 9 }), 2)
        assert.lengthOf(yield* (yield* Incidents).list(only(namespace.id), { limit: 9 }), 0)
        assert.deepStrictEqual(yield* archivedOf(namespace.id), [])

        // With cold storage again, what waited is archived.
        yield* sweepAll()
        assert.isNull(yield* recordOf(job.jobId))
        assert.deepStrictEqual(jobsIn(yield* archivedOf(namespace.id), "metadata"), [job.jobId])
      })
    )

    law(
      "S12: entries of no live job and incidents leave by their own clocks, in segments of their own",
      Effect.gen(function* () {
        const namespace = yield* theNamespace()
        yield* (yield* Logs).append(
          [10, 100].map((days) => aLogEntry(namespace.id, { at: NOW - days * DAY, code: `c${days}` }))
        )
        yield* (yield* Incidents).raise(
          [10, 100].map((days) => anIncident({ namespaceId: namespace.id, at: NOW - days * DAY }))
        )
        yield* sweepAll()
        assert.deepStrictEqual(
          (yield* (yield* Logs).query(only(namespace.id), { limit: 9 })).map(({ code }) => code),
          ["c10"]
        )
        assert.lengthOf(yield* (yield* Incidents).list(only(namespace.id), { limit: 9 }), 1)
        assert.deepStrictEqual((yield* archivedOf(namespace.id)).map(({ dataClass }) => dataClass).toSorted(), [
          "incidents",
          "logs"
        ])
      })
    )

    law(
      "S85, S90: bounded batches until nothing is left that is past its time, of any number of namespaces",
      Effect.gen(function* () {
        const namespaces = yield* Effect.forEach([1, 2, 3], () => theNamespace())
        for (const each of namespaces) {
          for (const days of [10, 40, 50, 100, 110]) yield* oldJob(each, days)
        }
        yield* pass((yield* makeHouse()).retention, 4)
        yield* pass((yield* makeHouse()).retention, 4)
        for (const { id } of namespaces) {
          const expired = yield* (yield* RecordRetention).expired(id, NOW - 30 * DAY, 9)
          const stripped = yield* (yield* RecordRetention).expired(id, NOW - 90 * DAY, 9, "stripped")
          assert.deepStrictEqual([expired, stripped], [[], []])
          for (const manifest of yield* segmentsOf(id, "bodies")) {
            assert.isAtMost(manifest.count, 4)
            assert.isAtMost(manifest.to, NOW - 30 * DAY)
          }
        }
      })
    )

    law(
      "S85: a segment that does not verify stops deletion and is one incident, however many passes find it",
      Effect.gen(function* () {
        const namespace = yield* theNamespace()
        const jobs = [yield* oldJob(namespace, 40), yield* oldJob(namespace, 41)]
        const broken = Archive.of({
          ...(yield* Archive),
          verify: (segmentId) => Effect.fail(new BrokenSegment({ segmentId, why: "hashes to something else" }))
        })
        const stopped = yield* Effect.provideService(makeHouse(), Archive, broken)
        for (let passes = 0; passes < 3; passes++) {
          assert.strictEqual((yield* Effect.flip(pass(stopped.retention))).during, "verify")
        }
        for (const job of jobs) assert.deepStrictEqual(yield* recordOf(job.jobId), job)
        const [segment] = yield* (yield* RecordRetention).retiring
        const told = yield* (yield* Incidents).list(operator, { type: "archive_broken", limit: 9 })
        const ours = told.filter(({ observed }) => JSON.stringify(observed).includes(segment?.segmentId ?? "none"))
        assert.lengthOf(ours, 1)
        yield* sweepAll()
        assert.lengthOf(jobsIn(yield* archivedOf(namespace.id), "bodies"), 2)
      })
    )

    law(
      `S93: ${kills} kills at random calls lose nothing, double nothing and delete nothing unverified`,
      manyKills(kills)
    )
  })
}

const segmentsOf = (namespaceId: string, dataClass: string) =>
  Effect.map(
    Effect.flatMap(Archive, ({ list }) => list),
    (all) => all.filter((each) => each.namespaceId === namespaceId && each.dataClass === dataClass)
  )

const manyKills = (kills: number) =>
  Effect.gen(function* () {
    const namespaces = [
      yield* theNamespace(),
      yield* theNamespace({ retentionDays: 20 }),
      yield* theNamespace({ persistPayloads: false })
    ]
    const created = new Map<JobId, string>()
    let killsDone = 0
    while (killsDone < kills) {
      for (const namespace of namespaces) {
        for (const days of [5, 35, 100]) created.set((yield* oldJob(namespace, days)).jobId, namespace.id)
        yield* (yield* Logs).append([aLogEntry(namespace.id, { at: NOW - 100 * DAY, code: `r${killsDone}` })])
      }
      // One round of work, cut off again and again until it is through.
      for (let through = false; !through;) {
        const life = living()
        life.killAt = yield* Random.nextIntBetween(1, 40)
        life.after = yield* Random.nextBoolean
        const { retention } = yield* makeHouse(life)
        const exit = yield* Effect.exit(pass(retention, 5))
        through = exit._tag === "Success"
        if (!through) killsDone++
        if (killsDone % 5 === 0) yield* nothingLost(namespaces, created)
      }
    }
    yield* sweepAll()
    yield* nothingLost(namespaces, created)
    for (const [index, { id }] of namespaces.entries()) {
      const lines = yield* archivedOf(id)
      const texts = lines.filter(({ dataClass }) => dataClass !== "logs").map(({ text }) => text)
      assert.strictEqual(new Set(texts).size, texts.length)
      const logs = lines.filter(({ dataClass }) => dataClass === "logs").map(({ text }) => text)
      assert.strictEqual(new Set(logs).size, logs.length)
      assert.strictEqual(jobsIn(lines, "bodies").length === 0, index > 0)
      assert.deepStrictEqual(yield* (yield* EntryRetention).retiring, [])
    }
    assert.deepStrictEqual(yield* (yield* RecordRetention).retiring, [])
    assert.strictEqual(yield* Clock.currentTimeMillis, NOW)
  })

/** archived + live = created: of each job either the record lives or its last segment is whole, and no class holds it twice. */
const nothingLost = (
  namespaces: ReadonlyArray<{ readonly id: string; readonly rules: { readonly persistPayloads: boolean } }>,
  created: ReadonlyMap<JobId, string>
) =>
  Effect.gen(function* () {
    for (const { id, rules } of namespaces) {
      const lines = yield* archivedOf(id)
      for (const dataClass of ["jobs", "bodies", "metadata"]) {
        const jobs = jobsIn(lines, dataClass)
        assert.strictEqual(new Set(jobs).size, jobs.length, `${dataClass} holds a job twice`)
      }
      const [whole, bodies, rest] = ["jobs", "bodies", "metadata"].map((each) => new Set(jobsIn(lines, each)))
      for (const [jobId, namespaceId] of created) {
        if (namespaceId !== id) continue
        const record = yield* recordOf(jobId)
        const isGone = record === null
        const hasBody = record !== null && record.tombstone === undefined
        if (isGone) assert.isTrue(whole!.has(jobId) || rest!.has(jobId), `${jobId} is nowhere`)
        if (!hasBody && rules.persistPayloads)
          assert.isTrue(whole!.has(jobId) || bodies!.has(jobId), `the body of ${jobId} is nowhere`)
      }
    }
  })
