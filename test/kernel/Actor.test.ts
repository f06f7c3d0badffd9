import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, References } from "effect"
import { TestClock } from "effect/testing"
import { describe } from "vitest"
import type { Down } from "../../src/kernel/Actor.ts"
import * as Supervisor from "../../src/kernel/Supervisor.ts"
import { fail, kernel, obeyed, options, type Order, quiet, Stage, stop, Told, trio, until } from "./Puppet.ts"

describe("an actor", () => {
  it.effect("handles one message at a time in the order told, when handlers wait", () =>
    Effect.gen(function* () {
      const { a, stage } = yield* trio()
      for (const name of ["first", "second", "third"]) {
        yield* a.tell((obeyed) =>
          Effect.gen(function* () {
            stage.note(`${name} begins`)
            yield* Effect.yieldNow
            stage.note(`${name} ends`)
            return obeyed + 1
          })
        )
      }
      assert.strictEqual(yield* obeyed(a), 3)
      const expected = ["first", "second", "third"].flatMap((name) => [`${name} begins`, `${name} ends`])
      assert.deepStrictEqual(stage.read(), expected)
    }).pipe(Effect.provide(kernel))
  )

  it.effect("lets others take their turn, when it is flooded", () =>
    Effect.gen(function* () {
      const { a, b } = yield* trio({}, { mailbox: { capacityMax: 10_000, whenFull: "refuse" } })
      let handled = 0
      for (let i = 0; i < 10_000; i++) a.tellUnsafe((n) => Effect.sync(() => (handled++, n)))
      assert.strictEqual(yield* obeyed(b), 0)
      assert.isBelow(handled, 200)
      yield* obeyed(a)
      assert.strictEqual(handled, 10_000)
    }).pipe(Effect.provide(kernel))
  )

  it.effect("hears its timers by the Clock, and the last one of a key only", () =>
    Effect.gen(function* () {
      const { a, stage } = yield* trio()
      const say =
        (what: string): Order =>
        (n) =>
          Effect.sync(() => (stage.note(what), n))
      yield* a.tell((n, self) =>
        Effect.gen(function* () {
          yield* self.after("k", "1 second", say("replaced"))
          yield* self.after("k", "3 seconds", say("k"))
          yield* self.after("other", "2 seconds", say("other"))
          yield* self.after("gone", "2 seconds", say("cancelled"))
          yield* self.cancelAfter("gone")
          yield* self.after("never", Infinity, say("never"))
          yield* self.after("now", 0, say("now"))
          return n
        })
      )
      yield* obeyed(a)
      yield* until(() => stage.journal.length === 1)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(stage.read(), ["now", "other"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(stage.read(), ["k"])
    }).pipe(Effect.provide(kernel))
  )

  it.effect("does not receive a timer that was due and queued, when it is cancelled or replaced meanwhile", () =>
    Effect.gen(function* () {
      const { a, stage } = yield* trio()
      const say =
        (what: string): Order =>
        (n) =>
          Effect.sync(() => (stage.note(what), n))
      const gate = yield* Deferred.make<void>()
      yield* a.tell((n, self) =>
        Effect.gen(function* () {
          yield* self.after("cancelled", "1 second", say("cancelled"))
          yield* self.after("replaced", "1 second", say("replaced"))
          yield* Deferred.await(gate)
          yield* self.cancelAfter("cancelled")
          yield* self.after("replaced", "1 second", say("the new one"))
          return n
        })
      )
      yield* quiet
      yield* TestClock.adjust("1 second")
      yield* Deferred.succeed(gate, undefined)
      yield* obeyed(a)
      assert.deepStrictEqual(stage.read(), [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(stage.read(), ["the new one"])
    }).pipe(Effect.provide(kernel))
  )

  it.effect("hears no timer, fork or watch of an earlier incarnation, not even one that was queued", () =>
    Effect.gen(function* () {
      const { a, b, stage } = yield* trio()
      const say =
        (what: string): Order =>
        (n) =>
          Effect.sync(() => (stage.note(what), n))
      yield* a.tell((n, self) =>
        Effect.gen(function* () {
          yield* self.after("queued", "1 second", say("queued timer"))
          yield* self.after("armed", "5 seconds", say("armed timer"))
          yield* self.watch(b, () => say("down"))
          yield* self.fork(Effect.sleep("1 second"), () => say("queued fork"))
          yield* self.fork(
            Effect.never.pipe(Effect.onInterrupt(() => Effect.sync(() => stage.note("fork ended")))),
            () => say("fork's exit")
          )
          yield* Effect.sleep("2 seconds")
          return yield* Effect.fail(n)
        })
      )
      yield* quiet
      yield* TestClock.adjust("2 seconds")
      yield* until(() => stage.journal.includes("a ended: Crashed"))
      yield* b.tell(fail)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* obeyed(a), 0)
      assert.deepStrictEqual(
        stage.read().filter((line) => !line.startsWith("b")),
        ["fork ended", "a ended: Crashed", "a started"]
      )
    }).pipe(Effect.provide(kernel))
  )

  it.effect("hears the exit of its forks as messages", () =>
    Effect.gen(function* () {
      const { a, stage } = yield* trio()
      const exits: Array<Exit.Exit<number, string>> = []
      const heard =
        (exit: Exit.Exit<number, string>): Order =>
        (n) =>
          Effect.sync(() => (exits.push(exit), n + 1))
      yield* a.tell((n, self) =>
        Effect.as(
          Effect.all([
            self.fork(Effect.succeed(1), heard),
            self.fork(Effect.fail("two"), heard),
            self.fork(Effect.die("three"), heard)
          ]),
          n
        )
      )
      yield* until(() => exits.length === 3)
      assert.deepStrictEqual(exits, [Exit.succeed(1), Exit.fail("two"), Exit.die("three")])
      assert.deepStrictEqual(stage.read(), [])
    }).pipe(Effect.provide(kernel))
  )

  it.effect("crashes by a fork that fails, when it did not ask to hear of it", () =>
    Effect.gen(function* () {
      const { a, stage, supervisor } = yield* trio()
      yield* a.tell((n, self) => Effect.as(self.fork(Effect.fail(new Told({ message: "forked" }))), n))
      yield* until(() => stage.journal.includes("a ended: Crashed"))
      assert.strictEqual((yield* supervisor.snapshot).children[0]?.lastCrash, "Told: forked")
    }).pipe(Effect.provide(kernel))
  )

  it.effect("crashes, when the function that makes its message from a down or an exit throws", () =>
    Effect.gen(function* () {
      const { a, b, stage } = yield* trio()
      const bad = (): Order => {
        throw new Error("no message")
      }
      yield* a.tell((n, self) => Effect.as(self.watch(b, bad), n))
      yield* obeyed(a)
      yield* b.tell(fail)
      yield* until(() => stage.journal.includes("a ended: Crashed"))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* obeyed(a), 0)
    }).pipe(Effect.provide(kernel))
  )

  it.effect("stops itself from a handler, from init and from a fork", () =>
    Effect.gen(function* () {
      const { a, b, stage, supervisor } = yield* trio({}, { restart: "transient" })
      yield* a.tell(stop)
      yield* b.tell((n, self) => Effect.as(self.fork(self.stop), n))
      const spec = stage.spec("d", { restart: "transient" })
      yield* supervisor.start({ ...spec, behavior: { ...spec.behavior, init: (self) => self.stop } })
      yield* until(() => stage.journal.length === 2)
      yield* quiet
      assert.deepStrictEqual(stage.read(), ["a ended: Normal", "b ended: Normal"])
      assert.deepStrictEqual(yield* supervisor.children, ["c"])
    }).pipe(Effect.provide(kernel))
  )

  it.effect("stops itself even if its handler swallows everything", () =>
    Effect.gen(function* () {
      const { a, stage } = yield* trio({}, { restart: "transient" })
      yield* a.tell((n, self) => Effect.catchCause(self.stop, () => Effect.succeed(n)))
      yield* until(() => stage.journal.length === 1)
      assert.deepStrictEqual(stage.read(), ["a ended: Normal"])
    }).pipe(Effect.provide(kernel))
  )

  it.effect("knows how often it was restarted, and has its address in its log lines", () =>
    Effect.gen(function* () {
      const { a } = yield* trio({ backoff: { first: 0, max: 0 } })
      yield* a.tell(fail)
      const [restarts, annotations] = yield* a.ask<[number, unknown]>(
        (reply) => (n, self) =>
          Effect.map(References.CurrentLogAnnotations, (annotations) => {
            reply.succeed([self.restarts, annotations["actor"]])
            return n
          }),
        "1 second"
      )
      assert.strictEqual(annotations, "a")
      assert.strictEqual(restarts, 1)
    }).pipe(Effect.provide(kernel))
  )
})

describe("a watcher", () => {
  const watching = Effect.gen(function* () {
    const world = yield* trio({}, { restart: "transient" })
    const downs: Array<Down> = []
    yield* world.a.tell((n, self) =>
      Effect.as(
        self.watch(world.b, (down) => (n) => Effect.sync(() => (downs.push(down), n))),
        n
      )
    )
    yield* obeyed(world.a)
    return { ...world, downs }
  })

  for (const { how, order, tag } of [
    { how: "crashes", order: fail, tag: "Crashed" },
    { how: "stops by itself", order: stop, tag: "Normal" }
  ] as const) {
    it.effect(`hears once of the end, when the watched actor ${how}`, () =>
      Effect.gen(function* () {
        const { a, b, downs } = yield* watching
        yield* b.tell(order)
        yield* until(() => downs.length === 1)
        assert.strictEqual(downs[0]?.reason._tag, tag)
        assert.strictEqual(downs[0]?.address, "b")
        yield* TestClock.adjust("1 second")
        yield* Effect.exit(b.tell(order))
        yield* quiet
        yield* obeyed(a)
        assert.strictEqual(downs.length, 1)
      }).pipe(Effect.provide(kernel))
    )
  }

  it.effect("hears of a stop by the supervisor", () =>
    Effect.gen(function* () {
      const { supervisor, downs } = yield* watching
      yield* supervisor.stopChild("b")
      yield* until(() => downs.length === 1)
      assert.deepStrictEqual(downs, [{ address: "b", reason: { _tag: "Shutdown" } }])
    }).pipe(Effect.provide(kernel))
  )

  it.effect("hears at once that nobody is there, when the watched actor is stopped or waits for its restart", () =>
    Effect.gen(function* () {
      const { a, b, c, supervisor, stage } = yield* trio()
      yield* supervisor.stopChild("c")
      yield* b.tell(fail)
      yield* until(() => stage.journal.includes("b ended: Crashed"))
      const downs: Array<Down> = []
      const heard =
        (down: Down): Order =>
        (n) =>
          Effect.sync(() => (downs.push(down), n))
      yield* a.tell((n, self) => Effect.as(Effect.all([self.watch(b, heard), self.watch(c, heard)]), n))
      yield* until(() => downs.length === 2)
      assert.deepStrictEqual(
        downs.map(({ address, reason }) => [address, reason._tag]),
        [
          ["b", "NotRunning"],
          ["c", "NotRunning"]
        ]
      )
    }).pipe(Effect.provide(kernel))
  )
})

it.effect("an actor's services are those of who started it", () =>
  Effect.gen(function* () {
    const supervisor = yield* Supervisor.make(options())
    const stage = new Stage()
    const named = yield* Effect.forkChild(
      supervisor
        .start({ ...stage.spec("named") })
        .pipe(Effect.annotateLogs("from", "the test"), Effect.withSpan("starting"))
    )
    const puppet = yield* Fiber.join(named)
    const span = yield* puppet.ask<boolean>(
      (reply) => (n) =>
        Effect.map(Effect.option(Effect.currentSpan), (span) => (reply.succeed(span._tag === "Some"), n)),
      "1 second"
    )
    assert.isFalse(span)
  }).pipe(Effect.provide(kernel))
)
