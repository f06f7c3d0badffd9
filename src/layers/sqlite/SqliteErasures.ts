/** Orders of erasure and stones in the embedded database. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { Erasure, ErasureOrder } from "../../schemas/Erasure.ts"
import type { ErasureId } from "../../schemas/Ids.ts"
import type { ErasureStone } from "../../schemas/Tombstone.ts"
import { Erasures, make, type Progress } from "../Erasures.ts"
import { freeText, json, maybe, number, type Row, text, word } from "./RecordColumns.ts"
import { SqliteClient } from "./SqliteClient.ts"
import type { Sql } from "./Statements.ts"

const during = (method: string) => ({ of: "Erasures", method })

export const layer: Layer.Layer<Erasures, never, SqliteClient> = Layer.effect(
  Erasures,
  Effect.map(SqliteClient, ({ read, write }) =>
    make({
      order: (order) => write(during("order"), (sql) => Result.succeed(put(sql, order))),
      get: (id) => read(during("get"), (sql) => find(sql, id)),
      list: (limit) =>
        read(during("list"), (sql) =>
          sql("SELECT * FROM erasure ORDER BY asked_at DESC, id DESC LIMIT max(?, 0)").all(limit).map(erasureOf)
        ),
      open: (limit) =>
        read(during("open"), (sql) =>
          sql(
            "SELECT * FROM erasure INDEXED BY erasure_open WHERE done_at IS NULL ORDER BY asked_at, id LIMIT max(?, 0)"
          )
            .all(limit)
            .map(erasureOf)
        ),
      advance: (id, progress) => write(during("advance"), (sql) => Result.succeed(advance(sql, id, progress))),
      bury: (stone) =>
        write(during("bury"), (sql) => {
          sql("INSERT INTO erasure_stone (job_id, body) VALUES (?, ?) ON CONFLICT DO NOTHING").run(
            stone.jobId,
            JSON.stringify(stone)
          )
          return Result.succeed(stoneOf(sql, stone.jobId) ?? stone)
        }),
      stone: (jobId) => read(during("stone"), (sql) => stoneOf(sql, jobId))
    })
  )
)

const erasureOf = (row: Row): Erasure => ({
  id: word(row, "id"),
  namespaceId: word(row, "namespace_id"),
  jobId: maybe(row, "job_id", word<NonNullable<Erasure["jobId"]>>),
  clientTag: maybe(row, "client_tag", json<string>),
  by: json(row, "asked_by"),
  reason: json(row, "reason"),
  askedAt: number(row, "asked_at"),
  cursor: maybe(row, "cursor", text),
  erased: number(row, "erased"),
  refused: number(row, "refused"),
  doneAt: maybe(row, "done_at", number)
})

const find = (sql: Sql, id: ErasureId): Erasure | null => {
  const row = sql("SELECT * FROM erasure WHERE id = ?").get(id)
  return row === undefined ? null : erasureOf(row)
}

const put = (sql: Sql, order: ErasureOrder): Erasure => {
  const { id, namespaceId, jobId, clientTag, by, reason, askedAt } = order
  sql(`INSERT INTO erasure (id, namespace_id, job_id, client_tag, asked_by, reason, asked_at, erased, refused)
    VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0) ON CONFLICT DO NOTHING`).run(
    id,
    namespaceId,
    jobId,
    freeText(clientTag),
    freeText(by),
    freeText(reason),
    askedAt
  )
  const row = sql("SELECT * FROM erasure WHERE id = ?").get(id)
  return erasureOf(row as Row)
}

const advance = (sql: Sql, id: ErasureId, { cursor, erased, refused, doneAt }: Progress): Erasure | null => {
  const { changes } = sql(`UPDATE erasure SET cursor = ?, erased = erased + ?, refused = refused + ?, done_at = ?
    WHERE id = ? AND done_at IS NULL`).run(cursor, erased, refused, doneAt, id)
  return changes === 1 ? find(sql, id) : null
}

const stoneOf = (sql: Sql, jobId: string): ErasureStone | null => {
  const row = sql("SELECT body FROM erasure_stone WHERE job_id = ?").get(jobId)
  return row === undefined ? null : json<ErasureStone>(row, "body")
}
