import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { describe } from "vitest"
import type { ActorSpec } from "../../src/kernel/Actor.ts"
import * as Supervisor from "../../src/kernel/Supervisor.ts"
import { fail, hang, kernel, nothing, obeyed, options, type Order, quiet, Stage, trio, until } from "./Puppet.ts"

/** A puppet whose init and stop take their time. */
const slow = (
  stage: Stage,
  address: string,
  over: Partial<ActorSpec<Order, number>> = {}
): ActorSpec<Order, number> => {
  const { behavior, ...spec } = stage.spec(address, over)
  return {
    ...spec,
    behavior: {
      ...behavior,
      init: (self) => Effect.delay(behavior.init(self), "1 second"),
      stop: (...args) => Effect.delay(behavior.stop!(...args), "1 second")
    }
  }
}

describe("when two things happen at once", () => {
  it.effect("a group restart launches the next member only after the init of the one before", () =>
    Effect.gen(function* () {
      const stage = new Stage()
      const backoff = { first: 0, max: 0 }
      const supervisor = yield* Supervisor.make(options({ strategy: "oneForAll", backoff }))
      const { behavior } = slow(stage, "a")
      const spec = stage.spec("a")
      const a = yield* supervisor.start({ ...spec, behavior: { ...spec.behavior, init: behavior.init } })
      yield* supervisor.start(stage.spec("b"))
      yield* TestClock.adjust("1 second")
      stage.read()
      yield* a.tell(fail)
      yield* until(() => stage.journal.includes("b ended: Restarted"))
      yield* quiet
      assert.notInclude(stage.journal, "b started")
      yield* TestClock.adjust("1 second")
      yield* until(() => stage.journal.includes("b started"))
      assert.deepStrictEqual(stage.read().slice(-2), ["a started", "b started"])
    }).pipe(Effect.provide(kernel))
  )

  it.effect("a group restart goes past a member that an operator has restarted meanwhile", () =>
    Effect.gen(function* () {
      const { stage, supervisor, a } = yield* trio({ strategy: "restForOne" })
      yield* a.tell(fail)
      yield* until(() => stage.journal.includes("b ended: Restarted"))
      yield* supervisor.restartChild("b")
      yield* until(() => stage.journal.includes("b started"))
      stage.read()
      yield* TestClock.adjust("1 second")
      yield* until(() => stage.journal.length === 2)
      assert.deepStrictEqual(stage.read(), ["a started", "c started"])
      assert.strictEqual(yield* obeyed(yield* supervisor.start(stage.spec("d"))), 0)
    }).pipe(Effect.provide(kernel))
  )

  it.effect("a group restart still concerns the earlier members, when a later one crashes before its time", () =>
    Effect.gen(function* () {
      const { stage, supervisor, a, c } = yield* trio({ strategy: "restForOne" })
      yield* a.tell(fail)
      yield* until(() => stage.journal.includes("b ended: Restarted"))
      yield* supervisor.restartChild("c")
      yield* c.tell(fail)
      yield* until(() => stage.journal.includes("c ended: Crashed"))
      stage.read()
      yield* TestClock.adjust("2 seconds")
      yield* until(() => stage.journal.length === 3)
      assert.deepStrictEqual(stage.read(), ["a started", "b started", "c started"])
    }).pipe(Effect.provide(kernel))
  )

  it.effect("a group restart ends its temporary members for good", () =>
    Effect.gen(function* () {
      const { stage, supervisor, a } = yield* trio({ strategy: "oneForAll" })
      const temporary = yield* supervisor.start(stage.spec("d", { restart: "temporary" }))
      yield* obeyed(temporary)
      yield* a.tell(fail)
      yield* until(() => stage.journal.includes("d ended: Shutdown"))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Effect.flip(temporary.tell(nothing)))._tag, "ActorStopped")
      assert.deepStrictEqual(yield* supervisor.children, ["a", "b", "c"])
    }).pipe(Effect.provide(kernel))
  )

  it.effect("a supervisor that its parent is restarting anyway is not counted as crashed, when it escalates", () =>
    Effect.gen(function* () {
      const stage = new Stage()
      const root = yield* Supervisor.make(options({ intensity: 0 }))
      const inner = yield* root.startSupervisor(options({ address: "inner", intensity: 0 }))
      yield* inner.start(slow(stage, "y"))
      const x = yield* inner.start(stage.spec("x"))
      yield* TestClock.adjust("1 second")
      yield* x.tell(fail)
      yield* until(() => stage.journal.includes("x ended: Crashed"))
      const restarted = yield* Effect.forkChild(root.restartChild("inner"))
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* Fiber.join(restarted))
      assert.strictEqual(yield* obeyed(x), 0)
      assert.strictEqual((yield* root.snapshot).status, "running")
    }).pipe(Effect.provide(kernel))
  )

  it.effect("a supervisor that was restarted has a new budget", () =>
    Effect.gen(function* () {
      const stage = new Stage()
      const backoff = { first: 0, max: 0 }
      const root = yield* Supervisor.make(options({ intensity: 1, backoff }))
      const inner = yield* root.startSupervisor(options({ address: "inner", intensity: 1, backoff }))
      const x = yield* inner.start(stage.spec("x"))
      for (const started of [2, 3, 4]) {
        yield* x.tell(fail)
        yield* until(() => stage.journal.filter((line) => line === "x started").length === started)
      }
      assert.strictEqual((yield* root.snapshot).status, "running")
    }).pipe(Effect.provide(kernel))
  )

  it.effect("a stop wins over a restart", () =>
    Effect.gen(function* () {
      const stage = new Stage()
      const supervisor = yield* Supervisor.make(options())
      yield* supervisor.start(slow(stage, "a"))
      yield* TestClock.adjust("1 second")
      stage.read()
      const restarted = yield* Effect.forkChild(supervisor.restartChild("a"), { startImmediately: true })
      const stopped = yield* Effect.forkChild(supervisor.stopChild("a"), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.joinAll([restarted, stopped])
      assert.deepStrictEqual(stage.read(), ["a ended: Restarted"])
    }).pipe(Effect.provide(kernel))
  )

  it.effect("a drain restarts nobody who waits for it, however long it takes", () =>
    Effect.gen(function* () {
      const { stage, supervisor, a, c } = yield* trio()
      yield* a.tell(fail)
      yield* c.tell(hang)
      yield* until(() => stage.journal.length === 1)
      const drained = yield* Effect.forkChild(supervisor.drain("1 minute"))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(drained)
      assert.deepStrictEqual(stage.read(), ["a ended: Crashed", "c ended: Shutdown", "b ended: Shutdown"])
    }).pipe(Effect.provide(kernel))
  )
})
