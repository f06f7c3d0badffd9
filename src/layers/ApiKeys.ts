/**
 * Keys by the SHA-256 of their secret. The secret (256 random bits) is shown once, at creation, and stored nowhere.
 * Finding a key by its digest is the whole check: two digests are equal only if the secrets are.
 */
import { createHash, randomBytes } from "node:crypto"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { KeyId, NamespaceId } from "../schemas/Ids.ts"
import type { ApiKey, Caller } from "../schemas/Namespace.ts"
import type { Refusal } from "../schemas/Refusal.ts"
import type { Outage } from "./Outage.ts"

export interface FoundKey extends Caller {
  readonly key: ApiKey
}

export interface Driver {
  /** Refused with `not_found` when there is no such namespace. */
  readonly insert: (key: ApiKey, digest: string) => Effect.Effect<ApiKey, Refusal | Outage>
  /** The key with this digest and its namespace, revoked and expired ones too. */
  readonly find: (digest: string) => Effect.Effect<FoundKey | null, Outage>
  /** Refused with `not_found`. Twice: the first instant stays. */
  readonly revoke: (id: KeyId, at: number) => Effect.Effect<ApiKey, Refusal | Outage>
  /** Newest first; of one namespace, or all. */
  readonly list: (namespaceId: NamespaceId | null) => Effect.Effect<ReadonlyArray<ApiKey>, Outage>
}

export class ApiKeys extends Context.Service<
  ApiKeys,
  Driver & {
    /** A living key for this secret, or null: unknown, revoked and expired look the same. */
    readonly authenticate: (secret: Redacted.Redacted, now: number) => Effect.Effect<FoundKey | null, Outage>
  }
>()("resultity/layers/ApiKeys") {}

export const digestOf = (secret: string): string => createHash("sha256").update(secret).digest("hex")

/** A new secret: `rsk-` and 43 characters of base64url. */
export const newSecret: Effect.Effect<Redacted.Redacted> = Effect.sync(() =>
  Redacted.make(`rsk-${randomBytes(32).toString("base64url")}`)
)

/** How many characters of the secret a listing shows. */
export const SHOWN = 12

const SECRET_LENGTH_MAX = 256

/** How long a key that was found good is taken from memory: what a revocation by another daemon, or a change of rules, may lag behind. */
const FRESH_MS = 1000
const FRESH_MAX = 10_000

export const make = (driver: Driver): ApiKeys["Service"] => {
  const fresh = new Map<string, { readonly found: FoundKey; readonly at: number }>()
  const look = (digest: string, now: number) =>
    Effect.suspend(() => {
      const known = fresh.get(digest)
      if (known !== undefined && Math.abs(now - known.at) < FRESH_MS) return Effect.succeed(known.found)
      return Effect.map(driver.find(digest), (found) => {
        if (found === null) return null
        if (fresh.size >= FRESH_MAX) fresh.clear()
        fresh.set(digest, { found, at: now })
        return found
      })
    })
  return ApiKeys.of({
    insert: Effect.fn("ApiKeys.insert")(driver.insert),
    find: driver.find,
    revoke: Effect.fn("ApiKeys.revoke")((id, at) =>
      Effect.ensuring(
        driver.revoke(id, at),
        Effect.sync(() => fresh.clear())
      )
    ),
    list: driver.list,
    authenticate: Effect.fnUntraced(function* (secret, now) {
      const text = Redacted.value(secret)
      if (text.length === 0 || text.length > SECRET_LENGTH_MAX) return null
      const found = yield* look(digestOf(text), now)
      return found !== null && isAlive(found.key, now) ? found : null
    })
  })
}

const isAlive = (key: ApiKey, now: number) => key.revokedAt === null && (key.expiresAt === null || key.expiresAt > now)
