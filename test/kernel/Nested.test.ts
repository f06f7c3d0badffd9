import { assert, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { describe } from "vitest"
import { Registry } from "../../src/kernel/Registry.ts"
import * as Supervisor from "../../src/kernel/Supervisor.ts"
import { fail, hang, kernel, nothing, obeyed, options, quiet, Stage, until } from "./Puppet.ts"

/** root ─ nodes (bears one restart) ─ x, y; and root ─ z. */
const twoLevels = (over: Partial<Supervisor.SupervisorOptions> = {}, restart?: "transient" | "temporary") =>
  Effect.gen(function* () {
    const stage = new Stage()
    const root = yield* Supervisor.make(options(over))
    const inner = { ...options(), address: "nodes", intensity: 0, ...(restart === undefined ? {} : { restart }) }
    const nodes = yield* root.startSupervisor(inner)
    const x = yield* nodes.start(stage.spec("x"))
    const y = yield* nodes.start(stage.spec("y", { restart: "temporary" }))
    const z = yield* root.start(stage.spec("z"))
    yield* until(() => stage.journal.length === 3)
    stage.read()
    return { stage, root, nodes, x, y, z }
  })

describe("a nested supervisor", () => {
  it.effect("ends its children and comes back with all but the temporary ones, when its budget is exhausted", () =>
    Effect.gen(function* () {
      const { stage, root, nodes, x, y, z } = yield* twoLevels()
      yield* x.tell(fail)
      yield* until(() => stage.journal.length === 2)
      assert.deepStrictEqual(stage.read(), ["x ended: Crashed", "y ended: Shutdown"])
      assert.strictEqual((yield* Effect.flip(nodes.escalated)).address, "nodes")
      assert.strictEqual(yield* obeyed(z), 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* obeyed(x), 0)
      assert.strictEqual((yield* Effect.flip(y.tell(nothing)))._tag, "ActorStopped")
      assert.deepStrictEqual(yield* nodes.children, ["x"])
      assert.deepStrictEqual(stage.read(), ["x started"])
      const { children } = yield* root.snapshot
      assert.deepStrictEqual(
        children.map(({ address, restarts }) => [address, restarts]),
        [
          ["nodes", 1],
          ["z", 0]
        ]
      )
    }).pipe(Effect.provide(kernel))
  )

  it.effect("counts as one crash of a child of its parent, which escalates in its turn", () =>
    Effect.gen(function* () {
      const { stage, root, x } = yield* twoLevels({ intensity: 1 })
      yield* x.tell(fail)
      yield* until(() => stage.journal.length === 2)
      yield* TestClock.adjust("1 second")
      yield* x.tell(fail)
      const escalated = yield* Effect.flip(root.escalated)
      assert.strictEqual(escalated.address, "root")
      const inner = Cause.squash(escalated.cause)
      assert.instanceOf(inner, Supervisor.Escalated)
      assert.strictEqual(inner.address, "nodes")
      assert.deepStrictEqual(stage.read().slice(-2), ["x ended: Crashed", "z ended: Shutdown"])
      const registry = yield* Registry
      assert.isTrue(Option.isNone(registry.find("x")))
    }).pipe(Effect.provide(kernel))
  )

  it.effect("is forgotten with its children, when it is temporary and escalates", () =>
    Effect.gen(function* () {
      const { root, x } = yield* twoLevels({}, "temporary")
      yield* x.tell(fail)
      yield* quiet
      assert.deepStrictEqual(yield* root.children, ["z"])
      assert.strictEqual((yield* Effect.flip(x.tell(nothing)))._tag, "ActorStopped")
    }).pipe(Effect.provide(kernel))
  )

  it.effect("restarts with its group, and keeps its children's mailboxes", () =>
    Effect.gen(function* () {
      const { stage, root, x } = yield* twoLevels({ strategy: "oneForAll" })
      yield* x.tell(hang)
      yield* x.tell(nothing)
      yield* quiet
      assert.isTrue(yield* root.restartChild("nodes"))
      assert.strictEqual(yield* obeyed(x), 1)
      assert.deepStrictEqual(stage.read().slice(0, 2), ["y ended: Shutdown", "x ended: Restarted"])
    }).pipe(Effect.provide(kernel))
  )

  it.effect("waits with a child started while it is down, until it comes back", () =>
    Effect.gen(function* () {
      const { stage, nodes, x } = yield* twoLevels()
      yield* x.tell(fail)
      yield* until(() => stage.journal.length === 2)
      const late = yield* nodes.start(stage.spec("late"))
      const answer = yield* Effect.forkChild(obeyed(late))
      yield* quiet
      assert.notInclude(stage.journal, "late started")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(answer), 0)
    }).pipe(Effect.provide(kernel))
  )

  it.effect("is drained in its turn, by its parent's drain", () =>
    Effect.gen(function* () {
      const { stage, root, nodes, x } = yield* twoLevels()
      yield* x.tell(nothing)
      yield* root.drain("1 second")
      assert.deepStrictEqual(stage.read(), ["z ended: Shutdown", "y ended: Shutdown", "x ended: Shutdown"])
      assert.strictEqual((yield* nodes.snapshot).status, "stopped")
    }).pipe(Effect.provide(kernel))
  )

  it.effect("leaves its parent, when it is drained alone", () =>
    Effect.gen(function* () {
      const { root, nodes } = yield* twoLevels()
      yield* nodes.drain("1 second")
      assert.deepStrictEqual(yield* root.children, ["z"])
      assert.isTrue(Option.isNone((yield* Registry).find("nodes")))
    }).pipe(Effect.provide(kernel))
  )
})
