/**
 * Who is calling. A key is looked up by its digest, and only in the `Authorization` header: one in the query string would end in logs. The
 * control listener is open to loopback without a key, but then only under loopback's own names, so that a web page
 * that points its own host name here gets nothing.
 */
import { createHash, timingSafeEqual } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { ApiKeys, type FoundKey } from "../layers/ApiKeys.ts"
import type { Outage } from "../layers/Outage.ts"
import { type Refusal, refuse } from "../schemas/Refusal.ts"
import { type Call, header } from "./Call.ts"
import { takeFailure } from "./RateLimit.ts"
import type { RateLimits } from "../layers/RateLimits.ts"

const wrongKey = refuse(
  "invalid_api_key",
  "A valid API key is needed. Send it as `Authorization: Bearer <key>`; keys that are revoked or expired are not valid."
)

export const bearerOf = (call: Call): string | null =>
  /^bearer +([^\s]+) *$/i.exec(call.incoming.headers.authorization ?? "")?.[1] ?? null

/** The living key of this call. Failures count against the peer's address. */
export const authenticate = Effect.fnUntraced(function* (
  call: Call
): Effect.fn.Return<FoundKey, Refusal | Outage, ApiKeys | RateLimits> {
  const secret = bearerOf(call)
  if (secret !== null) {
    const keys = yield* ApiKeys
    const found = yield* keys.authenticate(Redacted.make(secret), yield* Clock.currentTimeMillis)
    if (found !== null) return found
  }
  yield* takeFailure(call.address)
  return yield* wrongKey
})

const LOOPBACK_HOST = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?$/i

export const isLoopback = (host: string): boolean => ["127.0.0.1", "::1", "localhost"].includes(host.toLowerCase())

const forbidden = refuse(
  "forbidden",
  "Without a control key this listener answers loopback only: use http://127.0.0.1, or set a control key."
)
const foreignPage = refuse("forbidden", "Requests from other sites' pages are not answered here.")
const wrongControlKey = refuse("invalid_api_key", "The control key is needed as `Authorization: Bearer <key>`.")

/** Why this call may not use the control listener, or null. */
export const controlRefusal = (call: Call, controlKey: Redacted.Redacted | null): Refusal | null => {
  const host = call.incoming.headers.host ?? ""
  const origin = header(call, "origin")
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) return foreignPage
  if (controlKey === null) return LOOPBACK_HOST.test(host) ? null : forbidden
  const given = bearerOf(call)
  return given !== null && isSame(given, Redacted.value(controlKey)) ? null : wrongControlKey
}

/** Digests have one length, so the comparison tells nothing about the key's. */
const isSame = (given: string, wanted: string): boolean => timingSafeEqual(digest(given), digest(wanted))

const digest = (text: string) => createHash("sha256").update(text).digest()
