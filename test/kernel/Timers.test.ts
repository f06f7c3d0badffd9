import { assert, it } from "@effect/vitest"
import { Clock, Effect, Schema } from "effect"
import { Scheduler } from "effect"
import { TestClock } from "effect/testing"
import { Timer, Timers } from "../../src/kernel/Timers.ts"

class Noted extends Timer {
  readonly note: () => void
  constructor(note: () => void) {
    super()
    this.note = note
  }
  override fire(): void {
    this.note()
  }
}

const timers = Effect.gen(function* () {
  const dispatcher = (yield* Scheduler.Scheduler).makeDispatcher()
  const made = new Timers(yield* Clock.Clock, dispatcher, yield* Effect.context<never>())
  yield* Effect.addFinalizer(() => Effect.sync(() => made.close()))
  return made
})

const delay = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 50 }))

it.effect.prop(
  "timers fire once, in the order of their times and then of their arming, unless disarmed",
  { delays: Schema.Array(Schema.Struct({ delay, disarmed: Schema.Boolean })) },
  ({ delays }) =>
    Effect.gen(function* () {
      const made = yield* timers
      const fired: Array<number> = []
      const armed = delays.map(({ delay }, n) => {
        const timer = new Noted(() => fired.push(n))
        made.arm(timer, delay)
        return timer
      })
      for (const [n, { disarmed }] of delays.entries()) if (disarmed) made.disarm(armed[n]!)
      for (let ms = 0; ms <= 50; ms++) {
        yield* Effect.yieldNow
        const expected = delays
          .map(({ delay, disarmed }, n) => ({ delay, disarmed, n }))
          .filter(({ delay, disarmed }) => !disarmed && delay <= ms)
          .toSorted((a, b) => a.delay - b.delay)
        assert.deepStrictEqual(
          fired,
          expected.map(({ n }) => n)
        )
        yield* TestClock.adjust(1)
      }
    }).pipe(Effect.scoped),
  { arbitrary: { runs: 30 } }
)

it.effect("a timer may arm and disarm others, when it fires", () =>
  Effect.gen(function* () {
    const made = yield* timers
    const fired: Array<string> = []
    const victim = new Noted(() => fired.push("victim"))
    made.arm(
      new Noted(() => {
        made.disarm(victim)
        made.arm(new Noted(() => fired.push("at once")), 0)
        made.arm(new Noted(() => fired.push("later")), 5)
      }),
      10
    )
    made.arm(victim, 10)
    yield* TestClock.adjust(10)
    yield* Effect.yieldNow
    assert.deepStrictEqual(fired, ["at once"])
    yield* TestClock.adjust(5)
    assert.deepStrictEqual(fired, ["at once", "later"])
  })
)

it.effect("a timer that is set again and again leaves nothing behind, and fires by its last time", () =>
  Effect.gen(function* () {
    const made = yield* timers
    let fired = 0
    const timer = new Noted(() => fired++)
    for (let i = 0; i < 20_000; i++) {
      made.disarm(timer)
      made.arm(timer, 100_000 - i)
    }
    assert.isBelow((made as unknown as { heap: Array<number> }).heap.length, 2_000)
    yield* TestClock.adjust(80_000)
    assert.strictEqual(fired, 0)
    yield* TestClock.adjust(1)
    assert.strictEqual(fired, 1)
  })
)
