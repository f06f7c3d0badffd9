import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { describe } from "vitest"
import type { Reply } from "../../src/kernel/ActorRef.ts"
import { fail, hang, kernel, nothing, obeyed, type Order, stop, trio, until } from "./Puppet.ts"

describe("an ask", () => {
  const silence = "1 hour"
  const keep =
    (kept: Array<Reply<string, string>>) =>
    (reply: Reply<string, string>): Order =>
    (n) =>
      Effect.sync(() => (kept.push(reply), n + 1))

  it.effect("gets the first answer of its receiver, also a failure, also one given later by another message", () =>
    Effect.gen(function* () {
      const { a } = yield* trio()
      const kept: Array<Reply<string, string>> = []
      const asking = yield* Effect.forkChild(
        Effect.forEach([1, 2, 3], () => Effect.exit(a.ask<string, string>(keep(kept), silence)), { concurrency: 3 })
      )
      yield* until(() => kept.length === 3)
      yield* a.tell((n) =>
        Effect.sync(() => {
          kept[0]!.succeed("yes")
          kept[0]!.fail("too late")
          kept[1]!.fail("no")
          kept[2]!.done(Exit.die("broken"))
          return n
        })
      )
      assert.deepStrictEqual(yield* Fiber.join(asking), [Exit.succeed("yes"), Exit.fail("no"), Exit.die("broken")])
    }).pipe(Effect.provide(kernel))
  )

  for (const { how, order } of [
    { how: "crashes and will restart", order: fail },
    { how: "stops", order: stop }
  ]) {
    it.effect(`fails at once, when the actor that owes the answer ${how}`, () =>
      Effect.gen(function* () {
        const { a } = yield* trio()
        const kept: Array<Reply<string, string>> = []
        const owed = yield* Effect.forkChild(Effect.flip(a.ask<string, string>(keep(kept), silence)))
        const crashing = yield* Effect.forkChild(Effect.flip(a.ask<string, string>(() => order, silence)))
        for (const fiber of [owed, crashing]) {
          const failure = yield* Fiber.join(fiber)
          assert.isTrue(typeof failure === "object" && failure._tag === "ActorStopped")
        }
        kept[0]!.succeed("nobody listens any more")
      }).pipe(Effect.provide(kernel))
    )
  }

  it.effect("fails at once with all that is queued, when its actor ends for good", () =>
    Effect.gen(function* () {
      const { a, supervisor } = yield* trio({}, { restart: "temporary" })
      yield* a.tell(hang)
      const queued = yield* Effect.forkChild(Effect.flip(obeyed(a)), { startImmediately: true })
      const stopped = yield* Effect.forkChild(supervisor.stopChild("a"))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(stopped)
      assert.strictEqual((yield* Fiber.join(queued))._tag, "ActorStopped")
      assert.strictEqual((yield* Effect.flip(obeyed(a)))._tag, "ActorStopped")
    }).pipe(Effect.provide(kernel))
  )

  it.effect("waits for the next incarnation, when it is still queued at the crash", () =>
    Effect.gen(function* () {
      const { a } = yield* trio()
      yield* a.tell(fail)
      const queued = yield* Effect.forkChild(obeyed(a), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(queued), 0)
    }).pipe(Effect.provide(kernel))
  )

  it.effect("fails by its own patience and not before, when nobody answers", () =>
    Effect.gen(function* () {
      const { a } = yield* trio()
      const asking = yield* Effect.forkChild(Effect.flip(a.ask<number>(() => nothing, "2 seconds")))
      yield* TestClock.adjust("1999 millis")
      assert.isUndefined(asking.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const timedOut = yield* Fiber.join(asking)
      assert.strictEqual(timedOut._tag, "AskTimedOut")
      assert.strictEqual(yield* obeyed(a), 1)
    }).pipe(Effect.provide(kernel))
  )

  it.effect("can be given up, and its late answer goes nowhere", () =>
    Effect.gen(function* () {
      const { a } = yield* trio()
      const kept: Array<Reply<string, string>> = []
      const asking = yield* Effect.forkChild(a.ask<string, string>(keep(kept), silence))
      yield* until(() => kept.length === 1)
      yield* Fiber.interrupt(asking)
      kept[0]!.succeed("late")
      assert.strictEqual(yield* obeyed(a), 1)
    }).pipe(Effect.provide(kernel))
  )
})
