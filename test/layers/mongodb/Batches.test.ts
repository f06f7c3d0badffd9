/** What shares a bulk with others: few round trips for many calls, and each call with an outcome of its own. */
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import {
  aChange,
  aLogEntry,
  aRecord,
  freshJob,
  freshNamespace,
  only,
  operator,
  pieces
} from "../../support/recordFactories.ts"
import { aChangedClient, freshDatabase, watched, withMongo } from "./MongoRig.ts"

const MANY = 200
const AT_ONCE = { concurrency: "unbounded" } as const

withMongo("batches of MongoDB", () => {
  const options = freshDatabase()

  it.live("carry many calls in few bulks", () =>
    Effect.gen(function* () {
      const bulks = new Map<string, number>()
      const { records, traces, logs } = yield* aChangedClient(options, (real) =>
        watched(real, ["bulkWrite"], (name) => bulks.set(name, (bulks.get(name) ?? 0) + 1))
      )
      const all = Array.from({ length: MANY }, () => aRecord())
      yield* Effect.forEach(all, records.open, AT_ONCE)
      yield* Effect.forEach(all, ({ jobId }) => records.patch(aChange(jobId, { state: "active" }, false)), AT_ONCE)
      yield* Effect.forEach(
        all,
        ({ jobId }) => traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(1, 2) }),
        AT_ONCE
      )
      yield* Effect.forEach(all, ({ namespaceId }) => logs.append([aLogEntry(namespaceId)]), AT_ONCE)
      // Two lanes, and whatever was there when a lane began.
      assert.isAtMost(bulks.get("jobs") ?? 0, 12)
      assert.isAtMost(bulks.get("heads") ?? 0, 6)
      assert.isAtMost(bulks.get("logs") ?? 0, 4)
      const found = yield* Effect.forEach(all, ({ jobId }) => records.get(operator, jobId))
      assert.isTrue(found.every((record) => record?.state === "active"))
    }).pipe(Effect.scoped)
  )

  it.live("tell each patch its own outcome", () =>
    Effect.gen(function* () {
      const { records } = yield* aChangedClient(options, (real) => real)
      const all = Array.from({ length: 60 }, () => aRecord())
      yield* Effect.forEach(all, records.open, AT_ONCE)
      yield* Effect.forEach(
        all.filter((_, index) => index % 3 === 1),
        ({ jobId }) => records.patch(aChange(jobId, {}, true, 9)),
        AT_ONCE
      )
      const told = yield* Effect.forEach(
        all,
        ({ jobId }, index) =>
          records.patch(aChange(index % 3 === 2 ? freshJob() : jobId, { errorCode: "late" }, index % 2 === 0, 8)),
        AT_ONCE
      )
      assert.deepStrictEqual(
        told,
        all.map((_, index) => (["done", "stale", "missing"] as const)[index % 3])
      )
      const found = yield* Effect.forEach(all, ({ jobId }) => records.get(operator, jobId))
      assert.deepStrictEqual(
        found.map((record) => record?.errorCode),
        all.map((_, index) => (index % 3 === 0 ? "late" : null))
      )
    }).pipe(Effect.scoped)
  )

  it.live("tell each append its own outcome", () =>
    Effect.gen(function* () {
      const { traces } = yield* aChangedClient(options, (real) => real)
      const all = Array.from({ length: 60 }, () => freshJob())
      yield* Effect.forEach(all, (jobId, index) => traces.fence(jobId, index % 3 === 1 ? 9 : 1), AT_ONCE)
      const told = yield* Effect.forEach(
        all,
        (jobId, index) =>
          traces.append({ jobId, epoch: 8, attempt: 1, events: index % 3 === 2 ? pieces(2, 3) : pieces(1, 2) }),
        AT_ONCE
      )
      assert.deepStrictEqual(
        told,
        all.map((_, index) => index % 3 === 0)
      )
    }).pipe(Effect.scoped)
  )

  it.live("show each asker its own, also when all ask at once for all", () =>
    Effect.gen(function* () {
      const asked: Array<unknown> = []
      const { records } = yield* aChangedClient(options, (real) =>
        watched(real, ["find"], (name, _, [filter]) => {
          if (name === "jobs") asked.push(filter)
        })
      )
      const all = Array.from({ length: 12 }, () => aRecord())
      yield* Effect.forEach(all, records.open, AT_ONCE)
      const told = yield* Effect.forEach(
        all.flatMap((record) => all.map((other) => [record, other] as const)),
        ([record, other]) =>
          Effect.map(records.get(only(other.namespaceId), record.jobId), (found) => [record === other, found] as const),
        AT_ONCE
      )
      for (const [isOwn, found] of told) assert.strictEqual(found !== null, isOwn)
      assert.isTrue(asked.length > 0 && asked.every((filter) => Object.hasOwn(filter as object, "namespaceId")))
      const seen = yield* Effect.forEach(all, ({ jobId }) => records.get(operator, jobId), AT_ONCE)
      assert.deepStrictEqual(seen, all)
    }).pipe(Effect.scoped)
  )

  it.live("do not die of one document that no server takes", () =>
    Effect.gen(function* () {
      const { records } = yield* aChangedClient(options, (real) => real)
      // No body of its own file: a searched field that is larger than a document may be.
      const poison = aRecord({ clientTag: "x".repeat(18_000_000) })
      const all = [aRecord(), poison, aRecord()]
      const exits = yield* Effect.forEach(all, (record) => Effect.exit(records.open(record)), AT_ONCE)
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false, true])
      assert.isTrue(Exit.isFailure(exits[1]!) && Cause.hasDies(exits[1].cause))
      assert.isNotNull(yield* records.get(operator, all[2]!.jobId))
    }).pipe(Effect.scoped)
  )

  it.live("write an entry once when its call is tried again after the answer was lost", () =>
    Effect.gen(function* () {
      let lost = false
      const { logs } = yield* aChangedClient(options, (real) => ({
        ...real,
        logs: new Proxy(real.logs, {
          get: (target, method) =>
            method === "bulkWrite" && !lost
              ? async (...args: ReadonlyArray<unknown>) => {
                  lost = true
                  await Reflect.apply(target.bulkWrite, target, args)
                  throw new Error("the connection broke")
                }
              : Reflect.get(target, method)
        })
      }))
      const namespaceId = freshNamespace()
      const append = logs.append([aLogEntry(namespaceId, { code: "a" }), aLogEntry(namespaceId, { code: "b" })])
      assert.strictEqual((yield* Effect.flip(append))._tag, "Outage")
      yield* append
      const found = yield* logs.query(only(namespaceId), { limit: 10 })
      assert.deepStrictEqual(
        found.map(({ code }) => code),
        ["a", "b"]
      )
    }).pipe(Effect.scoped)
  )
})
