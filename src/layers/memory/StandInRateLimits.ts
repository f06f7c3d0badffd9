/**
 * While the shared limits are out, each daemon limits by itself and at half the rate: an outage neither closes the API nor opens it to a flood.
 * With more than two daemons the sum may exceed the limit; it stays bounded.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { make, RateLimits } from "../RateLimits.ts"
import * as MemoryRateLimits from "./MemoryRateLimits.ts"

export const layer: Layer.Layer<RateLimits, never, RateLimits> = Layer.effect(
  RateLimits,
  Effect.map(RateLimits, (shared) => {
    const own = MemoryRateLimits.make().rateLimits
    let isOut = false
    /** Said once an outage, not once a request. */
    const note = (out: boolean, during: string) =>
      Effect.suspend(() => {
        if (out === isOut) return Effect.void
        isOut = out
        return out
          ? Effect.logWarning("shared rate limits are out: every daemon limits by itself", { during })
          : Effect.logInfo("shared rate limits are back")
      })
    return make({
      take: ({ name, ratePerSecond, burst }, at) =>
        shared.take({ name, ratePerSecond, burst }, at).pipe(
          Effect.tap(() => note(false, "take")),
          Effect.catchTag("Outage", ({ during }) =>
            Effect.andThen(
              note(true, during),
              own.take({ name, ratePerSecond: ratePerSecond / 2, burst: Math.max(1, burst / 2) }, at)
            )
          )
        )
    })
  })
)
