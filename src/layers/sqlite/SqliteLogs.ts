/** The typed log, one row an entry, in order of arrival within one instant. Written without waiting for the disk. */
import type { SQLInputValue } from "node:sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { JobId } from "../../schemas/Ids.ts"
import type { LogEntry } from "../../schemas/JobRecord.ts"
import type { Scope } from "../JobRecords.ts"
import * as Logs from "../Logs.ts"
import { json, number } from "./RecordColumns.ts"
import { type During, type Sql, SqliteClient } from "./SqliteClient.ts"

const during = (method: keyof Logs.Driver): During => ({ of: "Logs", method })

interface Row {
  readonly entry: LogEntry
  readonly body: string
}

const append = (rows: ReadonlyArray<Row>) => (sql: Sql) => {
  const insert = sql("INSERT INTO log (namespace_id, type, at, job_id, entry) VALUES (?, ?, ?, ?, ?)")
  for (const { entry, body } of rows) insert.run(entry.namespaceId, entry.type, entry.at, entry.jobId, body)
  return Result.void
}

/** Those of a job that came no later than the entry of this number, oldest first. */
export const entriesOf = (sql: Sql, jobId: JobId, lastNumber: number): ReadonlyArray<LogEntry> =>
  sql("SELECT entry FROM log WHERE job_id = ? AND number <= ? ORDER BY at, number")
    .all(jobId, lastNumber)
    .map((row) => json<LogEntry>(row, "entry"))

const indexFor = (scope: Scope, { type, jobId }: Logs.LogQuery): string => {
  if (jobId !== undefined) return "log_by_job"
  return `log_by_${scope._tag === "Namespace" ? "namespace_" : ""}${type === undefined ? "time" : "type"}`
}

/** The statement for the conditions that are asked, and the values for its places. */
export const queryText = (scope: Scope, query: Logs.LogQuery) => {
  const { type, jobId, from = Number.MIN_SAFE_INTEGER, to, after, limit } = query
  const conditions: ReadonlyArray<readonly [string, SQLInputValue | undefined]> = [
    ["namespace_id = ?", scope._tag === "Namespace" ? scope.namespaceId : undefined],
    ["type = ?", type],
    ["job_id = ?", jobId],
    // The bound on the time alone is what the index begins at.
    ["at >= ?", Math.max(from, after?.at ?? from)],
    ["at < ?", to],
    ["(at > ? OR number > ?)", after?.at]
  ]
  const asked = conditions.flatMap(([condition, value]) => (value === undefined ? [] : [{ condition, value }]))
  return {
    text: `SELECT number, at, entry FROM log INDEXED BY ${indexFor(scope, query)}
      WHERE ${asked.map(({ condition }) => condition).join(" AND ")} ORDER BY at, number LIMIT ?`,
    values: [
      ...asked.map(({ value }) => value),
      ...(after === undefined ? [] : [Number(after.id)]),
      Math.max(limit, 0)
    ] satisfies ReadonlyArray<SQLInputValue>
  }
}

const driver = ({ read, write }: SqliteClient["Service"]): Logs.Driver => ({
  append: (entries) =>
    Effect.suspend(() => {
      const rows = entries.map((entry): Row => ({ entry, body: JSON.stringify(entry) }))
      return write(during("append"), append(rows), { durable: false })
    }),
  page: (scope, query) =>
    read(during("page"), (sql) => {
      const { text, values } = queryText(scope, query)
      return sql(text)
        .all(...values)
        .map((row) => ({
          place: { at: number(row, "at"), id: String(number(row, "number")) },
          entry: json<LogEntry>(row, "entry")
        }))
    })
})

export const layer = Layer.effect(
  Logs.Logs,
  Effect.map(SqliteClient, (client) => Logs.make(driver(client)))
)
