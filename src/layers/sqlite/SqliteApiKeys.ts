/** Keys in the embedded database, found by the digest of their secret through its unique index; the secret itself never comes here. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { KeyId, NamespaceId } from "../../schemas/Ids.ts"
import type { ApiKey } from "../../schemas/Namespace.ts"
import { type Refusal, refuse } from "../../schemas/Refusal.ts"
import { ApiKeys, type FoundKey, make } from "../ApiKeys.ts"
import { findNamespace } from "./NamespaceRows.ts"
import { SqliteClient } from "./SqliteClient.ts"
import type { Sql } from "./Statements.ts"

const during = (method: string) => ({ of: "ApiKeys", method })

export const layer: Layer.Layer<ApiKeys, never, SqliteClient> = Layer.effect(
  ApiKeys,
  Effect.gen(function* () {
    const { read, write } = yield* SqliteClient
    return make({
      insert: (key, digest) => write(during("insert"), (sql) => insert(sql, key, digest)),
      find: (digest) => read(during("find"), (sql) => find(sql, digest)),
      revoke: (id, at) => write(during("revoke"), (sql) => revoke(sql, id, at)),
      list: (namespaceId) => read(during("list"), (sql) => list(sql, namespaceId))
    })
  })
)

const keyOf = (stored: Record<string, unknown>): ApiKey => ({
  id: stored["id"] as KeyId,
  namespaceId: stored["namespace_id"] as NamespaceId,
  label: stored["label"] as string,
  prefix: stored["prefix"] as string,
  ratePerSecond: stored["rate_per_second"] as number,
  createdAt: stored["created_at"] as number,
  expiresAt: stored["expires_at"] as number | null,
  revokedAt: stored["revoked_at"] as number | null
})

const insert = (sql: Sql, key: ApiKey, digest: string): Result.Result<ApiKey, Refusal> => {
  if (findNamespace(sql, key.namespaceId) === null) {
    return Result.fail(refuse("not_found", "There is no such namespace."))
  }
  // The same key again is what a caller does who did not hear the first answer.
  const known = sql("SELECT * FROM api_key WHERE id = ? AND digest = ?").get(key.id, digest)
  if (known !== undefined) return Result.succeed(keyOf(known))
  sql(`INSERT INTO api_key (id, namespace_id, digest, label, prefix, rate_per_second, created_at, expires_at, revoked_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`).run(
    key.id,
    key.namespaceId,
    digest,
    key.label,
    key.prefix,
    key.ratePerSecond,
    key.createdAt,
    key.expiresAt,
    key.revokedAt
  )
  return Result.succeed(key)
}

const find = (sql: Sql, digest: string): FoundKey | null => {
  const stored = sql("SELECT * FROM api_key WHERE digest = ?").get(digest)
  if (stored === undefined) return null
  const key = keyOf(stored)
  const namespace = findNamespace(sql, key.namespaceId)
  return namespace === null ? null : { key, keyId: key.id, namespace }
}

const revoke = (sql: Sql, id: KeyId, at: number): Result.Result<ApiKey, Refusal> => {
  const stored = sql("SELECT * FROM api_key WHERE id = ?").get(id)
  if (stored === undefined) return Result.fail(refuse("not_found", "There is no such key."))
  const key = keyOf(stored)
  if (key.revokedAt !== null) return Result.succeed(key)
  sql("UPDATE api_key SET revoked_at = ? WHERE id = ?").run(at, id)
  return Result.succeed({ ...key, revokedAt: at })
}

const list = (sql: Sql, namespaceId: NamespaceId | null): ReadonlyArray<ApiKey> => {
  const newestFirst = "ORDER BY created_at DESC, id DESC"
  const rows =
    namespaceId === null
      ? sql(`SELECT * FROM api_key ${newestFirst}`).all()
      : sql(`SELECT * FROM api_key WHERE namespace_id = ? ${newestFirst}`).all(namespaceId)
  return rows.map(keyOf)
}
