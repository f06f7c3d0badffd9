/** What no document could hold: it comes back to the byte, does not stand in the way of others, and leaves nothing behind when its job goes. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  aChange,
  aFinishedRecord,
  anOutput,
  aRecord,
  freshJob,
  freshSegment,
  operator,
  pieces
} from "../../support/recordFactories.ts"
import { aClient, freshDatabase, inShell, withMongo } from "./MongoRig.ts"

const MEBIBYTE = 1_048_576
const ALL = 1_000_000

const outputOf = (text: string) => ({ ...anOutput(1, 2), choices: [{ choice: 0, text, finish: null }] })

withMongo("large records in MongoDB", () => {
  const options = freshDatabase()
  const filesOf = (jobId: string) =>
    inShell(options.database, (db) => db.collection("texts.files").countDocuments({ "metadata.jobId": jobId }))
  const chunksIn = () => inShell(options.database, (db) => db.collection("texts.chunks").countDocuments({}))

  it.live("bring back a request and an answer of twenty mebibytes, opened, patched and searched", () =>
    Effect.gen(function* () {
      const { records, search } = yield* aClient(options)
      const long = "ü\ud800\u0000".padEnd(20 * MEBIBYTE, "x")
      const record = aRecord({ input: { ...aRecord().input, request: { long } } })
      yield* records.open(record)
      const output = outputOf(long)
      assert.strictEqual(yield* records.patch(aChange(record.jobId, { output }, true, 1)), "done")

      const found = yield* records.get(operator, record.jobId)
      assert.isTrue(found?.output?.choices[0]?.text === long)
      assert.isTrue((found!.input.request as { long: string }).long === long)
      const [summary] = yield* search.search(operator, { keyId: record.keyId }, null, 5)
      assert.strictEqual(summary?.outputTokens, 2)

      yield* records.discard(record.jobId)
      assert.strictEqual(yield* Effect.promise(() => filesOf(record.jobId)), 0)
    }).pipe(Effect.scoped)
  )

  it.live("keep the order of the patches of one job, though a later one is small", () =>
    Effect.gen(function* () {
      const { records } = yield* aClient(options)
      const record = aRecord()
      yield* records.open(record)
      yield* Effect.all(
        [
          records.patch(aChange(record.jobId, { output: outputOf("a".repeat(MEBIBYTE)) }, true, 1)),
          records.patch(aChange(record.jobId, { output: outputOf("b") }, true, 1)),
          records.patch(aChange(record.jobId, { output: outputOf("c".repeat(MEBIBYTE)) }, true, 1)),
          records.patch(aChange(record.jobId, { output: outputOf("last") }, true, 1))
        ],
        { concurrency: 4 }
      )
      assert.strictEqual((yield* records.get(operator, record.jobId))?.output?.choices[0]?.text, "last")
    }).pipe(Effect.scoped)
  )

  it.live("leave no file behind when a patch is refused", () =>
    Effect.gen(function* () {
      const { records } = yield* aClient(options)
      const [record, unknown] = [aRecord(), freshJob()]
      yield* records.open(record)
      yield* records.patch(aChange(record.jobId, {}, true, 5))
      const output = outputOf("a".repeat(MEBIBYTE))
      assert.strictEqual(yield* records.patch(aChange(record.jobId, { output }, true, 4)), "stale")
      assert.strictEqual(yield* records.patch(aChange(unknown, { output }, true, 4)), "missing")
      assert.deepStrictEqual(
        yield* Effect.promise(() => Promise.all([filesOf(record.jobId), filesOf(unknown)])),
        [0, 0]
      )
    }).pipe(Effect.scoped)
  )

  it.live("take pieces that are larger than a document, alone or together, and read from the middle of them", () =>
    Effect.gen(function* () {
      const { traces } = yield* aClient(options)
      const jobId = freshJob()
      const batches = [
        pieces(1, 3),
        pieces(4, 4, "x".repeat(20 * MEBIBYTE)),
        pieces(5, 44, "y".repeat(MEBIBYTE / 2)),
        pieces(45, 50)
      ]
      for (const events of batches) assert.isTrue(yield* traces.append({ jobId, epoch: 1, attempt: 1, events }))
      assert.deepStrictEqual(yield* traces.read(operator, jobId, 0, ALL), batches.flat())
      assert.deepStrictEqual(yield* traces.read(operator, jobId, 42, 4), batches.flat().slice(42, 46))
      assert.lengthOf(yield* traces.fence(jobId, 2), 50)
    }).pipe(Effect.scoped)
  )

  it.live("go with their segment, to the last chunk", () =>
    Effect.gen(function* () {
      const { records, traces, retention } = yield* aClient(options)
      const before = yield* Effect.promise(chunksIn)
      const record = aFinishedRecord(5, { output: outputOf("a".repeat(3 * MEBIBYTE)) })
      yield* records.open(record)
      const events = pieces(1, 2, "z".repeat(MEBIBYTE))
      yield* traces.append({ jobId: record.jobId, epoch: 1, attempt: 1, events })
      const segment = freshSegment()
      yield* retention.mark(segment, [record.jobId])
      assert.deepStrictEqual(yield* retention.read(segment), [{ record, traces: events, logs: [] }])
      assert.strictEqual(yield* retention.prune(segment), 1)
      assert.strictEqual(yield* Effect.promise(chunksIn), before)
    }).pipe(Effect.scoped)
  )
})
