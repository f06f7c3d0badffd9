/**
 * The buckets of the public listener: requests of a key, wrong keys of an address, handshakes of an address. When the limiter itself is out,
 * requests pass: a limit that is lost for a while does less harm than an API that is.
 */
import * as Effect from "effect/Effect"
import { type Bucket, RateLimits, type Verdict } from "../layers/RateLimits.ts"
import { type Refusal, refuse } from "../schemas/Refusal.ts"
import type { KeyedCall } from "./Call.ts"
import { Throttles } from "./Throttles.ts"

/** A thousand wrong keys within ten seconds are far above it; a script with an old key is not. */
const FAILURES_PER_SECOND = 20
const FAILURES_BURST = 200
const HANDSHAKES_PER_SECOND = 50
const HANDSHAKES_BURST = 500

const take = (bucket: Bucket): Effect.Effect<Verdict | null, never, RateLimits> =>
  Effect.gen(function* () {
    const limits = yield* RateLimits
    return yield* limits.take(bucket)
  }).pipe(
    Effect.catchTag("Outage", ({ of, during }) => Effect.as(Effect.logWarning("limits are out", { of, during }), null))
  )

const limited = (message: string, { retryAfterMs }: Verdict) => refuse("rate_limited", message, { retryAfterMs })

/** One request of this key; the answer will say what is left. */
export const takeRequest = Effect.fnUntraced(function* (
  call: KeyedCall
): Effect.fn.Return<void, Refusal, RateLimits | Throttles> {
  const { key } = call.caller
  const ratePerSecond = (yield* Throttles).rateOf(key)
  const burst = 2 * ratePerSecond
  const verdict = yield* take({ name: `key/${key.id}`, ratePerSecond, burst })
  if (verdict === null) return
  call.answerHeaders["x-ratelimit-limit-requests"] = String(burst)
  call.answerHeaders["x-ratelimit-remaining-requests"] = String(Math.max(0, Math.floor(verdict.remaining)))
  call.answerHeaders["x-ratelimit-reset-requests"] = `${Math.ceil(verdict.resetMs)}ms`
  if (!verdict.allowed) {
    return yield* limited(`This key may make ${ratePerSecond} requests a second. Slow down and try again.`, verdict)
  }
})

/** One wrong key from this address. */
export const takeFailure = (address: string): Effect.Effect<void, Refusal, RateLimits> =>
  Effect.flatMap(
    take({ name: `failed-key/${address}`, ratePerSecond: FAILURES_PER_SECOND, burst: FAILURES_BURST }),
    (verdict) =>
      verdict === null || verdict.allowed
        ? Effect.void
        : Effect.fail(limited("Too many wrong keys came from this address. Try again later.", verdict))
  )

/** One handshake of a node from this address. */
export const takeHandshake = (address: string): Effect.Effect<void, Refusal, RateLimits> =>
  Effect.flatMap(
    take({ name: `handshake/${address}`, ratePerSecond: HANDSHAKES_PER_SECOND, burst: HANDSHAKES_BURST }),
    (verdict) =>
      verdict === null || verdict.allowed
        ? Effect.void
        : Effect.fail(limited("Too many nodes connect from this address. Try again later.", verdict))
  )
