/** Long work: looked at while it runs, one of a kind at a time, cancelled, and remembered for a while. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { KEPT_MAX, LongWork, type Order, RUNNING_MAX } from "../../src/actors/LongWork.ts"
import { Outage } from "../../src/layers/Outage.ts"
import { refuse } from "../../src/schemas/Refusal.ts"

const order = <E>(run: Order<E>["run"], kind = "test.work"): Order<E> => ({ kind, by: "me", unit: "rows", run })

/** Works as long as it is let, after it has said how far it is. */
const held = Effect.gen(function* () {
  const [begun, gate] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
  const run: Order<never>["run"] = (report) =>
    Effect.gen(function* () {
      yield* report({ done: 100, total: 400, unit: "rows", bytes: 7 })
      yield* Deferred.succeed(begun, undefined)
      yield* Deferred.await(gate)
      return { made: 1 }
    })
  return { run, begun: Deferred.await(begun), letGo: Deferred.succeed(gate, undefined) }
})

const settled = (id: string) =>
  Effect.gen(function* () {
    const { look } = yield* LongWork
    while ((yield* look(id)).state === "running") yield* Effect.yieldNow
    return yield* look(id)
  })

describe("long work", () => {
  it.effect("says how far it is, how fast, and how long it will take, and in the end what it made", () =>
    Effect.gen(function* () {
      const { start, look, list } = yield* LongWork
      const { run, begun, letGo } = yield* held
      const { id, state } = yield* start(order(run))
      assert.strictEqual(state, "running")
      yield* begun
      yield* TestClock.adjust("2 seconds")
      assert.deepInclude(yield* look(id), {
        state: "running",
        by: "me",
        progress: { done: 100, total: 400, unit: "rows", bytes: 7 },
        perSecond: 50,
        leftMs: 6000
      })
      yield* letGo
      const over = yield* settled(id)
      assert.deepInclude(over, { state: "done", result: { made: 1 }, leftMs: null, error: null })
      assert.deepStrictEqual(yield* list, [over])
    }).pipe(Effect.provide(LongWork.layer))
  )

  it.effect("runs one of a kind at a time, and not many at all", () =>
    Effect.gen(function* () {
      const { start } = yield* LongWork
      const { run, begun, letGo } = yield* held
      const { id } = yield* start(order(run))
      yield* begun
      const second = yield* Effect.flip(start(order(run)))
      assert.strictEqual(second.code, "conflict")
      assert.include(second.message, id)
      for (let n = 1; n < RUNNING_MAX; n++) yield* start(order(() => Effect.never, `other.${n}`))
      assert.strictEqual((yield* Effect.flip(start(order(run, "one.more")))).code, "overloaded")
      yield* letGo
      yield* settled(id)
      assert.strictEqual((yield* start(order(run))).state, "running")
    }).pipe(Effect.provide(LongWork.layer))
  )

  it.effect("is interrupted when it is cancelled, and cancelling it again changes nothing", () =>
    Effect.gen(function* () {
      const { start, cancel } = yield* LongWork
      const { run, begun } = yield* held
      let cleaned = false
      const { id } = yield* start(
        order((report) => Effect.onInterrupt(run(report), () => Effect.sync(() => void (cleaned = true))))
      )
      yield* begun
      const over = yield* cancel(id)
      assert.deepInclude(over, { state: "cancelled", result: null })
      assert.isTrue(cleaned)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* cancel(id)).endedAt, over.endedAt)
      const early = yield* start(order(run))
      assert.strictEqual((yield* cancel(early.id)).state, "cancelled")
      assert.strictEqual((yield* Effect.flip(cancel("work_of_nobody"))).code, "not_found")
    }).pipe(Effect.provide(LongWork.layer))
  )

  it.effect("that fails says why, but of a bug nothing that it quotes", () =>
    Effect.gen(function* () {
      const { start } = yield* LongWork
      const ends: ReadonlyArray<readonly [Effect.Effect<never, { readonly message: string }>, RegExp]> = [
        [Effect.fail(refuse("conflict", "Not so.")), /^Not so\.$/],
        [
          Effect.fail(new Outage({ of: "Archive", during: "put", cause: "secret" })),
          /^Archive does not answer \(put\)/
        ],
        [Effect.die(new Error("secret")), /^Something went wrong on our side/]
      ]
      for (const [end, says] of ends) {
        const { id } = yield* start(order(() => end))
        const { state, error } = yield* settled(id)
        assert.strictEqual(state, "failed")
        assert.match(error ?? "", says)
        assert.notInclude(error ?? "", "secret")
      }
    }).pipe(Effect.provide(LongWork.layer))
  )

  it.effect("that is over is forgotten when there is much of it, and ends with its daemon", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { start, list } = yield* Effect.provide(LongWork, yield* Scope.provide(Layer.build(LongWork.layer), scope))
      let ended = false
      const forever = () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void (ended = true)))
      const kept = yield* start(order(forever, "for.ever"))
      for (let n = 0; n < KEPT_MAX + 10; n++) {
        yield* start(order(() => Effect.succeed(n)))
        while ((yield* list)[0]?.state === "running") yield* Effect.yieldNow
      }
      const all = yield* list
      assert.isAtMost(all.length, KEPT_MAX + 2)
      assert.isTrue(all.some(({ id }) => id === kept.id))
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(ended)
    })
  )
})
