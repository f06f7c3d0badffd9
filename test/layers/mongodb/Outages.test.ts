/** A server that hangs, goes away, or is not there yet: an Outage for every call, and nothing to be done when it is back. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Redacted } from "effect"
import {
  aChange,
  aLogEntry,
  anIncident,
  aRecord,
  freshJob,
  freshSegment,
  operator,
  pieces
} from "../../support/recordFactories.ts"
import { TcpProxy } from "../../support/TcpProxy.ts"
import { aClient, freshDatabase, MONGODB_URL, withMongo } from "./MongoRig.ts"

const ANSWER_MS = 500

const aProxy = Effect.acquireRelease(
  Effect.promise(() => {
    const { hostname, port } = new URL(MONGODB_URL)
    return TcpProxy.start({ host: hostname, port: Number(port === "" ? 27_017 : port) })
  }),
  (proxy) => Effect.promise(() => proxy.stop())
)

const through = (proxy: TcpProxy) => {
  const url = new URL(MONGODB_URL)
  url.host = `127.0.0.1:${proxy.port}`
  return Redacted.make(url.href)
}

withMongo("a MongoDB that does not answer", () => {
  const options = freshDatabase()

  for (const harm of ["hang", "cut"] as const) {
    it.live(`is an Outage for every call when it does this: ${harm}; and answers again when it is back`, () =>
      Effect.gen(function* () {
        const proxy = yield* aProxy
        const client = yield* aClient({ ...options, url: through(proxy), answerMs: ANSWER_MS })
        const record = aRecord()
        const { jobId, namespaceId } = record
        yield* client.records.open(record)
        yield* client.traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(1, 1) })

        yield* Effect.promise(() => proxy[harm]())
        const calls = {
          "JobRecords.open": client.records.open(aRecord()),
          "JobRecords.patch": client.records.patch(aChange(jobId, { state: "active" }, true)),
          "JobRecords.get": client.records.get(operator, jobId),
          // Of another job: what was given up may arrive when the server is back.
          "JobRecords.discard": client.records.discard(freshJob()),
          "JobRecords.unfinished": client.records.unfinished(1, 1),
          "Traces.append": client.traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(2, 2) }),
          "Traces.fence": client.traces.fence(jobId, 1),
          "Traces.read": client.traces.read(operator, jobId, 0, 1),
          "Logs.append": client.logs.append([aLogEntry(namespaceId)]),
          "Logs.page": client.logs.page(operator, { limit: 1 }),
          "JobSearch.search": client.search.search(operator, {}, null, 1),
          "JobSearch.look": client.search.searchText(namespaceId, {}, "word", null, 1),
          "JobSearch.stats": client.search.stats(operator, { groupBy: ["day"], from: 0, to: 1 }),
          "JobSearch.finished": client.search.finished({ at: 0, id: "" }, 1, 1),
          "RecordRetention.expired": client.retention.expired(namespaceId, 1, 1),
          "RecordRetention.read": client.retention.read(freshSegment()),
          "RecordRetention.counts": client.retention.counts,
          "Incidents.raise": client.incidents.raise([anIncident()]),
          "Incidents.list": client.incidents.list(operator, { limit: 1 })
        }
        const told = yield* Effect.forEach(
          Object.values(calls) as ReadonlyArray<
            Effect.Effect<unknown, { readonly of: string; readonly during: string }>
          >,
          (call) => Effect.map(Effect.flip(call), ({ of, during }) => `${of}.${during}`),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(told, Object.keys(calls))

        yield* Effect.promise(() => proxy.pass())
        const found = yield* Effect.eventually(client.records.get(operator, jobId))
        assert.strictEqual(found?.namespaceId, namespaceId)
        yield* Effect.eventually(client.records.patch(aChange(jobId, { state: "active" }, true)))
      }).pipe(Effect.scoped)
    )
  }

  it.live("is waited for by a daemon that starts before it", () =>
    Effect.gen(function* () {
      const proxy = yield* aProxy
      yield* Effect.promise(() => proxy.cut())
      const starting = yield* Effect.forkScoped(aClient({ ...options, url: through(proxy), answerMs: 200 }))
      // More than one attempt to start has time for.
      yield* Effect.promise(() => proxy.attempts(4))
      yield* Effect.promise(() => proxy.pass())
      const { records } = yield* Fiber.join(starting)
      assert.isNull(yield* records.get(operator, aRecord().jobId))
    }).pipe(Effect.scoped)
  )

  it.live("is an Outage at the start, when it does not come in time", () =>
    Effect.gen(function* () {
      const proxy = yield* aProxy
      yield* Effect.promise(() => proxy.cut())
      const late = { ...options, url: through(proxy), answerMs: 100, startMs: 300 }
      assert.strictEqual((yield* Effect.flip(aClient(late)))._tag, "Outage")
    }).pipe(Effect.scoped)
  )
})
