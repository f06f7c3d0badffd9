import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { describe } from "vitest"
import * as Supervisor from "../../src/kernel/Supervisor.ts"
import { fail, hang, kernel, nothing, obeyed, options, quiet, Stage, trio, until } from "./Puppet.ts"

describe("a drain", () => {
  it.effect("lets each child finish its mailbox, in reverse start order", () =>
    Effect.gen(function* () {
      const { stage, supervisor, a, b, c } = yield* trio()
      for (const [name, puppet] of Object.entries({ a, b, c })) {
        for (const i of [1, 2]) {
          yield* puppet.tell(() =>
            Effect.sync(() => (stage.note(`${name} did ${i}`), 0)).pipe(Effect.delay("1 second"))
          )
        }
      }
      const drained = yield* Effect.forkChild(supervisor.drain("1 minute"))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(drained)
      const ends = stage.read().filter((line) => line.startsWith("c") || line.endsWith("Shutdown"))
      assert.deepStrictEqual(ends, [
        "c did 1",
        "c did 2",
        "c ended: Shutdown",
        "b ended: Shutdown",
        "a ended: Shutdown"
      ])
    }).pipe(Effect.provide(kernel))
  )

  it.effect("takes nothing new for the child whose turn it is, while the earlier ones go on working", () =>
    Effect.gen(function* () {
      const { stage, supervisor, b, c } = yield* trio()
      yield* c.tell(() => Effect.as(obeyed(b), 0).pipe(Effect.delay("1 second")))
      const drained = yield* Effect.forkChild(supervisor.drain("1 minute"))
      yield* quiet
      assert.strictEqual((yield* Effect.flip(c.tell(nothing)))._tag, "ActorStopped")
      assert.strictEqual((yield* supervisor.snapshot).children[2]?.status, "draining")
      yield* b.tell(nothing)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(drained)
      assert.deepStrictEqual(stage.read(), ["c ended: Shutdown", "b ended: Shutdown", "a ended: Shutdown"])
    }).pipe(Effect.provide(kernel))
  )

  it.effect("interrupts a child that hangs after its drainMax", () =>
    Effect.gen(function* () {
      const { stage, supervisor, b } = yield* trio({}, { drainMax: "3 seconds" })
      yield* b.tell(hang)
      const drained = yield* Effect.forkChild(supervisor.drain("1 minute"))
      yield* TestClock.adjust("2999 millis")
      assert.deepStrictEqual(stage.journal, ["c ended: Shutdown"])
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(drained)
      assert.deepStrictEqual(stage.read(), ["c ended: Shutdown", "b ended: Shutdown", "a ended: Shutdown"])
    }).pipe(Effect.provide(kernel))
  )

  it.effect("interrupts all that are left at once, when its own time is up", () =>
    Effect.gen(function* () {
      const { stage, supervisor, a, b, c } = yield* trio({}, { drainMax: "1 hour" })
      for (const puppet of [a, b, c]) yield* puppet.tell(hang)
      const left = yield* Effect.forkChild(
        a.ask<number>(() => nothing, "1 hour"),
        { startImmediately: true }
      )
      const drained = yield* Effect.forkChild(supervisor.drain("5 seconds"))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(drained)
      assert.deepStrictEqual(stage.read(), ["c ended: Shutdown", "b ended: Shutdown", "a ended: Shutdown"])
      assert.strictEqual((yield* Effect.flip(Fiber.join(left)))._tag, "ActorStopped")
    }).pipe(Effect.provide(kernel))
  )

  it.effect("does not restart who crashes meanwhile, or waits for its restart", () =>
    Effect.gen(function* () {
      const { stage, supervisor, a, b } = yield* trio()
      yield* a.tell(fail)
      yield* b.tell(fail)
      yield* until(() => stage.journal.length === 2)
      yield* supervisor.drain("1 second")
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(stage.read(), ["a ended: Crashed", "b ended: Crashed", "c ended: Shutdown"])
      assert.deepStrictEqual(yield* supervisor.children, [])
    }).pipe(Effect.provide(kernel))
  )

  it.effect("bounds a stop hook that hangs by the drainMax", () =>
    Effect.gen(function* () {
      const stage = new Stage()
      const supervisor = yield* Supervisor.make(options())
      const spec = stage.spec("a")
      const a = yield* supervisor.start({ ...spec, behavior: { ...spec.behavior, stop: () => Effect.never } })
      assert.strictEqual(yield* obeyed(a), 0)
      const drained = yield* Effect.forkChild(supervisor.drain("1 minute"))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(drained)
    }).pipe(Effect.provide(kernel))
  )

  it.effect("is overtaken by the end of the scope, which interrupts at once", () =>
    Effect.gen(function* () {
      const stage = new Stage()
      const scope = yield* Scope.make()
      const supervisor = yield* Scope.provide(Supervisor.make(options()), scope)
      for (const address of ["a", "b"]) yield* (yield* supervisor.start(stage.spec(address))).tell(hang)
      yield* until(() => stage.journal.length === 2)
      stage.read()
      const drained = yield* Effect.forkChild(supervisor.drain("1 hour"))
      yield* quiet
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.join(drained)
      assert.deepStrictEqual(stage.read(), ["b ended: Shutdown", "a ended: Shutdown"])
    }).pipe(Effect.provide(kernel))
  )
})
