/**
 * Rate limits in memory: for tests and simulation, and the limits of one embedded daemon. A bucket is one number, the time at
 * which it is full again; a full bucket is the same as none, so it is forgotten. When there are too many, the one that is
 * soonest full goes early: that opens its limit by what it had still to refill, and no other.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Outage } from "../Outage.ts"
import { type Bucket, type Driver, make as makeFront, RateLimits, type Verdict } from "../RateLimits.ts"
import { Expiries, type Expiring } from "./Expiries.ts"

export const BUCKETS_MAX = 100_000
/** Below a microsecond, differences of times are rounding. */
const ROUNDING_MS = 1e-3

interface BucketEntry extends Expiring {
  readonly name: string
}

export interface MemoryRateLimits {
  readonly rateLimits: RateLimits["Service"]
  /** For tests: how many buckets are remembered. */
  readonly size: Effect.Effect<number>
  /** For tests: while on, every take fails. */
  readonly outage: (on: boolean) => Effect.Effect<void>
  /** For tests: loses everything, which leaves every bucket full. */
  readonly wipe: Effect.Effect<void>
}

/** Limits that several simulated daemons may share. */
export const make = (bucketsMax: number = BUCKETS_MAX): MemoryRateLimits => {
  const buckets = new Map<string, BucketEntry>()
  const fullAt = new Expiries<BucketEntry>()
  let out = false

  const forget = (entry: BucketEntry) => {
    fullAt.remove(entry)
    buckets.delete(entry.name)
  }
  const take = (bucket: Bucket, now: number): Verdict => {
    for (let first = fullAt.first(); first !== undefined && first.expiresAt <= now; first = fullAt.first())
      forget(first)
    const known = buckets.get(bucket.name)
    const { verdict, full } = decide(bucket, known?.expiresAt ?? now, now)
    if (known !== undefined) fullAt.set(known, full)
    else if (full > now) {
      const soonest = buckets.size >= bucketsMax ? fullAt.first() : undefined
      if (soonest !== undefined) forget(soonest)
      const entry: BucketEntry = { name: bucket.name, expiresAt: full, heapIndex: -1 }
      buckets.set(bucket.name, entry)
      fullAt.set(entry, full)
    }
    return verdict
  }
  const driver: Driver = {
    take: (bucket, at) =>
      Effect.suspend(() => {
        if (out) return Effect.fail(new Outage({ of: "RateLimits", during: "take", cause: "the memory is out" }))
        return at === undefined
          ? Effect.map(Clock.currentTimeMillis, (now) => take(bucket, now))
          : Effect.succeed(take(bucket, at))
      })
  }
  return {
    rateLimits: makeFront(driver),
    size: Effect.sync(() => buckets.size),
    outage: (on) =>
      Effect.sync(() => {
        out = on
      }),
    wipe: Effect.sync(() => {
      buckets.clear()
      fullAt.clear()
    })
  }
}

export const layer: Layer.Layer<RateLimits> = Layer.effect(
  RateLimits,
  Effect.sync(() => make().rateLimits)
)

/** The rule: one token takes `interval` ms to come back, and at most `burst` of them can be missing. */
const decide = ({ ratePerSecond, burst }: Bucket, knownFull: number, now: number) => {
  const interval = 1000 / ratePerSecond
  const empty = now + burst * interval
  // Never emptier than empty: a clock that was ahead, or a limit that was raised, does not lock anybody out.
  const full = Math.min(Math.max(knownFull, now), empty)
  const allowed = full + interval <= empty + ROUNDING_MS
  const left = allowed ? full + interval : full
  const verdict: Verdict = {
    allowed,
    remaining: Math.floor((empty - left + ROUNDING_MS) / interval),
    retryAfterMs: allowed ? 0 : Math.max(1, Math.ceil(full + interval - empty - ROUNDING_MS)),
    resetMs: Math.max(0, Math.ceil(left - now - ROUNDING_MS))
  }
  return { verdict, full: left }
}
