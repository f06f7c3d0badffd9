/** Token buckets by name, shared by all daemons. Losing them opens the limits for one burst at most. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Outage } from "./Outage.ts"

export interface Bucket {
  /** What is limited: `key/key_…`, `address/…`. */
  readonly name: string
  readonly ratePerSecond: number
  /** The most that may be taken at once after a rest. */
  readonly burst: number
}

export interface Verdict {
  readonly allowed: boolean
  readonly remaining: number
  /** Until one more would be allowed; 0 when allowed. */
  readonly retryAfterMs: number
  /** Until the bucket is full again. */
  readonly resetMs: number
}

export interface Driver {
  /** Takes one if there is one, atomically. `at`: ms; without it the store's own clock, which is the same for every daemon however theirs are set. */
  readonly take: (bucket: Bucket, at?: number) => Effect.Effect<Verdict, Outage>
}

export class RateLimits extends Context.Service<RateLimits, Driver>()("resultity/layers/RateLimits") {}

export const make = (driver: Driver): RateLimits["Service"] => RateLimits.of(driver)
