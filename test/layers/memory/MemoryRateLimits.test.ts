/** What bounds the memory of the limits, and that rounding never adds up to more than the rate. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { make } from "../../../src/layers/memory/MemoryRateLimits.ts"

const bucket = (name: string, burst = 2) => ({ name, ratePerSecond: 1, burst })

it.effect("forgets a bucket that is full again", () =>
  Effect.gen(function* () {
    const { rateLimits, size } = make()
    yield* rateLimits.take(bucket("a"), 0)
    yield* rateLimits.take(bucket("b"), 500)
    assert.strictEqual(yield* size, 2)
    yield* rateLimits.take(bucket("c"), 1000)
    assert.strictEqual(yield* size, 2)
  })
)

it.effect("remembers no more buckets than its bound, and gives up the one that is soonest full", () =>
  Effect.gen(function* () {
    const { rateLimits, size } = make(2)
    const take = (name: string) => rateLimits.take(bucket(name), 0)
    yield* take("nearly full")
    yield* take("empty")
    yield* take("empty")
    yield* take("new")
    assert.strictEqual(yield* size, 2)
    assert.isFalse((yield* take("empty")).allowed)
    assert.strictEqual((yield* take("nearly full")).remaining, 1)
  })
)

it.effect(
  "allows the burst and the rate over a long time, also when a token takes no whole number of milliseconds",
  () =>
    Effect.gen(function* () {
      const { rateLimits } = make()
      let allowed = 0
      for (let now = 0; now < 100_000; now++) {
        if ((yield* rateLimits.take({ name: "thirds", ratePerSecond: 3, burst: 5 }, now)).allowed) allowed++
      }
      assert.approximately(allowed, 304, 1)
    })
)
