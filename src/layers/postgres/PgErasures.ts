/** Orders of erasure and stones: one row each. A stone holds a hash and a signature, and no text of a job. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Erasure } from "../../schemas/Erasure.ts"
import type { ErasureId, JobId, NamespaceId } from "../../schemas/Ids.ts"
import type { ErasureStone } from "../../schemas/Tombstone.ts"
import { begun, Erasures, make } from "../Erasures.ts"
import { PgClient } from "./PgClient.ts"
import { freeText, fromFreeText, limited, maybeText, maybeWhole, text, whole } from "./PgValues.ts"

const during = (method: string) => ({ of: "Erasures", method })

interface StoredErasure {
  readonly id: ErasureId
  readonly namespace_id: NamespaceId
  readonly job_id: JobId | null
  readonly client_tag: string | null
  readonly asked_by: string
  readonly reason: string
  readonly asked_at: bigint
  readonly cursor: string | null
  readonly erased: bigint
  readonly refused: bigint
  readonly done_at: bigint | null
}

const erasureOf = (stored: StoredErasure): Erasure => ({
  id: stored.id,
  namespaceId: stored.namespace_id,
  jobId: stored.job_id,
  clientTag: stored.client_tag === null ? null : fromFreeText(stored.client_tag),
  by: fromFreeText(stored.asked_by),
  reason: fromFreeText(stored.reason),
  askedAt: Number(stored.asked_at),
  cursor: stored.cursor,
  erased: Number(stored.erased),
  refused: Number(stored.refused),
  doneAt: stored.done_at === null ? null : Number(stored.done_at)
})

const ORDER = `INSERT INTO erasure (id, namespace_id, job_id, client_tag, asked_by, reason, asked_at, erased, refused)
  VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0) ON CONFLICT DO NOTHING`
const ONE = "SELECT * FROM erasure WHERE id = $1"
const LIST = "SELECT * FROM erasure ORDER BY asked_at DESC, id DESC LIMIT $1"
const OPEN = "SELECT * FROM erasure WHERE done_at IS NULL ORDER BY asked_at, id LIMIT $1"
const ADVANCE = `UPDATE erasure SET cursor = $2, erased = erased + $3, refused = refused + $4, done_at = $5
  WHERE id = $1 AND done_at IS NULL RETURNING *`
const BURY = "INSERT INTO erasure_stone (job_id, body) VALUES ($1, $2) ON CONFLICT DO NOTHING"
const STONE = "SELECT body FROM erasure_stone WHERE job_id = $1"

export const layer: Layer.Layer<Erasures, never, PgClient> = Layer.effect(
  Erasures,
  Effect.map(PgClient, ({ query }) => {
    const get = (id: ErasureId) =>
      Effect.map(query<StoredErasure>(during("get"), ONE, [text(id)]), ([row]) =>
        row === undefined ? null : erasureOf(row)
      )
    const stone = (jobId: JobId) =>
      Effect.map(query<{ body: string }>(during("stone"), STONE, [text(jobId)]), ([row]) =>
        row === undefined ? null : (JSON.parse(row.body) as ErasureStone)
      )
    const rows = (method: string, sql: string, limit: number) =>
      Effect.map(query<StoredErasure>(during(method), sql, [limited(limit)]), (found) => found.map(erasureOf))
    return make({
      order: (order) => {
        const { id, namespaceId, jobId, clientTag, by, reason, askedAt } = order
        const tag = clientTag === null ? null : freeText(clientTag)
        const values = [
          text(id),
          text(namespaceId),
          maybeText(jobId),
          tag,
          freeText(by),
          freeText(reason),
          whole(askedAt)
        ]
        return Effect.map(
          Effect.andThen(query(during("order"), ORDER, values), get(id)),
          (known) => known ?? begun(order)
        )
      },
      get,
      list: (limit) => rows("list", LIST, limit),
      open: (limit) => rows("open", OPEN, limit),
      advance: (id, { cursor, erased, refused, doneAt }) =>
        Effect.map(
          query<StoredErasure>(during("advance"), ADVANCE, [
            text(id),
            maybeText(cursor),
            whole(erased),
            whole(refused),
            maybeWhole(doneAt)
          ]),
          ([row]) => (row === undefined ? null : erasureOf(row))
        ),
      bury: (made) =>
        Effect.map(
          Effect.andThen(
            query(during("bury"), BURY, [text(made.jobId), text(JSON.stringify(made))]),
            stone(made.jobId)
          ),
          (known) => known ?? made
        ),
      stone
    })
  })
)
