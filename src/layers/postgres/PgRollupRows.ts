/** Rows of rollups and the places of namespaces, read and written whole inside a transaction of their caller: one statement for many, as one JSON text. */
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { NamespaceId } from "../../schemas/Ids.ts"
import { keyOf, type RollupDefinition, type RollupRow } from "../../schemas/Rollup.ts"
import { type ColumnKind, DEFINITIONS, type RollupTable, rollupOf, TABLES, valuesOf } from "../RollupColumns.ts"
import type { Standing } from "../RollupFold.ts"
import { text, whole } from "./PgValues.ts"

const TYPES: Readonly<Record<ColumnKind, string>> = { text: "text", whole: "bigint", amount: "numeric" }

const named = ({ name, columns }: RollupTable): string =>
  columns
    .map(({ column, field, kind }) => `${name}.${column}${kind === "amount" ? "::text" : ""} AS "${field}"`)
    .join(", ")

export const selectFrom = (definition: RollupDefinition): string =>
  `SELECT ${named(TABLES[definition])} FROM ${TABLES[definition].name}`

export const rowsOf = (definition: RollupDefinition, stored: ReadonlyArray<Record<string, unknown>>) =>
  stored.map((row) => rollupOf(definition, row))

const insertInto = ({ name, key, columns }: RollupTable, otherwise: "UPDATE" | "NOTHING"): string => {
  const all = [...columns, ...(key === "key" ? [{ column: "key", kind: "text" as const }] : [])]
  const list = all.map(({ column }) => column).join(", ")
  const becomes =
    otherwise === "NOTHING"
      ? "NOTHING"
      : `UPDATE SET ${all.map(({ column }) => `${column} = excluded.${column}`).join(", ")}`
  return `INSERT INTO ${name} (${list})
    SELECT ${list} FROM json_to_recordset($1::json) AS given (${all.map(({ column, kind }) => `${column} ${TYPES[kind]}`).join(", ")})
    ON CONFLICT (period, ${key}) DO ${becomes}`
}

const jsonOf = (row: RollupRow): Record<string, string | number> => {
  const { key, columns } = TABLES[row.definition]
  const values = valuesOf(row)
  const fields = columns.map(({ column }, at) => [column, values[at] ?? ""] as const)
  return { ...Object.fromEntries(fields), ...(key === "key" ? { key: keyOf(row) } : {}) }
}

/** @param otherwise what becomes of a row that is there: UPDATE or NOTHING */
export const putRows = Effect.fnUntraced(function* (
  sql: SqlClient,
  rows: ReadonlyArray<RollupRow>,
  otherwise: "UPDATE" | "NOTHING"
): Effect.fn.Return<void, SqlError> {
  for (const definition of DEFINITIONS) {
    const own = rows.filter((row) => row.definition === definition)
    if (own.length === 0) continue
    yield* sql.unsafe(insertInto(TABLES[definition], otherwise), [text(JSON.stringify(own.map(jsonOf)))])
  }
})

export interface StoredPlace {
  readonly namespace_id: NamespaceId
  readonly seq: bigint
  readonly period: bigint
  readonly granted: bigint
  readonly available: bigint
  readonly reserved: bigint
  readonly spent: bigint
  readonly open_jobs: bigint
}

export const standingOf = (stored: StoredPlace): Standing => ({
  seq: Number(stored.seq),
  period: Number(stored.period),
  granted: stored.granted,
  available: stored.available,
  reserved: stored.reserved,
  spent: stored.spent,
  openJobs: Number(stored.open_jobs)
})

const SAVE_PLACES = `INSERT INTO rollup_place AS place (namespace_id, seq, jobs_seq, period, granted, available, reserved, spent, open_jobs)
  SELECT namespace_id, seq, 0, period, granted, available, reserved, spent, open_jobs FROM json_to_recordset($1::json)
    AS given (namespace_id text, seq bigint, period bigint, granted bigint, available bigint, reserved bigint, spent bigint, open_jobs bigint)
  ON CONFLICT (namespace_id) DO UPDATE SET seq = excluded.seq, period = excluded.period, granted = excluded.granted,
    available = excluded.available, reserved = excluded.reserved, spent = excluded.spent, open_jobs = excluded.open_jobs`

export const savePlaces = (sql: SqlClient, places: ReadonlyMap<NamespaceId, Standing>) =>
  sql.unsafe(SAVE_PLACES, [
    text(
      JSON.stringify(
        [...places].map(([namespaceId, { granted, available, reserved, spent, seq, period, openJobs }]) => ({
          namespace_id: namespaceId,
          seq,
          period,
          granted: String(granted),
          available: String(available),
          reserved: String(reserved),
          spent: String(spent),
          open_jobs: openJobs
        }))
      )
    )
  ])

/** How far a definition is closed. Held until the transaction ends, so that bookings and closings of one definition come one after the other. */
export const heldUntil = (sql: SqlClient, definition: RollupDefinition) =>
  Effect.map(
    sql.unsafe<{ closed_until: bigint }>(
      "SELECT closed_until FROM rollup_progress WHERE definition = $1 FOR NO KEY UPDATE",
      [text(definition)]
    ),
    ([stored]) => Number(stored?.closed_until ?? 0)
  )

export const closedUntil = (sql: SqlClient, definition: RollupDefinition) =>
  Effect.map(
    sql.unsafe<{ closed_until: bigint }>("SELECT closed_until FROM rollup_progress WHERE definition = $1", [
      text(definition)
    ]),
    ([stored]) => Number(stored?.closed_until ?? 0)
  )

export const saveClosed = (sql: SqlClient, definition: RollupDefinition, until: number) =>
  Effect.as(
    sql.unsafe("UPDATE rollup_progress SET closed_until = $2 WHERE definition = $1", [text(definition), whole(until)]),
    until
  )
