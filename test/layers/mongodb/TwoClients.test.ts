/** What only several clients of one server can show: who was replaced writes nothing, however late what he wrote arrives. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Redacted } from "effect"
import { operator, aChange, anOutput, aRecord, freshJob, pieces } from "../../support/recordFactories.ts"
import { TcpProxy } from "../../support/TcpProxy.ts"
import { until } from "../../support/Until.ts"
import { aChangedClient, aClient, freshDatabase, gated, MONGODB_URL, withMongo } from "./MongoRig.ts"

const ALL = 1_000_000

/** A server that freezes for one client and wakes when the test says so. */
const aFrozenPath = Effect.acquireRelease(
  Effect.promise(async () => {
    const { hostname, port } = new URL(MONGODB_URL)
    return TcpProxy.start({ host: hostname, port: Number(port === "" ? 27_017 : port) })
  }),
  (proxy) => Effect.promise(() => proxy.stop())
)

const through = (proxy: TcpProxy): string => {
  const url = new URL(MONGODB_URL)
  url.host = `127.0.0.1:${proxy.port}`
  return url.href
}

withMongo("two clients of one MongoDB", () => {
  const options = freshDatabase()

  it.live("never both take effect: a fence, and an append of an epoch before it, in any order of arrival", () =>
    Effect.gen(function* () {
      const [old, next] = [yield* aClient(options), yield* aClient(options)]
      let joinedOnes = 0
      for (let round = 0; round < 150; round++) {
        const jobId = freshJob()
        if (round % 3 > 0) yield* old.traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(1, 3) })
        const before = round % 3 > 0 ? 3 : 0
        const late = old.traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(before + 1, before + 3, "old") })
        const fence = next.traces.fence(jobId, 2)
        const [joined, seen] =
          round % 2 === 0
            ? yield* Effect.all([late, fence], { concurrency: 2 })
            : yield* Effect.map(Effect.all([fence, late], { concurrency: 2 }), ([a, b]) => [b, a] as const)
        // Either the fence saw it, or it was refused.
        assert.strictEqual(seen.length, joined ? before + 3 : before)
        joinedOnes += joined ? 1 : 0
        const rest = pieces(seen.length + 1, 8, "new")
        assert.isTrue(yield* next.traces.append({ jobId, epoch: 2, attempt: 1, events: rest }))
        assert.isFalse(yield* old.traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(7, 9, "old") }))
        assert.deepStrictEqual(yield* next.traces.read(operator, jobId, 0, ALL), [...seen, ...rest])
      }
      // Otherwise the rounds have shown one order only.
      assert.isTrue(joinedOnes > 0 && joinedOnes < 150)
    }).pipe(Effect.scoped)
  )

  it.live("store one writing of each number when both append the same stretch under one epoch", () =>
    Effect.gen(function* () {
      const clients = [yield* aClient(options), yield* aClient(options)]
      for (let round = 0; round < 20; round++) {
        const jobId = freshJob()
        yield* Effect.forEach(
          clients,
          (client, index) =>
            Effect.forEach([1, 4, 7], (from) =>
              client.traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(from, from + 2, `${index}.`) })
            ),
          { concurrency: 2 }
        )
        const all = yield* clients[0]!.traces.read(operator, jobId, 0, ALL)
        assert.deepStrictEqual(
          all.map(({ seq }) => seq),
          [1, 2, 3, 4, 5, 6, 7, 8, 9]
        )
        assert.deepStrictEqual(yield* clients[1]!.traces.fence(jobId, 1), all)
      }
    }).pipe(Effect.scoped)
  )

  it.live("lose no piece and repeat none when a head is emptied by both and read by a third meanwhile", () =>
    Effect.gen(function* () {
      const [one, two, reader] = [yield* aClient(options), yield* aClient(options), yield* aClient(options)]
      const jobId = freshJob()
      const word = "0123456789abcdef".repeat(64)
      const seen: Array<number> = []
      let written = 0
      for (let from = 1; from <= 960; from += 32) {
        const batch = { jobId, epoch: 1, attempt: 1, events: pieces(from, from + 31, word) }
        const read = reader.traces.read(operator, jobId, seen.length, ALL)
        const [, , fresh] = yield* Effect.all([one.traces.append(batch), two.traces.append(batch), read], {
          concurrency: 3
        })
        written = from + 31
        seen.push(...fresh.map(({ seq }) => seq))
      }
      assert.deepStrictEqual(
        seen,
        Array.from({ length: seen.length }, (_, index) => index + 1)
      )
      assert.deepStrictEqual(
        yield* reader.traces.read(operator, jobId, 0, ALL),
        pieces(1, written, word).map((piece, index) => ({ ...piece, offsetMs: index % 32 }))
      )
      assert.lengthOf(yield* reader.traces.read(operator, jobId, 500, 7), 7)
    }).pipe(Effect.scoped)
  )

  it.live("lose no piece that came while a slow one was emptying the head", () =>
    Effect.gen(function* () {
      const waits = Promise.withResolvers<ReturnType<typeof gated>>()
      const slow = yield* aChangedClient(options, (real) => {
        const heads = gated(real.heads, "updateOne")
        waits.resolve(heads)
        return { ...real, heads: heads.collection }
      })
      const { reached, open } = yield* Effect.promise(() => waits.promise)
      const next = yield* aClient(options)
      const jobId = freshJob()
      const word = "x".repeat(2_000)
      const emptying = yield* Effect.forkScoped(
        slow.traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(1, 64, word) })
      )
      yield* Effect.promise(() => reached)
      assert.isTrue(yield* next.traces.append({ jobId, epoch: 2, attempt: 1, events: pieces(65, 66) }))
      open()
      yield* Fiber.join(emptying)
      assert.deepStrictEqual(yield* next.traces.read(operator, jobId, 0, ALL), [
        ...pieces(1, 64, word),
        ...pieces(65, 66)
      ])
    }).pipe(Effect.scoped)
  )

  it.live("let the newer epoch's patch stand, whichever comes first", () =>
    Effect.gen(function* () {
      const [old, next] = [yield* aClient(options), yield* aClient(options)]
      for (let round = 0; round < 50; round++) {
        const record = aRecord()
        yield* next.records.open(record)
        const [, patched] = yield* Effect.all(
          [
            old.records.patch(aChange(record.jobId, { state: "failed", errorCode: "old" }, true, 1)),
            next.records.patch(aChange(record.jobId, { state: "completed", errorCode: null }, true, 2))
          ],
          { concurrency: 2 }
        )
        assert.strictEqual(patched, "done")
        const found = yield* old.records.get(operator, record.jobId)
        assert.deepStrictEqual([found?.state, found?.errorCode], ["completed", null])
      }
    }).pipe(Effect.scoped)
  )

  it.live("are not harmed by a patch that was given up, made again, and then arrives after all", () =>
    Effect.gen(function* () {
      const proxy = yield* aFrozenPath
      const client = yield* aClient({ ...options, url: Redacted.make(through(proxy)), answerMs: 400 })
      const record = aRecord()
      yield* client.records.open(record)
      yield* Effect.promise(() => proxy.freeze())
      const patch = client.records.patch(aChange(record.jobId, { state: "active" }, true, 1))
      assert.strictEqual((yield* Effect.flip(patch))._tag, "Outage")
      assert.isTrue(proxy.isKeeping)

      const again = until("a patch by another connection", () =>
        Effect.runPromise(Effect.orElseSucceed(patch, () => null))
      )
      assert.strictEqual(yield* Effect.promise(() => again), "done")
      const end = { state: "completed", completeness: "complete", output: anOutput(1, 2) } as const
      assert.strictEqual(yield* client.records.patch(aChange(record.jobId, end, true, 1)), "done")
      yield* Effect.promise(() => proxy.thaw())

      assert.deepStrictEqual(yield* client.records.get(operator, record.jobId), { ...record, ...end })
    }).pipe(Effect.scoped)
  )
})
