/** Keys by the digest of their secret. Every request asks for one, so what is asked at the same time is one statement. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type { KeyId, NamespaceId } from "../../schemas/Ids.ts"
import type { ApiKey } from "../../schemas/Namespace.ts"
import { refuse } from "../../schemas/Refusal.ts"
import { ApiKeys, type FoundKey, make } from "../ApiKeys.ts"
import * as PgBatch from "./PgBatch.ts"
import { PgClient } from "./PgClient.ts"
import { namespaceOf, type StoredNamespace } from "./PgNamespaces.ts"
import { freeText, fromFreeText, maybeText, maybeWhole, number, text, texts, whole } from "./PgValues.ts"

const during = (method: string) => ({ of: "ApiKeys", method })

interface StoredKey {
  readonly id: KeyId
  readonly namespace_id: NamespaceId
  readonly label: string
  readonly prefix: string
  readonly rate_per_second: number
  readonly created_at: bigint
  readonly expires_at: bigint | null
  readonly revoked_at: bigint | null
}

const instant = (stored: bigint | null): number | null => (stored === null ? null : Number(stored))

const keyOf = (stored: StoredKey): ApiKey => ({
  id: stored.id,
  namespaceId: stored.namespace_id,
  label: fromFreeText(stored.label),
  prefix: fromFreeText(stored.prefix),
  ratePerSecond: stored.rate_per_second,
  createdAt: Number(stored.created_at),
  expiresAt: instant(stored.expires_at),
  revokedAt: instant(stored.revoked_at)
})

const INSERT = `INSERT INTO api_key (id, namespace_id, digest, label, prefix, rate_per_second, created_at, expires_at, revoked_at)
  SELECT $1, namespace.id, $3, $4, $5, $6, $7, $8, $9 FROM namespace WHERE namespace.id = $2
  ON CONFLICT (id) DO NOTHING`

/** The same key again is what a caller does who did not hear the first answer. */
const insert = ({ query }: PgClient["Service"], key: ApiKey, digest: string) =>
  Effect.gen(function* () {
    const { id, namespaceId, label, prefix, ratePerSecond, createdAt, expiresAt, revokedAt } = key
    yield* query(during("insert"), INSERT, [
      text(id),
      text(namespaceId),
      text(digest),
      freeText(label),
      freeText(prefix),
      number(ratePerSecond),
      whole(createdAt),
      maybeWhole(expiresAt),
      maybeWhole(revokedAt)
    ])
    const [stored] = yield* query<StoredKey & { readonly digest: string }>(
      during("insert"),
      "SELECT * FROM api_key WHERE id = $1",
      [text(id)]
    )
    if (stored === undefined) return yield* refuse("not_found", "There is no such namespace.")
    return stored.digest === digest
      ? keyOf(stored)
      : yield* Effect.die(new Error(`key ${id} exists with another secret`))
  })

export const FIND = `SELECT asked.place::int AS place, api_key.id, api_key.namespace_id, label, prefix, rate_per_second, api_key.created_at, expires_at,
    revoked_at, namespace.name AS namespace_name, environment, rules, namespace.created_at AS namespace_created_at
  FROM unnest($1::text[]) WITH ORDINALITY AS asked (digest, place)
  JOIN api_key USING (digest) JOIN namespace ON namespace.id = api_key.namespace_id`

interface StoredFound extends StoredKey, Pick<StoredNamespace, "environment" | "rules"> {
  readonly place: number
  readonly namespace_name: string
  readonly namespace_created_at: bigint
}

const foundOf = (stored: StoredFound): FoundKey => {
  const { namespace_id: id, namespace_name: name, environment, rules, namespace_created_at: created_at } = stored
  const key = keyOf(stored)
  return { key, keyId: key.id, namespace: namespaceOf({ id, name, environment, rules, created_at }) }
}

const find: PgBatch.BatchedMethod<string, StoredFound, FoundKey | null, never> = {
  during: during("find"),
  text: FIND,
  parameters: (digests) => [texts(digests)],
  outcomes: (digests, rows) =>
    PgBatch.placed(rows, digests.length).map((row) => Exit.succeed(row === undefined ? null : foundOf(row)))
}

const REVOKE = "UPDATE api_key SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1 RETURNING *"

const revoke = ({ query }: PgClient["Service"], id: KeyId, at: number) =>
  Effect.gen(function* () {
    const [stored] = yield* query<StoredKey>(during("revoke"), REVOKE, [text(id), whole(at)])
    return stored === undefined ? yield* refuse("not_found", "There is no such key.") : keyOf(stored)
  })

const LIST = `SELECT * FROM api_key WHERE $1::text IS NULL OR namespace_id = $1 ORDER BY created_at DESC, id DESC`

export const layer: Layer.Layer<ApiKeys, never, PgClient> = Layer.effect(
  ApiKeys,
  Effect.gen(function* () {
    const client = yield* PgClient
    return make({
      insert: (key, digest) => insert(client, key, digest),
      find: yield* PgBatch.make(client, find),
      revoke: (id, at) => revoke(client, id, at),
      list: (namespaceId) =>
        Effect.map(client.query<StoredKey>(during("list"), LIST, [maybeText(namespaceId)]), (rows) => rows.map(keyOf))
    })
  })
)
