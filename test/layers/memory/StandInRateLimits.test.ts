/** What limits requests while the shared limits are out. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as MemoryRateLimits from "../../../src/layers/memory/MemoryRateLimits.ts"
import * as StandInRateLimits from "../../../src/layers/memory/StandInRateLimits.ts"
import { RateLimits } from "../../../src/layers/RateLimits.ts"

const bucket = { name: "key/1", ratePerSecond: 10, burst: 20 }

it.effect("the shared limits decide while they answer, half the rate of one daemon while they do not", () => {
  const shared = MemoryRateLimits.make()
  const both = StandInRateLimits.layer.pipe(Layer.provideMerge(Layer.succeed(RateLimits, shared.rateLimits)))
  const allowedOf = (takes: number) =>
    Effect.gen(function* () {
      const limits = yield* RateLimits
      const verdicts = yield* Effect.forEach(Array.from({ length: takes }), () => limits.take(bucket, 0))
      return verdicts.filter(({ allowed }) => allowed).length
    })
  return Effect.gen(function* () {
    assert.strictEqual(yield* allowedOf(5), 5)
    yield* shared.outage(true)
    assert.strictEqual(yield* allowedOf(30), 10)
    yield* shared.outage(false)
    assert.strictEqual(yield* allowedOf(30), 15)
  }).pipe(Effect.provide(both))
})
