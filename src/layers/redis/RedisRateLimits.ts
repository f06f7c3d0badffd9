/** Token buckets shared by all daemons: one number each, which is gone when the bucket is full again. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { make, RateLimits } from "../RateLimits.ts"
import { toKeyText } from "./KeyText.ts"
import { RedisClient } from "./RedisClient.ts"

type Told = readonly [allowed: number, remaining: number, retryAfterMs: number, resetMs: number]

export const layer: Layer.Layer<RateLimits, never, RedisClient> = Layer.effect(
  RateLimits,
  Effect.map(RedisClient, ({ script, tag }) =>
    make({
      take: ({ name, ratePerSecond, burst }, at) =>
        Effect.map(
          script("RateLimits", "bucket", [ratePerSecond, burst, at ?? ""], `${tag}:bucket:${toKeyText(name)}`),
          (told) => {
            const [allowed, remaining, retryAfterMs, resetMs] = told as Told
            return { allowed: allowed === 1, remaining, retryAfterMs, resetMs }
          }
        )
    })
  )
)
