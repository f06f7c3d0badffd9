/** What every RateLimits must do, whatever it is made of. All times are passed, so no test depends on how long it takes. */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer, Schema } from "effect"
import type { Outage } from "../../../src/layers/Outage.ts"
import { type Bucket, RateLimits } from "../../../src/layers/RateLimits.ts"
import { aName, HOUR, inAnHour } from "./LiveFactories.ts"
import type { LiveFaults } from "./LiveNodes.contract.ts"

const aBucket = (over: Partial<Bucket> = {}): Bucket => ({ name: aName(), ratePerSecond: 2, burst: 3, ...over })

export const rateLimitsContract = <R = never>(
  backEnd: string,
  over: Layer.Layer<RateLimits | R, Outage>,
  faults: LiveFaults<R> = {}
) =>
  layer(over, { excludeTestServices: true })(`RateLimits on ${backEnd}`, (it) => {
    it.effect("allows the burst, then refuses and says when to come back", () =>
      Effect.gen(function* () {
        const limits = yield* RateLimits
        const now = yield* inAnHour
        const bucket = aBucket()
        const take = (at: number) => limits.take(bucket, at)

        assert.deepStrictEqual(yield* take(now), { allowed: true, remaining: 2, retryAfterMs: 0, resetMs: 500 })
        assert.deepStrictEqual(yield* take(now), { allowed: true, remaining: 1, retryAfterMs: 0, resetMs: 1000 })
        assert.deepStrictEqual(yield* take(now), { allowed: true, remaining: 0, retryAfterMs: 0, resetMs: 1500 })
        assert.deepStrictEqual(yield* take(now), { allowed: false, remaining: 0, retryAfterMs: 500, resetMs: 1500 })
        assert.deepStrictEqual(yield* take(now + 499), { allowed: false, remaining: 0, retryAfterMs: 1, resetMs: 1001 })
        assert.deepStrictEqual(yield* take(now + 500), { allowed: true, remaining: 0, retryAfterMs: 0, resetMs: 1500 })
      })
    )

    it.effect("fills up to the burst and not beyond", () =>
      Effect.gen(function* () {
        const limits = yield* RateLimits
        const now = yield* inAnHour
        const bucket = aBucket()
        yield* limits.take(bucket, now)

        assert.strictEqual((yield* limits.take(bucket, now + HOUR)).remaining, 2)
      })
    )

    it.effect("keeps buckets of different names apart", () =>
      Effect.gen(function* () {
        const limits = yield* RateLimits
        const now = yield* inAnHour
        const [a, b] = [aBucket({ burst: 1 }), aBucket({ burst: 1 })]

        assert.isTrue((yield* limits.take(a, now)).allowed)
        assert.isTrue((yield* limits.take(b, now)).allowed)
        assert.isFalse((yield* limits.take(a, now)).allowed)
      })
    )

    it.effect("allows exactly the burst when many take at once", () =>
      Effect.gen(function* () {
        const limits = yield* RateLimits
        const now = yield* inAnHour
        const bucket = aBucket({ burst: 7 })
        const verdicts = yield* Effect.all(
          Array.from({ length: 50 }, () => limits.take(bucket, now)),
          { concurrency: 50 }
        )
        assert.strictEqual(verdicts.filter(({ allowed }) => allowed).length, 7)
      })
    )

    it.effect("does not lock a name out for long when one clock was far ahead", () =>
      Effect.gen(function* () {
        const limits = yield* RateLimits
        const now = yield* inAnHour
        const bucket = aBucket({ burst: 1 })
        yield* limits.take(bucket, now + HOUR)
        yield* limits.take(bucket, now)

        assert.isTrue((yield* limits.take(bucket, now + 500)).allowed)
      })
    )

    it.effect("keeps its own time when it is told none", () =>
      Effect.gen(function* () {
        const limits = yield* RateLimits
        const bucket = aBucket({ burst: 2, ratePerSecond: 0.001 })
        assert.isTrue((yield* limits.take(bucket)).allowed)
        assert.isTrue((yield* limits.take(bucket)).allowed)
        const refused = yield* limits.take(bucket)
        assert.isFalse(refused.allowed)
        assert.isAtMost(refused.retryAfterMs, 1_000_000)
        assert.isAbove(refused.retryAfterMs, 900_000)
      })
    )

    const Steps = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 700 })))
    const rule = { ratePerSecond: Schema.Literals([1, 2, 5, 8, 100]), burst: Schema.Literals([1, 2, 5]) }
    it.effect.prop(
      "agrees with a bucket that is filled millisecond by millisecond",
      { ...rule, steps: Steps },
      ({ ratePerSecond, burst, steps }) =>
        Effect.gen(function* () {
          const limits = yield* RateLimits
          const bucket = aBucket({ ratePerSecond, burst })
          let now = yield* inAnHour
          // Thousandths of a token: a millisecond brings `ratePerSecond` of them, and one take needs a thousand.
          let level = burst * 1000
          const msUntil = (wanted: number) => Math.max(0, Math.ceil((wanted - level) / ratePerSecond))
          for (const ms of steps) {
            now += ms
            level = Math.min(burst * 1000, level + ms * ratePerSecond)
            const allowed = level >= 1000
            if (allowed) level -= 1000
            assert.deepStrictEqual(yield* limits.take(bucket, now), {
              allowed,
              remaining: Math.floor(level / 1000),
              retryAfterMs: allowed ? 0 : msUntil(1000),
              resetMs: msUntil(burst * 1000)
            })
          }
        }),
      { arbitrary: { runs: 100 } }
    )

    it.effect.skipIf(faults.outage === undefined)("fails with an Outage while it is out", () =>
      Effect.gen(function* () {
        const limits = yield* RateLimits
        const now = yield* inAnHour
        yield* faults.outage!(true)
        const failure = yield* Effect.flip(limits.take(aBucket(), now)).pipe(Effect.ensuring(faults.outage!(false)))
        assert.strictEqual(failure._tag, "Outage")
      })
    )

    it.effect.skipIf(faults.wipe === undefined)("opens a limit for one burst when it was wiped", () =>
      Effect.gen(function* () {
        const limits = yield* RateLimits
        const now = yield* inAnHour
        const bucket = aBucket({ burst: 1 })
        yield* limits.take(bucket, now)
        yield* faults.wipe!
        assert.isTrue((yield* limits.take(bucket, now)).allowed)
        assert.isFalse((yield* limits.take(bucket, now)).allowed)
      })
    )
  })
