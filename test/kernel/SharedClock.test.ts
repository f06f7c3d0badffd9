import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { followTime, SharedClock, withSharedClock } from "../../src/kernel/SharedClock.ts"

const HOUR = 3_600_000
const STORE = 1_800_000_000_000

/** A machine whose wall clock and monotonic clock are set by hand. */
const machine = () => {
  const state = { wall: STORE + HOUR, monotonic: 5_000 }
  const real = Effect.runSync(Clock.clockWith(Effect.succeed))
  const wrong: Clock.Clock = {
    ...real,
    currentTimeMillisUnsafe: () => state.wall,
    currentTimeMillis: Effect.sync(() => state.wall),
    currentTimeNanosUnsafe: () => BigInt(state.wall) * 1_000_000n,
    monotonicTimeNanosUnsafe: () => BigInt(state.monotonic) * 1_000_000n,
    sleep: (duration) => real.sleep(duration)
  }
  const clock = new SharedClock(wrong, () => state.monotonic)
  const pass = (ms: number) => {
    state.monotonic += ms
    state.wall += ms
  }
  /** An answer that took `ms`, from a store that shows `now` in the middle of it. */
  const told = (now: number, ms = 0) => {
    const askedAt = state.monotonic
    pass(ms)
    return clock.follow({ now, askedAt, answeredAt: state.monotonic })
  }
  return { state, clock, pass, told, now: () => clock.currentTimeMillisUnsafe() }
}

describe("the shared clock", () => {
  it("is the machine's until the store says its time, and the store's from then on", () => {
    const { clock, told, now, pass } = machine()
    assert.strictEqual(now(), STORE + HOUR)
    assert.strictEqual(told(STORE, 20), -HOUR - 10)
    assert.strictEqual(now(), STORE + 10)
    pass(1_500)
    assert.strictEqual(now(), STORE + 1_510)
    assert.strictEqual(clock.currentTimeNanosUnsafe(), BigInt(STORE + 1_510) * 1_000_000n)
  })

  it("does not jump with the machine's", () => {
    const { state, told, now, pass } = machine()
    told(STORE)
    state.wall -= 12 * HOUR
    pass(1_000)
    assert.strictEqual(now(), STORE + 1_000)
  })

  it("takes no answer that took too long, and none for news that is within the way there and back", () => {
    const { told, now } = machine()
    told(STORE)
    assert.isNull(told(STORE + HOUR, 1_500))
    assert.strictEqual(now(), STORE + 1_500)
    told(STORE + 1_500 + 40, 100)
    assert.strictEqual(now(), STORE + 1_600)
  })

  it("never goes back by a little, and goes back by much at once", () => {
    const { told, now, pass } = machine()
    told(STORE)
    pass(1_000)
    assert.strictEqual(now(), STORE + 1_000)
    told(STORE + 400)
    assert.strictEqual(now(), STORE + 1_000)
    pass(700)
    assert.strictEqual(now(), STORE + 1_100)
    told(STORE - HOUR)
    assert.strictEqual(now(), STORE - HOUR)
  })

  it.live("is what a program reads that runs with it, once it was told", () =>
    Effect.gen(function* () {
      const shown = yield* withSharedClock(
        Effect.gen(function* () {
          yield* followTime(Effect.succeed(STORE + 365 * 24 * HOUR))
          return yield* Fiber.join(yield* Effect.forkChild(Clock.currentTimeMillis))
        })
      )
      assert.isAtLeast(shown, STORE + 365 * 24 * HOUR)
    })
  )

  it.live("is not there for a program that runs without: nobody is asked", () =>
    followTime(Effect.die(new Error("asked")))
  )
})
