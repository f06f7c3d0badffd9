/** A pass of retention that is cut off at each of its writes, and one that a slow predecessor comes back into. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import {
  aFinishedRecord,
  aLogEntry,
  archiveLine,
  freshNamespace,
  freshSegment,
  operator,
  pieces
} from "../../support/recordFactories.ts"
import { aChangedClient, aClient, freshDatabase, gated, inShell, watched, withMongo } from "./MongoRig.ts"

const WRITES = ["bulkWrite", "updateOne", "updateMany", "deleteMany", "insertMany"]

type Client = Effect.Success<ReturnType<typeof aClient>>

const finishedJobs = (client: Client, namespaceId = freshNamespace()) =>
  Effect.forEach([1, 2, 3], (at) =>
    Effect.gen(function* () {
      const record = aFinishedRecord(at, { namespaceId })
      yield* client.records.open(record)
      yield* client.traces.append({ jobId: record.jobId, epoch: 1, attempt: 1, events: pieces(1, 3) })
      yield* client.logs.append([aLogEntry(namespaceId, { jobId: record.jobId, code: `c${at}` })])
      return record
    })
  )

withMongo("retention in MongoDB", () => {
  // One for whoever counts all that there is.
  const counted = freshDatabase()
  const options = freshDatabase()
  it.live("loses nothing and counts nothing twice when it dies at any of its writes and somebody goes on", () => {
    return Effect.gen(function* () {
      const client = yield* aClient(counted)
      let pruned = 0
      let cuts = 0
      for (let cutAt = 1; ; cutAt++) {
        const jobs = yield* finishedJobs(client)
        const segment = freshSegment()
        const ids = jobs.map(({ jobId }) => jobId)
        let writes = 0
        const dying = yield* aChangedClient(counted, (real) =>
          watched(real, WRITES, () => {
            writes += 1
            if (writes >= cutAt) throw new Error("the connection broke")
          })
        )
        const { mark, prune } = dying.retention
        const exit = yield* Effect.exit(Effect.andThen(mark(segment, ids), prune(segment)))
        if (exit._tag === "Failure") cuts += 1

        const marked = yield* client.retention.mark(segment, ids)
        if (marked > 0) {
          const lines = yield* client.retention.read(segment)
          assert.lengthOf(lines, marked)
          yield* client.retention.prune(segment)
        }
        pruned += jobs.length
        assert.deepStrictEqual(yield* client.retention.counts, { live: 0, pruned })
        assert.deepStrictEqual(yield* client.retention.retiring, [])
        for (const jobId of ids) {
          assert.deepStrictEqual(yield* client.logs.query(operator, { jobId, limit: 5 }), [])
          assert.deepStrictEqual(yield* client.traces.read(operator, jobId, 0, 5), [])
        }
        if (exit._tag === "Success") break
      }
      // Mark, fence, decide, tally, segments, heads, entries, documents.
      assert.strictEqual(cuts, 8)
    }).pipe(Effect.scoped)
  })

  it.live("reads the same bytes though a slow predecessor decides late which entries go along", () => {
    return Effect.gen(function* () {
      const client = yield* aClient(options)
      const [first] = yield* finishedJobs(client)
      const { jobId, namespaceId } = first!
      const segment = freshSegment()
      const waits = Promise.withResolvers<ReturnType<typeof gated>>()
      const slow = yield* aChangedClient(options, (real) => {
        const jobs = gated(real.jobs, "bulkWrite")
        waits.resolve(jobs)
        return { ...real, jobs: jobs.collection }
      })
      const { reached, open } = yield* Effect.promise(() => waits.promise)
      const marking = yield* Effect.forkScoped(slow.retention.mark(segment, [jobId]))
      yield* Effect.promise(() => reached)
      // What it has seen is not all any more when another one decides.
      yield* client.logs.append([aLogEntry(namespaceId, { jobId, at: 1, code: "between" })])
      const once = yield* client.retention.read(segment)
      assert.lengthOf(once[0]?.logs ?? [], 2)
      yield* client.logs.append([aLogEntry(namespaceId, { jobId, code: "late" })])
      open()
      yield* Fiber.join(marking)

      const again = yield* client.retention.read(segment)
      assert.deepStrictEqual(again.map(archiveLine), once.map(archiveLine))
      yield* client.retention.prune(segment)
      const left = yield* client.logs.query(operator, { jobId, limit: 5 })
      assert.deepStrictEqual(
        left.map(({ code }) => code),
        ["late"]
      )
    }).pipe(Effect.scoped)
  })

  it.live("lets nobody begin the trace of a pruned job anew", () => {
    return Effect.gen(function* () {
      const client = yield* aClient(options)
      const [first] = yield* finishedJobs(client)
      const segment = freshSegment()
      yield* client.retention.mark(segment, [first!.jobId])
      yield* client.retention.prune(segment)
      const events = pieces(1, 2)
      assert.isFalse(yield* client.traces.append({ jobId: first!.jobId, epoch: 7, attempt: 1, events }))
      assert.deepStrictEqual(yield* client.traces.fence(first!.jobId, 8), [])
      const head = yield* Effect.promise(() =>
        inShell(options.database, (db) =>
          db.collection<{ _id: string; purgeAfter?: Date }>("trace_heads").findOne({ _id: first!.jobId })
        )
      )
      assert.instanceOf(head?.purgeAfter, Date)
    }).pipe(Effect.scoped)
  })
})
