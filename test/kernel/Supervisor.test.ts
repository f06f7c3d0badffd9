import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { describe } from "vitest"
import { ActorStopped } from "../../src/kernel/ActorRef.ts"
import { Escalated } from "../../src/kernel/Supervisor.ts"
import { die, fail, hang, kernel, nothing, obeyed, type Order, quiet, Stage, stop, trio, until } from "./Puppet.ts"

describe("a supervisor", () => {
  for (const [how, crash] of [
    ["a failure", fail],
    ["a defect", die],
    ["an interruption", () => Effect.interrupt],
    [
      "a throw",
      (() => {
        throw new Error("thrown")
      }) as Order
    ]
  ] as const) {
    it.effect(`restarts a permanent child with a fresh state, when it crashed by ${how}`, () =>
      Effect.gen(function* () {
        const { stage, a } = yield* trio()
        yield* a.tell(nothing)
        yield* a.tell(crash)
        yield* until(() => stage.journal.includes("a ended: Crashed"))
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* obeyed(a), 0)
        assert.deepStrictEqual(stage.read(), ["a ended: Crashed", "a started"])
      }).pipe(Effect.provide(kernel))
    )
  }

  it.effect("restarts a child whose init fails, and counts it as a crash", () =>
    Effect.gen(function* () {
      const { stage, supervisor } = yield* trio()
      stage.failingInits.set("d", 4)
      yield* supervisor.start(stage.spec("d"))
      const escalated = yield* Effect.forkChild(Effect.flip(supervisor.escalated))
      yield* TestClock.adjust("7 seconds")
      assert.strictEqual((yield* Fiber.join(escalated)).address, "root")
      assert.strictEqual(stage.read().filter((line) => line === "d failed to start").length, 4)
    }).pipe(Effect.provide(kernel))
  )

  for (const { restart, ends, restarted } of [
    { restart: "permanent", ends: fail, restarted: true },
    { restart: "permanent", ends: stop, restarted: true },
    { restart: "transient", ends: fail, restarted: true },
    { restart: "transient", ends: stop, restarted: false },
    { restart: "temporary", ends: fail, restarted: false },
    { restart: "temporary", ends: stop, restarted: false }
  ] as const) {
    const how = ends === fail ? "crashes" : "stops by itself"
    it.effect(`${restarted ? "restarts" : "forgets"} a ${restart} child, when it ${how}`, () =>
      Effect.gen(function* () {
        const { stage, supervisor, b } = yield* trio({}, { restart })
        yield* b.tell(ends)
        yield* until(() => stage.journal.length > 0)
        yield* TestClock.adjust("1 second")
        yield* quiet
        assert.strictEqual(stage.read().includes("b started"), restarted)
        assert.deepStrictEqual(yield* supervisor.children, restarted ? ["a", "b", "c"] : ["a", "c"])
        const told = yield* Effect.exit(b.tell(nothing))
        assert.deepStrictEqual(told, restarted ? Exit.void : Exit.fail(new ActorStopped({ address: "b" })))
      }).pipe(Effect.provide(kernel))
    )
  }

  for (const { strategy, journal } of [
    { strategy: "oneForOne", journal: ["b ended: Crashed", "b started"] },
    { strategy: "restForOne", journal: ["b ended: Crashed", "c ended: Restarted", "b started", "c started"] },
    {
      strategy: "oneForAll",
      journal: ["b ended: Crashed", "c ended: Restarted", "a ended: Restarted", "a started", "b started", "c started"]
    }
  ] as const) {
    it.effect(`ends in reverse and starts in order whom ${strategy} concerns, when the middle child crashes`, () =>
      Effect.gen(function* () {
        const { stage, b } = yield* trio({ strategy })
        yield* b.tell(fail)
        yield* until(() => stage.journal.includes(journal[journal.length / 2 - 1]!))
        yield* TestClock.adjust("1 second")
        yield* until(() => stage.journal.length === journal.length)
        assert.deepStrictEqual(stage.read(), [...journal])
      }).pipe(Effect.provide(kernel))
    )
  }

  it.effect("starts the next of a group only when the one before is through its init", () =>
    Effect.gen(function* () {
      const { stage, supervisor, a } = yield* trio({ strategy: "restForOne", intensity: 9 })
      stage.failingInits.set("b", 1)
      yield* a.tell(fail)
      yield* until(() => stage.journal.includes("b ended: Restarted"))
      yield* TestClock.adjust("1 second")
      yield* until(() => stage.journal.includes("b failed to start"))
      assert.isFalse(stage.read().includes("c started"))
      yield* TestClock.adjust("1 second")
      yield* until(() => stage.journal.length === 2)
      assert.deepStrictEqual(stage.read(), ["b started", "c started"])
      assert.strictEqual((yield* supervisor.snapshot).status, "running")
    }).pipe(Effect.provide(kernel))
  )

  it.effect("widens a group restart, when an earlier child crashes while it waits", () =>
    Effect.gen(function* () {
      const { stage, a, b } = yield* trio({ strategy: "restForOne" })
      yield* b.tell(fail)
      yield* until(() => stage.journal.includes("c ended: Restarted"))
      yield* a.tell(die)
      yield* until(() => stage.journal.includes("a ended: Crashed"))
      stage.read()
      yield* TestClock.adjust("2 seconds")
      yield* until(() => stage.journal.length === 3)
      assert.deepStrictEqual(stage.read(), ["a started", "b started", "c started"])
    }).pipe(Effect.provide(kernel))
  )

  it.effect("holds no sibling up, while one child waits for its restart", () =>
    Effect.gen(function* () {
      const { stage, a, b } = yield* trio()
      yield* a.tell(fail)
      yield* until(() => stage.journal.length > 0)
      assert.strictEqual(yield* obeyed(b), 0)
    }).pipe(Effect.provide(kernel))
  )

  it.effect("keeps what was queued behind the crash for the next incarnation", () =>
    Effect.gen(function* () {
      const { a } = yield* trio()
      yield* a.tell(fail)
      yield* a.tell(nothing)
      const answer = yield* Effect.forkChild(obeyed(a), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(answer), 1)
    }).pipe(Effect.provide(kernel))
  )

  it.effect("refuses a second child of one address, and frees the address when the first has ended", () =>
    Effect.gen(function* () {
      const { stage, supervisor } = yield* trio()
      const again = yield* Effect.flip(supervisor.start(stage.spec("a")))
      assert.strictEqual(again._tag, "AlreadyStarted")
      assert.isTrue(yield* supervisor.stopChild("a"))
      assert.isFalse(yield* supervisor.stopChild("a"))
      assert.strictEqual(yield* obeyed(yield* supervisor.start(stage.spec("a"))), 0)
    }).pipe(Effect.provide(kernel))
  )

  it.effect("restarts a hanging child at once and for free, when an operator asks", () =>
    Effect.gen(function* () {
      const { stage, supervisor, a } = yield* trio({ intensity: 0 })
      yield* a.tell(hang)
      yield* quiet
      assert.isTrue(yield* supervisor.restartChild("a"))
      assert.strictEqual(yield* obeyed(a), 0)
      assert.deepStrictEqual(stage.read(), ["a ended: Restarted", "a started"])
      assert.isFalse(yield* supervisor.restartChild("nobody"))
    }).pipe(Effect.provide(kernel))
  )
})

describe("a restart budget", () => {
  const backoff = { first: 0, max: 0 }
  const crashAt = Effect.fnUntraced(function* (
    stage: Stage,
    puppet: { readonly tell: (o: Order) => Effect.Effect<void, unknown> }
  ) {
    const crashes = stage.journal.filter((line) => line.endsWith("Crashed")).length
    yield* puppet.tell(fail)
    yield* until(() => stage.journal.filter((line) => line.endsWith("Crashed")).length > crashes)
    yield* quiet
  })

  it.effect("escalates by the restart that is one too many, and then all children have ended", () =>
    Effect.gen(function* () {
      const { stage, supervisor, a, b, c } = yield* trio({ intensity: 2, backoff })
      yield* crashAt(stage, a)
      yield* crashAt(stage, b)
      assert.strictEqual((yield* supervisor.snapshot).status, "running")
      yield* crashAt(stage, c)
      const escalated = yield* Effect.flip(supervisor.escalated)
      assert.instanceOf(escalated, Escalated)
      assert.strictEqual(Cause.squash(escalated.cause) instanceof Error, true)
      assert.deepStrictEqual(stage.read().slice(-3), ["c ended: Crashed", "b ended: Shutdown", "a ended: Shutdown"])
      assert.strictEqual((yield* supervisor.snapshot).status, "stopped")
      assert.strictEqual((yield* Effect.flip(a.tell(nothing)))._tag, "ActorStopped")
      const late = yield* supervisor.start(stage.spec("late"))
      assert.strictEqual((yield* Effect.flip(late.tell(nothing)))._tag, "ActorStopped")
    }).pipe(Effect.provide(kernel))
  )

  for (const { gap, borne } of [
    { gap: 10_000, borne: false },
    { gap: 10_001, borne: true }
  ]) {
    it.effect(`${borne ? "has forgotten" : "still counts"} a restart, when it is ${gap} of 10000 ms old`, () =>
      Effect.gen(function* () {
        const { stage, supervisor, a } = yield* trio({ intensity: 1, backoff })
        yield* crashAt(stage, a)
        yield* TestClock.adjust(gap)
        yield* crashAt(stage, a)
        assert.strictEqual((yield* supervisor.snapshot).status, borne ? "running" : "stopped")
      }).pipe(Effect.provide(kernel))
    )
  }

  it.effect("is not spent, when the crash is somebody else's outage", () =>
    Effect.gen(function* () {
      const waitOut = (cause: Cause.Cause<unknown>) =>
        cause.reasons.some((r) => r._tag === "Fail" && r.error === "outage")
      const { stage, supervisor, a } = yield* trio({ intensity: 0, backoff, waitOut })
      for (let i = 0; i < 20; i++) yield* crashAt(stage, { tell: () => a.tell(() => Effect.fail("outage")) })
      assert.strictEqual((yield* supervisor.snapshot).status, "running")
      yield* crashAt(stage, a)
      assert.strictEqual((yield* supervisor.snapshot).status, "stopped")
    }).pipe(Effect.provide(kernel))
  )

  it.effect("waits twice as long with each crash in a row up to the maximum, and never less than half of it", () =>
    Effect.gen(function* () {
      const { stage, a } = yield* trio({ waitOut: () => true, period: "1 minute" })
      for (const longest of [1000, 2000, 4000, 8000, 8000]) {
        yield* a.tell(fail)
        yield* until(() => stage.journal.includes("a ended: Crashed"))
        yield* TestClock.adjust(longest / 2 - 1)
        assert.deepStrictEqual(stage.read(), ["a ended: Crashed"])
        yield* TestClock.adjust(longest / 2 + 1)
        yield* until(() => stage.read().includes("a started"))
      }
      yield* TestClock.adjust("61 seconds")
      yield* a.tell(fail)
      yield* until(() => stage.journal.includes("a ended: Crashed"))
      yield* TestClock.adjust("1 second")
      yield* until(() => stage.journal.includes("a started"))
    }).pipe(Effect.provide(kernel))
  )
})
