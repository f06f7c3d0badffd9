/**
 * Incidents, one row each; the first telling of an id stands. Written without waiting for the disk, since rejections may come in floods; what becomes of
 * an episode is waited for, because somebody is told of it.
 */
import type { SQLInputValue } from "node:sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { Incident } from "../../schemas/Incident.ts"
import * as Incidents from "../Incidents.ts"
import type { Scope } from "../JobRecords.ts"
import { OPEN } from "./EpisodesSchema.ts"
import { freeText } from "./RecordColumns.ts"
import { type During, type Sql, SqliteClient } from "./SqliteClient.ts"

const during = (method: keyof Incidents.Driver): During => ({ of: "Incidents", method })

interface Row {
  readonly incident: Incident
  readonly body: string
}

const COLUMNS = "id, namespace_id, kind, type, subject, at, body, key_id, number, sightings, closed_at"
const VALUES = ":id, :namespace, :kind, :type, :subject, :at, :body, :key, :number, :sightings, :closed"

const valuesOf = ({ incident, body }: Row) => {
  const { id, namespaceId, kind, type, subject, at, keyId, episode } = incident
  return {
    id,
    namespace: namespaceId,
    kind,
    type,
    subject: freeText(subject),
    at,
    body,
    key: keyId ?? null,
    number: episode?.number ?? null,
    sightings: episode?.sightings ?? null,
    closed: episode?.closedAt ?? null
  }
}

const rowOf = (incident: Incident): Row => ({ incident, body: JSON.stringify(incident) })

const raise = (rows: ReadonlyArray<Row>) => (sql: Sql) => {
  const insert = sql(`INSERT INTO incident (${COLUMNS}) VALUES (${VALUES}) ON CONFLICT DO NOTHING`)
  for (const row of rows) insert.run(valuesOf(row))
  return Result.void
}

const change = (row: Row, seen: number) => (sql: Sql) => {
  const { id, body, sightings, closed } = valuesOf(row)
  const { changes } = sql(`UPDATE incident SET body = :body, sightings = :sightings, closed_at = :closed
    WHERE id = :id AND sightings = :seen AND closed_at IS NULL`).run({ id, body, sightings, closed, seen })
  return Result.succeed(changes > 0)
}

const open = (row: Row) => (sql: Sql) => {
  const { changes } = sql(`INSERT INTO incident (${COLUMNS}) VALUES (${VALUES}) ON CONFLICT DO NOTHING`).run(
    valuesOf(row)
  )
  return Result.succeed(changes > 0)
}

export const LATEST = `SELECT body FROM incident INDEXED BY incident_by_number
  WHERE type = ? AND subject = ? AND number IS NOT NULL ORDER BY number DESC LIMIT 1`

/** Most selective first: the first condition asked for chooses the index. */
const indexOf = (scope: Scope, { kind, type, subject, open }: Incidents.IncidentQuery): string => {
  // Few are open, whatever else is asked.
  if (open !== undefined) return "incident_open_by_time"
  if (subject !== undefined) return "incident_by_subject"
  if (scope._tag === "Namespace") return "incident_by_namespace"
  if (type !== undefined) return "incident_by_type"
  return kind === undefined ? "incident_by_time" : "incident_by_kind"
}

export const listText = (scope: Scope, query: Incidents.IncidentQuery) => {
  const { kind, type, subject, open, from, to, limit } = query
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
      WHERE ${[...asked.map(({ condition }) => condition), ...(open === undefined ? [] : [OPEN])].join(" AND ")} ORDER BY at DESC, id DESC LIMIT ?`,
    values: [...asked.map(({ value }) => value), Math.max(limit, 0)]
  }
}

export const AFTER_END = `SELECT body FROM incident INDEXED BY incident_by_end
  WHERE closed_at IS NOT NULL AND (closed_at, id) > (?, ?) AND closed_at < ? ORDER BY closed_at, id LIMIT ?`

export const AFTER = `SELECT body FROM incident INDEXED BY incident_by_time WHERE (at, id) > (?, ?) AND at < ?
  ORDER BY at, id LIMIT ?`

const bodyOf = (row: { readonly body?: unknown } | undefined): string => String(row?.body)

const driver = ({ read, write }: SqliteClient["Service"]): Incidents.Driver => ({
  raise: (incidents) =>
    Effect.suspend(() => {
      const rows = incidents.map(rowOf)
      return write(during("raise"), raise(rows), { durable: false })
    }),
  list: (scope, query) =>
    read(during("list"), (sql) => {
      const { text, values } = listText(scope, query)
      return sql(text)
        .all(...values)
        .map((row) => Incidents.parsed(bodyOf(row)))
    }),
  after: (order, place, to, limit) =>
    read(during("after"), (sql) =>
      sql(order === "opened" ? AFTER : AFTER_END)
        .all(place.at, place.id, to, limit)
        .map((row) => Incidents.parsed(bodyOf(row)))
    ),
  latest: (type, subject) =>
    read(during("latest"), (sql) => {
      const row = sql(LATEST).get(type, freeText(subject))
      return row === undefined ? null : Incidents.parsedEpisode(bodyOf(row))
    }),
  put: (incident, seen) =>
    Effect.suspend(() => {
      const row = rowOf(incident)
      return write(during("put"), seen === null ? open(row) : change(row, seen))
    })
})

export const layer = Layer.effect(
  Incidents.Incidents,
  Effect.map(SqliteClient, (client) => Incidents.make(driver(client)))
)
