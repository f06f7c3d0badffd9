/** What every JobRecords must do: whole documents that grow field by field and come back as they went in, to those who may see them. */
import { assert, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { Credits, CREDITS_MAX } from "../../../src/schemas/Credits.ts"
import {
  aChange,
  aFinishedRecord,
  anOutput,
  arbitraryRecord,
  aRecord,
  freshJob,
  freshNamespace,
  freshNode,
  freshTime,
  only,
  operator
} from "../../support/recordFactories.ts"

/** What no patch may name. */
const FIXED = new Set(["jobId", "version", "namespaceId", "keyId", "environment", "createdAt", "service"])

export const jobRecordsContract = (backEnd: string, layer: Layer.Layer<JobRecords, unknown>) =>
  it.layer(layer)(`JobRecords on ${backEnd}`, (it) => {
    it.effect("gives back the document that was opened", () =>
      Effect.gen(function* () {
        const records = yield* JobRecords
        const record = aRecord({ clientTag: "customer 7", constraints: { region: "eu" } })

        assert.isTrue(yield* records.open(record))

        assert.deepStrictEqual(yield* records.get(operator, record.jobId), record)
      })
    )

    it.effect("keeps the first document when one with its id is opened again", () =>
      Effect.gen(function* () {
        const records = yield* JobRecords
        const first = aRecord()
        yield* records.open(first)
        yield* records.patch(aChange(first.jobId, { state: "active" }, true))

        const second = {
          ...first,
          clientTag: "second",
          output: anOutput(1, 1),
          input: { ...first.input, model: "x" }
        }
        assert.isFalse(yield* records.open(second))

        assert.deepStrictEqual(yield* records.get(operator, first.jobId), { ...first, state: "active" })
      })
    )

    it.effect.prop("brings any document back unchanged", { record: arbitraryRecord }, ({ record }) =>
      Effect.gen(function* () {
        const records = yield* JobRecords
        yield* records.open(record)
        assert.deepStrictEqual(yield* records.get(only(record.namespaceId), record.jobId), record)
      })
    )

    it.effect.prop(
      "replaces just the named fields, whatever they hold",
      { before: arbitraryRecord, after: arbitraryRecord, mask: arbitraryRecord },
      ({ before, after, mask }) =>
        Effect.gen(function* () {
          const records = yield* JobRecords
          // Which fields a patch names is drawn from the letters of a third document.
          const bits = JSON.stringify(mask.input)
          const patch = Object.fromEntries(
            Object.entries(after).filter(
              ([field], index) => !FIXED.has(field) && bits.charCodeAt(index % bits.length) % 2 === 0
            )
          )
          yield* records.open(before)

          // A note changes open documents only.
          const durable = before.completeness !== "open" || bits.length % 2 === 0
          assert.strictEqual(yield* records.patch(aChange(before.jobId, patch, durable)), "done")

          assert.deepStrictEqual(yield* records.get(operator, before.jobId), { ...before, ...patch })
        })
    )

    it.effect("takes no note of progress once the document is closed, however late a store carries it out", () =>
      Effect.gen(function* () {
        const records = yield* JobRecords
        const record = aRecord({ completeness: "open" })
        yield* records.open(record)
        assert.strictEqual(yield* records.patch(aChange(record.jobId, { state: "active" }, false, 1)), "done")
        const last = { state: "completed", completeness: "complete" } as const
        assert.strictEqual(yield* records.patch(aChange(record.jobId, last, true, 1)), "done")

        assert.strictEqual(yield* records.patch(aChange(record.jobId, { state: "active" }, false, 1)), "stale")
        assert.deepStrictEqual(yield* records.get(operator, record.jobId), { ...record, ...last })
        assert.strictEqual(yield* records.patch(aChange(record.jobId, { errorCode: "again" }, true, 1)), "done")
      })
    )

    it.effect("keeps a request of megabytes and NUL characters to the byte while the document grows", () =>
      Effect.gen(function* () {
        const records = yield* JobRecords
        const content = "long \u0000 text \ud83d\ude00 ".repeat(200_000)
        const request = JSON.parse(`{"z":1,"a":${JSON.stringify(content)},"__proto__":{"x":null}}`)
        const record = aRecord({ input: { ...aRecord().input, request } })
        yield* records.open(record)
        yield* records.patch(aChange(record.jobId, { state: "active" }, false))

        const found = yield* records.get(operator, record.jobId)

        assert.strictEqual(JSON.stringify(found?.input.request), JSON.stringify(request))
      })
    )

    it.effect("keeps a cost that no JSON number could hold", () =>
      Effect.gen(function* () {
        const records = yield* JobRecords
        const record = aRecord()
        yield* records.open(record)

        yield* records.patch(aChange(record.jobId, { cost: Credits.make(CREDITS_MAX) }, true))

        assert.strictEqual((yield* records.get(operator, record.jobId))?.cost, CREDITS_MAX)
      })
    )

    it.effect("takes a field away again when the patch says null", () =>
      Effect.gen(function* () {
        const records = yield* JobRecords
        const record = aFinishedRecord(5, { workflow: { kind: "vector_sync", ref: "a", data: { n: 1 } } })
        yield* records.open(record)
        const nothing = { output: null, workflow: null, finishedAt: null, input: { ...record.input, request: null } }

        yield* records.patch(aChange(record.jobId, nothing, true))

        assert.deepStrictEqual(yield* records.get(operator, record.jobId), { ...record, ...nothing })
      })
    )

    it.effect("changes nothing when the same patch comes twice", () =>
      Effect.gen(function* () {
        const records = yield* JobRecords
        const record = aRecord()
        const routing = { ...record.routing, nodeId: freshNode(), assignedAt: 7 }
        yield* records.open(record)

        assert.strictEqual(yield* records.patch(aChange(record.jobId, { routing, state: "active" }, false)), "done")
        assert.strictEqual(yield* records.patch(aChange(record.jobId, { routing, state: "active" }, false)), "done")
        assert.strictEqual(yield* records.patch(aChange(record.jobId, {}, false)), "done")

        assert.deepStrictEqual(yield* records.get(operator, record.jobId), { ...record, routing, state: "active" })
      })
    )

    it.effect("says that it is missing and makes no document when it patches an unknown job", () =>
      Effect.gen(function* () {
        const records = yield* JobRecords
        const jobId = freshJob()

        assert.strictEqual(
          yield* records.patch(aChange(jobId, { state: "active", output: anOutput(1, 1) }, true)),
          "missing"
        )
        assert.strictEqual(yield* records.patch(aChange(jobId, {}, true)), "missing")

        assert.isNull(yield* records.get(operator, jobId))
      })
    )

    it.effect("shows a document to its namespace and to operators, and to no other namespace", () =>
      Effect.gen(function* () {
        const records = yield* JobRecords
        const record = aRecord()
        yield* records.open(record)

        assert.isNull(yield* records.get(only(freshNamespace()), record.jobId))
        assert.strictEqual((yield* records.get(only(record.namespaceId), record.jobId))?.jobId, record.jobId)
        assert.strictEqual((yield* records.get(operator, record.jobId))?.jobId, record.jobId)
      })
    )

    it.effect("removes a discarded document, once or twice", () =>
      Effect.gen(function* () {
        const records = yield* JobRecords
        const record = aRecord()
        yield* records.open(record)

        yield* records.discard(record.jobId)
        yield* records.discard(record.jobId)

        assert.isNull(yield* records.get(operator, record.jobId))
        assert.strictEqual(yield* records.patch(aChange(record.jobId, { state: "active" }, true)), "missing")
        yield* records.open(record)
        assert.deepStrictEqual(yield* records.get(operator, record.jobId), record)
      })
    )

    it.effect("lists the unfinished documents before an instant, oldest first", () =>
      Effect.gen(function* () {
        const records = yield* JobRecords
        // Before all that other tests write: the question has no namespace.
        const at = -1_000_000_000_000 - freshTime()
        const [late, twin, early] = [
          aRecord({ createdAt: at + 2 }),
          aRecord({ createdAt: at + 1 }),
          aRecord({ createdAt: at + 1 })
        ]
        const ended = aRecord({ createdAt: at, state: "failed" })
        const truncated = aRecord({ createdAt: at, state: "active", completeness: "truncated" })
        const active = aRecord({ createdAt: at, state: "active" })
        const young = aRecord({ createdAt: at + 3 })
        const all = [late, twin, early, ended, truncated, active, young]
        yield* Effect.forEach(all, (record) => records.open(record), { concurrency: 8 })

        const found = yield* records.unfinished(at + 3, 100)

        const ours = found.filter((id) => all.some(({ jobId }) => jobId === id))
        assert.deepStrictEqual(ours, [active.jobId, twin.jobId, early.jobId, late.jobId])
        assert.isTrue((yield* records.unfinished(at + 3, 2)).length <= 2)
        yield* records.patch(aChange(active.jobId, { state: "completed", completeness: "complete" }, true))
        assert.notInclude(yield* records.unfinished(at + 3, 100), active.jobId)
      })
    )

    it.effect("refuses an epoch that was overtaken, and changes nothing then", () =>
      Effect.gen(function* () {
        const records = yield* JobRecords
        const record = aRecord()
        yield* records.open(record)
        assert.strictEqual(yield* records.patch(aChange(record.jobId, { state: "active" }, true, 2)), "done")

        assert.strictEqual(yield* records.patch(aChange(record.jobId, { state: "failed" }, true, 1)), "stale")
        assert.strictEqual(yield* records.patch(aChange(record.jobId, {}, false, 0)), "stale")

        assert.deepStrictEqual(yield* records.get(operator, record.jobId), { ...record, state: "active" })
        assert.strictEqual(yield* records.patch(aChange(record.jobId, { errorCode: "e" }, false, 2)), "done")
        assert.strictEqual(yield* records.patch(aChange(record.jobId, { errorCode: null }, true, 7)), "done")
        assert.strictEqual(yield* records.patch(aChange(record.jobId, { errorCode: "old" }, true, 6)), "stale")
        assert.isNull((yield* records.get(operator, record.jobId))?.errorCode)
      })
    )

    it.effect("fences with an empty patch too: whoever acts next keeps the one before from the document", () =>
      Effect.gen(function* () {
        const records = yield* JobRecords
        const record = aRecord()
        yield* records.open(record)
        yield* records.patch(aChange(record.jobId, {}, true, 3))

        assert.strictEqual(yield* records.patch(aChange(record.jobId, { output: anOutput(1, 2) }, true, 2)), "stale")

        assert.deepStrictEqual(yield* records.get(operator, record.jobId), record)
      })
    )

    it.effect("loses no field when many patches of one document arrive together", () =>
      Effect.gen(function* () {
        const records = yield* JobRecords
        const record = aRecord()
        yield* records.open(record)

        yield* Effect.all(
          [
            records.patch(aChange(record.jobId, { state: "active" }, false)),
            records.patch(aChange(record.jobId, { errorCode: "e" }, true)),
            records.patch(aChange(record.jobId, { output: anOutput(1, 2) }, false)),
            records.patch(aChange(record.jobId, { held: true }, false))
          ],
          { concurrency: 4 }
        )

        assert.deepStrictEqual(yield* records.get(operator, record.jobId), {
          ...record,
          state: "active",
          errorCode: "e",
          output: anOutput(1, 2),
          held: true
        })
      })
    )
  })
