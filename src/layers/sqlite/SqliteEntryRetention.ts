/** Marks on rows of log entries and incidents, and their deletion. Marks and deletions are durable before they are told. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { EntryClass, SegmentId } from "../../schemas/Archive.ts"
import type { NamespaceId } from "../../schemas/Ids.ts"
import type { Incident } from "../../schemas/Incident.ts"
import type { LogEntry } from "../../schemas/JobRecord.ts"
import * as EntryRetention from "../EntryRetention.ts"
import { json, maybe, number, type Row, word } from "./RecordColumns.ts"
import { type During, type Sql, SqliteClient } from "./SqliteClient.ts"

const during = (method: keyof EntryRetention.Driver): During => ({ of: "EntryRetention", method })

interface Table {
  readonly table: string
  readonly id: string
  readonly marked: string
  readonly toEntry: (row: Row) => EntryRetention.Entry
  /** Those of one namespace, and those of nobody's. */
  readonly expired: { readonly own: string; readonly nobody: string }
}

const OF_NO_LIVE_JOB =
  "(job_id IS NULL OR NOT EXISTS (SELECT 1 FROM record WHERE record.job_id = log.job_id)) AND segment_id IS NULL"

export const TABLES: Readonly<Record<EntryClass, Table>> = {
  logs: {
    table: "log",
    id: "number",
    marked: "log_marked",
    toEntry: (row) => ({
      _tag: "log",
      id: String(row["id"]),
      at: number(row, "at"),
      entry: json<LogEntry>(row, "body")
    }),
    expired: {
      own: `SELECT number AS id FROM log INDEXED BY log_by_namespace_time
        WHERE namespace_id = ? AND at < ? AND ${OF_NO_LIVE_JOB} ORDER BY at, number LIMIT ?`,
      // Every entry is of a namespace.
      nobody: "SELECT number AS id FROM log WHERE namespace_id IS ? AND at < ? AND 0 LIMIT ?"
    }
  },
  incidents: {
    table: "incident",
    id: "id",
    marked: "incident_marked",
    toEntry: (row) => ({
      _tag: "incident",
      id: String(row["id"]),
      at: number(row, "at"),
      entry: json<Incident>(row, "body")
    }),
    expired: {
      own: `SELECT id FROM incident INDEXED BY incident_by_namespace
        WHERE namespace_id = ? AND at < ? AND segment_id IS NULL ORDER BY at, id LIMIT ?`,
      nobody: `SELECT id FROM incident INDEXED BY incident_by_time
        WHERE namespace_id IS ? AND at < ? AND segment_id IS NULL ORDER BY at, id LIMIT ?`
    }
  }
}

const bodyOf: Readonly<Record<EntryClass, string>> = { logs: "entry", incidents: "body" }

const mark = (dataClass: EntryClass, segmentId: SegmentId, ids: ReadonlyArray<string>) => (sql: Sql) => {
  const { table, id, marked } = TABLES[dataClass]
  const set = sql(`UPDATE ${table} SET segment_id = ? WHERE ${id} = ? AND segment_id IS NULL`)
  for (const each of ids) set.run(segmentId, each)
  const row = sql(`SELECT count(*) AS marked FROM ${table} INDEXED BY ${marked} WHERE segment_id = ?`).get(segmentId)
  return Result.succeed(Number(row?.["marked"]))
}

const retiring = (sql: Sql): ReadonlyArray<EntryRetention.RetiringEntries> =>
  (["logs", "incidents"] as const).flatMap((dataClass) => {
    const { table, marked } = TABLES[dataClass]
    return sql(`SELECT segment_id, namespace_id, count(*) AS entries FROM ${table} INDEXED BY ${marked}
      WHERE segment_id IS NOT NULL GROUP BY segment_id, namespace_id ORDER BY segment_id`)
      .all()
      .map((row) => ({
        segmentId: word<SegmentId>(row, "segment_id"),
        dataClass,
        namespaceId: maybe(row, "namespace_id", word<NamespaceId>),
        count: number(row, "entries")
      }))
  })

const readMarked = (sql: Sql, dataClass: EntryClass, segmentId: SegmentId): ReadonlyArray<EntryRetention.Entry> => {
  const { table, id, marked, toEntry } = TABLES[dataClass]
  return sql(`SELECT ${id} AS id, at, ${bodyOf[dataClass]} AS body FROM ${table} INDEXED BY ${marked}
    WHERE segment_id = ? ORDER BY at, ${id}`)
    .all(segmentId)
    .map(toEntry)
}

const driver = ({ read, write }: SqliteClient["Service"]): EntryRetention.Driver => ({
  expired: (dataClass, namespaceId, before, limit) =>
    read(during("expired"), (sql) =>
      sql(TABLES[dataClass].expired[namespaceId === null ? "nobody" : "own"])
        .all(namespaceId, before, Math.max(limit, 0))
        .map((row) => String(row["id"]))
    ),
  mark: (dataClass, segmentId, ids) => write(during("mark"), mark(dataClass, segmentId, ids)),
  retiring: read(during("retiring"), retiring),
  read: (dataClass, segmentId) => read(during("read"), (sql) => readMarked(sql, dataClass, segmentId)),
  prune: (dataClass, segmentId) =>
    write(during("prune"), (sql) => {
      const { table, marked } = TABLES[dataClass]
      return Result.succeed(
        Number(sql(`DELETE FROM ${table} INDEXED BY ${marked} WHERE segment_id = ?`).run(segmentId).changes)
      )
    })
})

export const layer = Layer.effect(
  EntryRetention.EntryRetention,
  Effect.map(SqliteClient, (client) => EntryRetention.make(driver(client)))
)
