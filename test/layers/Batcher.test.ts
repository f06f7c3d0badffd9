/** Calls that are carried out in batches look to each caller like calls of its own. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { MaxOpsBeforeYield } from "effect/Scheduler"
import { TestClock } from "effect/testing"
import * as Batcher from "../../src/layers/Batcher.ts"
import { Outage } from "../../src/layers/Outage.ts"

type Run = Batcher.BatchOptions<number, string, "odd">["run"]

const batcher = (run: Run, waitingMax = 100) =>
  Batcher.make<number, string, "odd">({ of: "Numbers", during: "say", batchMax: 10, atOnce: 1, waitingMax, run })

const say = (item: number): Exit.Exit<string, "odd"> => (item % 2 === 1 ? Exit.fail("odd") : Exit.succeed(`${item}`))

describe("a batch", () => {
  it.effect("takes what came meanwhile, in order and within its bound; each caller learns its own outcome", () =>
    Effect.gen(function* () {
      const batches: Array<number> = []
      const call = yield* batcher((items) =>
        Effect.sync(() => {
          batches.push(items.length)
          return items.map(say)
        })
      )
      const exits = yield* Effect.forEach(
        Array.from({ length: 25 }, (_, at) => at),
        (at) => Effect.exit(call(at)),
        {
          concurrency: "unbounded"
        }
      )
      assert.deepStrictEqual(
        exits,
        Array.from({ length: 25 }, (_, at) => say(at))
      )
      assert.deepStrictEqual(batches, [10, 10, 5])
    })
  )

  it.effect("that fails as a whole is an Outage for each, and the next one is tried again", () =>
    Effect.gen(function* () {
      let isOut = true
      const call = yield* batcher((items) =>
        isOut ? Effect.fail(new Outage({ of: "Numbers", during: "say", cause: null })) : Effect.succeed(items.map(say))
      )
      const failed = yield* Effect.forEach([2, 4], (item) => Effect.flip(call(item)), { concurrency: "unbounded" })
      for (const failure of failed) assert.instanceOf(failure, Outage)
      isOut = false
      assert.strictEqual(yield* call(6), "6")
    })
  )

  it.effect(
    "that is not answered for long fails those as well who waited behind it, and the next caller is tried",
    () =>
      Effect.gen(function* () {
        let isOut = true
        let batches = 0
        const begun = yield* Deferred.make<void>()
        const out = Effect.fail(new Outage({ of: "Numbers", during: "say", cause: null }))
        const call = yield* batcher((items) => {
          batches += 1
          Deferred.doneUnsafe(begun, Effect.void)
          return isOut ? Effect.andThen(Effect.sleep("2 seconds"), out) : Effect.succeed(items.map(say))
        })
        const numbers = Array.from({ length: 60 }, (_, at) => at)
        const callers = yield* Effect.forkChild(
          Effect.forEach(numbers, (item) => Effect.exit(call(item)), { concurrency: "unbounded" })
        )
        yield* Deferred.await(begun)
        yield* TestClock.adjust("2 seconds")
        const exits = yield* Fiber.join(callers)
        assert.isTrue(exits.every(Exit.isFailure))
        assert.strictEqual(batches, 1)
        isOut = false
        const next = yield* Effect.forkChild(call(6))
        yield* TestClock.adjust("100 millis")
        assert.strictEqual(yield* Fiber.join(next), "6")
      })
  )

  it.effect(
    "takes every call, however the fibers take turns: none is left behind by a batcher that just came to rest",
    () =>
      Effect.gen(function* () {
        const call = yield* batcher((items) => Effect.succeed(items.map(say)))
        const caller = (pauses: number) =>
          Effect.gen(function* () {
            for (let turn = 0; turn < 200; turn++) {
              for (let pause = 0; pause < (turn * pauses) % 17; pause++) yield* Effect.yieldNow
              assert.strictEqual(yield* call(2 * turn), String(2 * turn))
            }
          })
        const all = Effect.all([1, 2, 3, 5, 7].map(caller), { concurrency: "unbounded", discard: true })
        // A fiber gives way after so many steps, wherever it is then.
        for (let steps = 8; steps < 60; steps++) yield* Effect.provideService(all, MaxOpsBeforeYield, steps)
      })
  )

  it.effect("fills up for a while after a crowd, and leaves at once after a few", () =>
    Effect.gen(function* () {
      const batches: Array<ReadonlyArray<number>> = []
      const call = yield* batcher((items) =>
        Effect.sleep("10 millis").pipe(
          Effect.andThen(Effect.sync(() => void batches.push(items))),
          Effect.as(items.map(say))
        )
      )
      const ask = (...items: ReadonlyArray<number>) =>
        Effect.forEach(items, (item) => Effect.forkChild(call(item), { startImmediately: true }))
      yield* ask(0, 2)
      yield* TestClock.adjust("5 millis")
      yield* ask(4)
      // The first two took 10 ms and were no crowd: the third left right after them.
      yield* TestClock.adjust("20 millis")
      assert.deepStrictEqual(batches, [[0, 2], [4]])
      yield* ask(10, 12, 14, 16)
      yield* TestClock.adjust("5 millis")
      yield* ask(20)
      yield* TestClock.adjust("15 millis")
      yield* ask(22)
      yield* TestClock.adjust("5 millis")
      assert.strictEqual(batches.length, 3)
      yield* TestClock.adjust("20 millis")
      assert.deepStrictEqual(batches.slice(2), [
        [10, 12, 14, 16],
        [20, 22]
      ])
    })
  )

  it.effect("is refused as an Outage beyond the bound, not kept", () =>
    Effect.gen(function* () {
      const call = yield* batcher(() => Effect.never, 1)
      const fibers = yield* Effect.forEach([0, 2, 4], (item) =>
        Effect.forkChild(Effect.exit(call(item)), { startImmediately: true })
      )
      const last = yield* Fiber.join(fibers[2]!)
      assert.isTrue(Exit.isFailure(last))
    })
  )
})

describe("when its scope closes", () => {
  it.effect("callers of the batch on its way, callers that wait and later callers all get an Outage", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const started = yield* Deferred.make<void>()
      const call = yield* batcher(() => Effect.andThen(Deferred.succeed(started, undefined), Effect.never)).pipe(
        Scope.provide(scope)
      )
      const first = yield* Effect.forkChild(Effect.flip(call(2)), { startImmediately: true })
      yield* Deferred.await(started)
      const second = yield* Effect.forkChild(Effect.flip(call(4)), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      const ends = [yield* Fiber.join(first), yield* Fiber.join(second), yield* Effect.flip(call(6))]
      for (const end of ends) assert.instanceOf(end, Outage)
    })
  )
})
