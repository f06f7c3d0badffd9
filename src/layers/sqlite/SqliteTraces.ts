/**
 * The pieces of each job in chunks as they were appended, and one row a job with its fence and its last number. Written without waiting for
 * the disk: a crash of the machine may lose the last pieces, and then the agent that still holds them sends them again.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { JobId } from "../../schemas/Ids.ts"
import type { TokenEvent } from "../../schemas/TokenEvent.ts"
import type { Scope } from "../JobRecords.ts"
import * as Traces from "../Traces.ts"
import { json, number } from "./RecordColumns.ts"
import { type During, type Sql, SqliteClient } from "./SqliteClient.ts"

const during = (method: keyof Traces.Driver): During => ({ of: "Traces", method })
const notDurable = { durable: false }

/** An epoch that no writer reaches: what is fenced with it is closed. */
const CLOSED = Number.MAX_SAFE_INTEGER

/** The numbers are gap-free, so the bounds in numbers are bounds in rows too. */
export const pieces = (sql: Sql, jobId: JobId, afterSeq = 0, limit = CLOSED): ReadonlyArray<TokenEvent> =>
  sql("SELECT body FROM trace_chunk WHERE job_id = ? AND last_seq > ? AND first_seq <= ? ORDER BY last_seq")
    .all(jobId, afterSeq, Math.min(afterSeq + limit, CLOSED))
    .flatMap((row) => json<ReadonlyArray<TokenEvent>>(row, "body"))
    .filter(({ seq }) => seq > afterSeq && seq - afterSeq <= limit)

const raiseFence = (sql: Sql, jobId: JobId, epoch: number) =>
  sql(
    `INSERT INTO trace (job_id, epoch, last_seq) VALUES (?, ?, 0)
     ON CONFLICT (job_id) DO UPDATE SET epoch = max(epoch, excluded.epoch)`
  ).run(jobId, epoch)

/** Afterwards nobody appends to the job again. */
export const close = (sql: Sql, jobId: JobId) => raiseFence(sql, jobId, CLOSED)

const append =
  ({ jobId, epoch, attempt, events }: Traces.TraceBatch) =>
  (sql: Sql): Result.Result<boolean> => {
    const head = sql("SELECT epoch, last_seq FROM trace WHERE job_id = ?").get(jobId)
    const last = head === undefined ? 0 : number(head, "last_seq")
    if (head !== undefined && epoch < number(head, "epoch")) return Result.succeed(false)
    if ((events[0]?.seq ?? 0) > last + 1) return Result.succeed(false)
    const fresh = events.filter(({ seq }) => seq > last)
    const newLast = fresh.at(-1)?.seq ?? last
    sql(
      `INSERT INTO trace (job_id, epoch, last_seq) VALUES (?, ?, ?)
       ON CONFLICT (job_id) DO UPDATE SET epoch = excluded.epoch, last_seq = excluded.last_seq`
    ).run(jobId, epoch, newLast)
    if (fresh.length > 0) {
      sql("INSERT INTO trace_chunk (job_id, last_seq, first_seq, attempt, body) VALUES (?, ?, ?, ?, ?)").run(
        jobId,
        newLast,
        last + 1,
        attempt,
        JSON.stringify(fresh)
      )
    }
    return Result.succeed(true)
  }

const sees = (sql: Sql, scope: Scope, jobId: JobId): boolean =>
  scope._tag === "Operator" ||
  sql("SELECT 1 FROM record WHERE job_id = ? AND namespace_id = ?").get(jobId, scope.namespaceId) !== undefined

const driver = ({ read, write }: SqliteClient["Service"]): Traces.Driver => ({
  fence: (jobId, epoch) =>
    write(
      during("fence"),
      (sql) => {
        raiseFence(sql, jobId, epoch)
        return Result.succeed(pieces(sql, jobId))
      },
      notDurable
    ),
  append: (batch) => write(during("append"), append(batch), notDurable),
  read: (scope, jobId, afterSeq, limit) =>
    read(during("read"), (sql) =>
      sees(sql, scope, jobId) ? pieces(sql, jobId, Math.max(afterSeq, 0), Math.max(limit, 0)) : []
    )
})

export const layer = Layer.effect(
  Traces.Traces,
  Effect.map(SqliteClient, (client) => Traces.make(driver(client)))
)
