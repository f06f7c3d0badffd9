/** The typed log, one row an entry, in order of arrival within one instant. Written without waiting for the disk. */
import type { SQLInputValue } from "node:sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { JobId } from "../../schemas/Ids.ts"
import type { LogEntry } from "../../schemas/JobRecord.ts"
import type { Scope } from "../JobRecords.ts"
import * as Logs from "../Logs.ts"
import { json } from "./RecordColumns.ts"
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

/** The statement for the conditions that are asked, and the values for its places. */
export const queryText = (scope: Scope, { type, jobId, from, to, limit }: Logs.LogQuery) => {
  const conditions: ReadonlyArray<readonly [string, SQLInputValue | undefined]> = [
    ["namespace_id = ?", scope._tag === "Namespace" ? scope.namespaceId : undefined],
    ["type = ?", type],
    ["job_id = ?", jobId],
    ["at >= ?", from ?? Number.MIN_SAFE_INTEGER],
    ["at < ?", to]
  ]
  const asked = conditions.flatMap(([condition, value]) => (value === undefined ? [] : [{ condition, value }]))
  const index =
    jobId === undefined
      ? `log_by_${scope._tag === "Operator" ? "time" : `namespace_${type === undefined ? "time" : "type"}`}`
      : "log_by_job"
  return {
    text: `SELECT entry FROM log INDEXED BY ${index} WHERE ${asked.map(({ condition }) => condition).join(" AND ")}
      ORDER BY at, number LIMIT ?`,
    values: [...asked.map(({ value }) => value), Math.max(limit, 0)]
  }
}

const driver = ({ read, write }: SqliteClient["Service"]): Logs.Driver => ({
  append: (entries) =>
    Effect.suspend(() => {
      const rows = entries.map((entry): Row => ({ entry, body: JSON.stringify(entry) }))
      return write(during("append"), append(rows), { durable: false })
    }),
  query: (scope, query) =>
    read(during("query"), (sql) => {
      const { text, values } = queryText(scope, query)
      return sql(text)
        .all(...values)
        .map((row) => json<LogEntry>(row, "entry"))
    })
})

export const layer = Layer.effect(
  Logs.Logs,
  Effect.map(SqliteClient, (client) => Logs.make(driver(client)))
)
