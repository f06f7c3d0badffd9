/** The records on a MongoDB-protocol server, in a database of their own that is dropped afterwards; and what only several clients of one server can show. */
import { randomBytes } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, ManagedRuntime, Redacted, Scope } from "effect"
import { MongoClient as Driver } from "mongodb"
import { afterAll } from "vitest"
import { JobRecords } from "../../src/layers/JobRecords.ts"
import * as MongoRecords from "../../src/layers/mongodb/MongoRecords.ts"
import { Traces } from "../../src/layers/Traces.ts"
import { aChange, anOutput, aRecord, freshJob, operator, pieces } from "../support/recordFactories.ts"
import { TcpProxy } from "../support/TcpProxy.ts"
import { entryRetentionContract } from "./contracts/EntryRetention.contract.ts"
import { incidentsContract } from "./contracts/Incidents.contract.ts"
import { jobRecordsContract } from "./contracts/JobRecords.contract.ts"
import { jobSearchContract } from "./contracts/JobSearch.contract.ts"
import { logsContract } from "./contracts/Logs.contract.ts"
import { recordRetentionContract } from "./contracts/RecordRetention.contract.ts"
import { signalsContract } from "./contracts/Signals.contract.ts"
import { tracesContract } from "./contracts/Traces.contract.ts"

const url = process.env["MONGODB_URL"] ?? ""
const databases: Array<string> = []

const freshDatabase = (): string => {
  const database = `suite_${randomBytes(5).toString("hex")}`
  databases.push(database)
  return database
}

const optionsIn = (database: string, at = url) => ({ url: Redacted.make(at), database })

/** A layer that is one and the same for all who use it. */
const kept = (options: MongoRecords.MongoOptions) => {
  const runtime = ManagedRuntime.make(MongoRecords.layer(options))
  afterAll(() => runtime.dispose())
  return Layer.effectContext(runtime.contextEffect)
}

/** One client of its own; closing it is its death. */
const aClient = (options: MongoRecords.MongoOptions) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    const context = yield* Scope.provide(Layer.build(Layer.fresh(MongoRecords.layer(options))), scope)
    return { records: Context.get(context, JobRecords), traces: Context.get(context, Traces) }
  })

if (url === "") {
  console.warn("skipped: the records on MongoDB; set MONGODB_URL to a MongoDB-protocol server")
  describe.skip("the records on MongoDB", () => it("need a server", () => undefined))
} else {
  afterAll(async () => {
    const client = await new Driver(url).connect()
    for (const database of databases) await client.db(database).dropDatabase()
    await client.close()
  })
  const layer = kept(optionsIn(freshDatabase()))

  jobRecordsContract("MongoDB", layer)
  tracesContract("MongoDB", layer)
  logsContract("MongoDB", layer)
  jobSearchContract("MongoDB", layer)
  recordRetentionContract("MongoDB", layer, { lives: MongoRecords.layer(optionsIn(freshDatabase())) })
  incidentsContract("MongoDB", layer)
  signalsContract("MongoDB", layer)
  entryRetentionContract("MongoDB", layer)

  describe("two clients of one MongoDB", () => {
    const options = optionsIn(freshDatabase())

    it.live("never both take effect: a fence, and an append of an epoch before it", () =>
      Effect.gen(function* () {
        const [old, next] = [yield* aClient(options), yield* aClient(options)]
        for (let round = 0; round < 40; round++) {
          const jobId = freshJob()
          yield* old.traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(1, 3) })
          const late = old.traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(4, 6, "old") })
          const [joined, seen] = yield* Effect.all([late, next.traces.fence(jobId, 2)], { concurrency: 2 })
          // Either the fence saw it, or it was refused.
          assert.strictEqual(seen.length, joined ? 6 : 3)
          yield* next.traces.append({ jobId, epoch: 2, attempt: 1, events: pieces(seen.length + 1, 8, "new") })
          assert.isFalse(yield* old.traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(7, 9, "old") }))
          const all = yield* next.traces.read(operator, jobId, 0, 100)
          assert.deepStrictEqual(
            all.map(({ seq }) => seq),
            [1, 2, 3, 4, 5, 6, 7, 8]
          )
        }
      }).pipe(Effect.scoped)
    )

    it.live("keep an answer of many megabytes to the byte, over many appends and a change of the owner", () =>
      Effect.gen(function* () {
        const [first, second] = [yield* aClient(options), yield* aClient(options)]
        const jobId = freshJob()
        const word = "0123456789abcdef".repeat(40)
        for (let from = 1; from < 4_000; from += 400) {
          const writer = from < 2_000 ? first : second
          const epoch = from < 2_000 ? 1 : 2
          assert.isTrue(
            yield* writer.traces.append({ jobId, epoch, attempt: 1, events: pieces(from, from + 399, word) })
          )
        }
        const all = yield* first.traces.read(operator, jobId, 0, 10_000)
        assert.deepStrictEqual(
          all.map(({ text }) => text),
          pieces(1, 4_000, word).map(({ text }) => text)
        )
        assert.deepStrictEqual(yield* second.traces.read(operator, jobId, 3_990, 5), all.slice(3_990, 3_995))
        assert.deepStrictEqual(yield* second.traces.fence(jobId, 3), all)
      }).pipe(Effect.scoped)
    )

    it.live("keep a request and an output that no document could hold", () =>
      Effect.gen(function* () {
        const { records } = yield* aClient(options)
        const long = "ü".repeat(9_000_000)
        const record = aRecord({ input: { ...aRecord().input, request: { long } } })
        yield* records.open(record)
        const output = { ...anOutput(1, 2), choices: [{ choice: 0, text: long, finish: null }] }
        assert.strictEqual(yield* records.patch(aChange(record.jobId, { output }, true, 1)), "done")
        const found = yield* records.get(operator, record.jobId)
        assert.strictEqual(found?.output?.choices[0]?.text, long)
        assert.deepStrictEqual(found?.input.request, { long })
      }).pipe(Effect.scoped)
    )
  })

  it.live("a MongoDB that hangs or is away is an Outage within seconds, and answers again when it is back", () =>
    Effect.gen(function* () {
      const { hostname, port } = new URL(url)
      const proxy = yield* Effect.acquireRelease(
        Effect.promise(() => TcpProxy.start({ host: hostname, port: Number(port) })),
        (opened) => Effect.promise(() => opened.stop())
      )
      const through = new URL(url)
      through.host = `127.0.0.1:${proxy.port}`
      const { records } = yield* aClient({ ...optionsIn(freshDatabase(), through.href), answerMs: 1_000 })
      const record = aRecord()
      yield* records.open(record)
      for (const harm of ["hang", "cut"] as const) {
        yield* Effect.promise(() => proxy[harm]())
        assert.strictEqual((yield* Effect.flip(records.open(aRecord())))._tag, "Outage")
        yield* Effect.promise(() => proxy.pass())
        const found = yield* Effect.eventually(records.get(operator, record.jobId))
        assert.strictEqual(found?.jobId, record.jobId)
      }
    }).pipe(Effect.scoped)
  )
}
