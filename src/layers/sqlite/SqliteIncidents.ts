/** Incidents, one row each; the first telling of an id stands. Written without waiting for the disk, since rejections may come in floods. */
import type { SQLInputValue } from "node:sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { Incident } from "../../schemas/Incident.ts"
import * as Incidents from "../Incidents.ts"
import type { Scope } from "../JobRecords.ts"
import { freeText, json } from "./RecordColumns.ts"
import { type During, type Sql, SqliteClient } from "./SqliteClient.ts"

const during = (method: keyof Incidents.Driver): During => ({ of: "Incidents", method })

interface Row {
  readonly incident: Incident
  readonly body: string
}

const raise = (rows: ReadonlyArray<Row>) => (sql: Sql) => {
  const insert = sql(
    `INSERT INTO incident (id, namespace_id, kind, type, subject, at, body) VALUES (?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO NOTHING`
  )
  for (const { incident, body } of rows) {
    const { id, namespaceId, kind, type, subject, at } = incident
    insert.run(id, namespaceId, kind, type, freeText(subject), at, body)
  }
  return Result.void
}

/** Most selective first: the first condition asked for chooses the index. */
const indexOf = (scope: Scope, { kind, type, subject }: Incidents.IncidentQuery): string => {
  if (subject !== undefined) return "incident_by_subject"
  if (scope._tag === "Namespace") return "incident_by_namespace"
  if (type !== undefined) return "incident_by_type"
  return kind === undefined ? "incident_by_time" : "incident_by_kind"
}

export const listText = (scope: Scope, query: Incidents.IncidentQuery) => {
  const { kind, type, subject, from, to, limit } = query
  const conditions: ReadonlyArray<readonly [string, SQLInputValue | undefined]> = [
    ["namespace_id = ?", scope._tag === "Namespace" ? scope.namespaceId : undefined],
    ["kind = ?", kind],
    ["type = ?", type],
    ["subject = ?", subject === undefined ? undefined : freeText(subject)],
    ["at >= ?", from ?? Number.MIN_SAFE_INTEGER],
    ["at < ?", to]
  ]
  const asked = conditions.flatMap(([condition, value]) => (value === undefined ? [] : [{ condition, value }]))
  return {
    text: `SELECT body FROM incident INDEXED BY ${indexOf(scope, query)}
      WHERE ${asked.map(({ condition }) => condition).join(" AND ")} ORDER BY at DESC, id DESC LIMIT ?`,
    values: [...asked.map(({ value }) => value), Math.max(limit, 0)]
  }
}

export const AFTER = `SELECT body FROM incident INDEXED BY incident_by_time WHERE (at, id) > (?, ?) AND at < ?
  ORDER BY at, id LIMIT ?`

const driver = ({ read, write }: SqliteClient["Service"]): Incidents.Driver => ({
  raise: (incidents) =>
    Effect.suspend(() => {
      const rows = incidents.map((incident): Row => ({ incident, body: JSON.stringify(incident) }))
      return write(during("raise"), raise(rows), { durable: false })
    }),
  list: (scope, query) =>
    read(during("list"), (sql) => {
      const { text, values } = listText(scope, query)
      return sql(text)
        .all(...values)
        .map((row) => json<Incident>(row, "body"))
    }),
  after: (place, to, limit) =>
    read(during("after"), (sql) =>
      sql(AFTER)
        .all(place.at, place.id, to, limit)
        .map((row) => json<Incident>(row, "body"))
    )
})

export const layer = Layer.effect(
  Incidents.Incidents,
  Effect.map(SqliteClient, (client) => Incidents.make(driver(client)))
)
