/**
 * The documents of jobs, one row each, input and output beside it. A patch updates just the columns of the fields that it names. A row that
 * is marked for the archive is frozen: a patch finds it no more, so what was archived is what is pruned.
 */
import type { SQLInputValue } from "node:sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { JobId } from "../../schemas/Ids.ts"
import type { JobRecord } from "../../schemas/JobRecord.ts"
import * as JobRecords from "../JobRecords.ts"
import { allColumns, type Column, patchColumns, SELECT_RECORD, toRecord, word } from "./RecordColumns.ts"
import { UNFINISHED } from "./RecordsSchema.ts"
import { type During, type Sql, SqliteClient } from "./SqliteClient.ts"

/** Neither on its way to the archive nor without its body. */
const WRITABLE = "segment_id IS NULL AND tombstone IS NULL"

const during = (method: keyof JobRecords.Driver): During => ({ of: "JobRecords", method })

const insertText = (columns: ReadonlyArray<Column>) =>
  `INSERT INTO record (${columns.map(([name]) => name).join(", ")})
   VALUES (${columns.map(() => "?").join(", ")}) ON CONFLICT (job_id) DO NOTHING`

const values = (columns: ReadonlyArray<Column>): ReadonlyArray<SQLInputValue> => columns.map(([, value]) => value)

/** Writes the text beside the row of this job, replacing what was there. */
const putBeside = (sql: Sql, table: "record_input" | "record_output", jobId: JobId, body: string) =>
  sql(
    `INSERT INTO ${table} (number, body) SELECT number, ? FROM record WHERE job_id = ?
     ON CONFLICT (number) DO UPDATE SET body = excluded.body`
  ).run(body, jobId)

/** Encoding comes before the group commit: what cannot be encoded is the caller's own defect and no neighbour's. */
const open = (record: JobRecord) => {
  const columns = allColumns(record)
  const input = JSON.stringify(record.input)
  const output = record.output === null ? null : JSON.stringify(record.output)
  return (sql: Sql) => {
    if (sql(insertText(columns)).run(...values(columns)).changes === 0) return Result.succeed(false)
    putBeside(sql, "record_input", record.jobId, input)
    if (output !== null) putBeside(sql, "record_output", record.jobId, output)
    return Result.succeed(true)
  }
}

/** Sets the columns of an unmarked row that no later epoch has changed; a note's, of one that is open as well. */
const setColumns = (
  sql: Sql,
  { jobId, epoch, durable }: JobRecords.Change,
  columns: ReadonlyArray<Column>
): JobRecords.Patched => {
  const all: ReadonlyArray<Column> = [["epoch", epoch], ...columns]
  const set = all.map(([name]) => `${name} = ?`).join(", ")
  const text = `UPDATE record SET ${set} WHERE job_id = ? AND ${WRITABLE} AND epoch <= ?${durable ? "" : " AND completeness = 'open'"}`
  if (sql(text).run(...values(all), jobId, epoch).changes === 1) return "done"
  const known = sql(`SELECT 1 FROM record WHERE job_id = ? AND ${WRITABLE}`).get(jobId) !== undefined
  return known ? "stale" : "missing"
}

const patch = (change: JobRecords.Change) => {
  const { jobId, patch: fields } = change
  const columns = patchColumns(fields)
  const input = fields.input === undefined ? undefined : JSON.stringify(fields.input)
  const output = fields.output === undefined || fields.output === null ? fields.output : JSON.stringify(fields.output)
  return (sql: Sql) => {
    const patched = setColumns(sql, change, columns)
    if (patched !== "done") return Result.succeed(patched)
    if (input !== undefined) putBeside(sql, "record_input", jobId, input)
    if (output === null) {
      sql("DELETE FROM record_output WHERE number = (SELECT number FROM record WHERE job_id = ?)").run(jobId)
    } else if (output !== undefined) {
      putBeside(sql, "record_output", jobId, output)
    }
    return Result.succeed(patched)
  }
}

export const UNFINISHED_TEXT = `SELECT job_id FROM record INDEXED BY record_unfinished WHERE ${UNFINISHED} AND created_at < ?
  ORDER BY created_at, job_id LIMIT ?`

const driver = ({ read, write }: SqliteClient["Service"]): JobRecords.Driver => ({
  open: (record) => Effect.suspend(() => write(during("open"), open(record))),
  patch: (change) => Effect.suspend(() => write(during("patch"), patch(change), { durable: change.durable })),
  get: (scope, jobId) =>
    read(during("get"), (sql) => {
      const row = sql(`${SELECT_RECORD} WHERE r.job_id = ?`).get(jobId)
      if (row === undefined) return null
      const visible = scope._tag === "Operator" || row["namespace_id"] === scope.namespaceId
      return visible ? toRecord(row) : null
    }),
  discard: (jobId) =>
    write(during("discard"), (sql) => {
      sql("DELETE FROM record WHERE job_id = ? AND segment_id IS NULL").run(jobId)
      return Result.void
    }),
  unfinished: (before, limit) =>
    read(during("unfinished"), (sql) =>
      sql(UNFINISHED_TEXT)
        .all(before, Math.max(limit, 0))
        .map((row): JobId => word(row, "job_id"))
    )
})

export const layer = Layer.effect(
  JobRecords.JobRecords,
  Effect.map(SqliteClient, (client) => JobRecords.make(driver(client)))
)
