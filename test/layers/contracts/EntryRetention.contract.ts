/** What every EntryRetention must do: entries of no live job and incidents leave once, in order, and nothing else does. */
import { assert, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { EntryRetention } from "../../../src/layers/EntryRetention.ts"
import { Incidents } from "../../../src/layers/Incidents.ts"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { Logs } from "../../../src/layers/Logs.ts"
import {
  aFinishedRecord,
  aLogEntry,
  anIncident,
  freshJob,
  freshNamespace,
  freshSegment,
  freshTime,
  only,
  operator
} from "../../support/recordFactories.ts"

type Services = EntryRetention | Incidents | JobRecords | Logs

const codesOf = (entries: ReadonlyArray<{ readonly entry: { readonly code?: string; readonly type?: string } }>) =>
  entries.map(({ entry }) => entry.code ?? entry.type)

export const entryRetentionContract = (backEnd: string, layer: Layer.Layer<Services, unknown>) =>
  it.layer(layer)(`EntryRetention on ${backEnd}`, (it) => {
    it.effect("offers entries without a live job from before an instant, oldest first, within a limit", () =>
      Effect.gen(function* () {
        const retention = yield* EntryRetention
        const namespaceId = freshNamespace()
        const live = aFinishedRecord(1, { namespaceId })
        yield* (yield* JobRecords).open(live)
        const entry = (code: string, at: number, jobId: typeof live.jobId | null = null) =>
          aLogEntry(namespaceId, { code, at, jobId })
        yield* (yield* Logs).append([
          entry("late", 30),
          entry("of a live job", 5, live.jobId),
          entry("first", 10),
          entry("second", 20, freshJob()),
          entry("too late", 40)
        ])
        yield* (yield* Logs).append([aLogEntry(freshNamespace(), { at: 1 })])
        const segment = freshSegment()

        const two = yield* retention.expired("logs", namespaceId, 40, 2)
        const all = yield* retention.expired("logs", namespaceId, 40, 10)
        assert.deepStrictEqual(all.slice(0, 2), two)
        assert.strictEqual(yield* retention.mark("logs", segment, all), 3)

        const read = yield* retention.read("logs", segment)
        assert.deepStrictEqual(codesOf(read), ["first", "second", "late"])
        assert.deepStrictEqual(
          read.map(({ id }) => id),
          all
        )
        assert.deepStrictEqual(yield* retention.expired("logs", namespaceId, 40, 10), [])
      })
    )

    it.effect("deletes the marked entries once, and no entry that came later", () =>
      Effect.gen(function* () {
        const retention = yield* EntryRetention
        const namespaceId = freshNamespace()
        yield* (yield* Logs).append([1, 2].map((at) => aLogEntry(namespaceId, { at, code: `c${at}` })))
        const segment = freshSegment()
        const due = yield* retention.expired("logs", namespaceId, 9, 10)
        yield* retention.mark("logs", segment, due)
        yield* (yield* Logs).append([aLogEntry(namespaceId, { at: 0, code: "late" })])
        const retiring = (yield* retention.retiring).filter(({ segmentId }) => segmentId === segment)
        assert.deepStrictEqual(retiring, [{ segmentId: segment, dataClass: "logs", namespaceId, count: 2 }])
        assert.deepStrictEqual(yield* retention.read("logs", segment), yield* retention.read("logs", segment))

        assert.strictEqual(yield* retention.prune("logs", segment), 2)
        assert.strictEqual(yield* retention.prune("logs", segment), 0)
        assert.deepStrictEqual(yield* retention.read("logs", segment), [])
        const left = yield* (yield* Logs).query(only(namespaceId), { limit: 10 })
        assert.deepStrictEqual(
          left.map(({ code }) => code),
          ["late"]
        )
      })
    )

    it.effect("marks nothing for a second segment", () =>
      Effect.gen(function* () {
        const retention = yield* EntryRetention
        const namespaceId = freshNamespace()
        yield* (yield* Logs).append([aLogEntry(namespaceId, { at: 1 }), aLogEntry(namespaceId, { at: 2 })])
        const [one, two] = [freshSegment(), freshSegment()]
        const due = yield* retention.expired("logs", namespaceId, 9, 10)

        assert.strictEqual(yield* retention.mark("logs", one, due.slice(0, 1)), 1)
        assert.strictEqual(yield* retention.mark("logs", two, due), 1)
        assert.strictEqual(yield* retention.mark("logs", one, due), 1)
      })
    )

    it.effect("takes incidents of a namespace, and those of nobody, apart", () =>
      Effect.gen(function* () {
        const retention = yield* EntryRetention
        const namespaceId = freshNamespace()
        // Before all that other tests write: what is nobody's has no namespace to be told apart by.
        const at = -1_000_000_000_000 - freshTime()
        const [mine, nobodys] = [anIncident({ namespaceId, at, type: "mine" }), anIncident({ at, type: "nobodys" })]
        yield* (yield* Incidents).raise([mine, nobodys, anIncident({ namespaceId, at: at + 5 })])
        const [one, two] = [freshSegment(), freshSegment()]

        yield* retention.mark("incidents", one, yield* retention.expired("incidents", namespaceId, at + 1, 10))
        yield* retention.mark("incidents", two, yield* retention.expired("incidents", null, at + 1, 10))

        assert.deepStrictEqual(
          (yield* retention.read("incidents", one)).map(({ entry }) => entry),
          [mine]
        )
        assert.include(codesOf(yield* retention.read("incidents", two)), "nobodys")
        assert.strictEqual(yield* retention.prune("incidents", one), 1)
        assert.lengthOf(yield* (yield* Incidents).list(only(namespaceId), { limit: 10 }), 1)
        assert.lengthOf(
          (yield* (yield* Incidents).list(operator, { type: "nobodys", limit: 10 })).filter(
            ({ id }) => id === nobodys.id
          ),
          1
        )
        yield* retention.prune("incidents", two)
      })
    )
  })
