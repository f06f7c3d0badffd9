/** Rows of rollups and the places of namespaces, read and written whole inside a transaction of their caller. */
import type { NamespaceId } from "../../schemas/Ids.ts"
import {
  type CreditRollup,
  keyOf,
  type JobRollup,
  type RollupDefinition,
  type RollupRow
} from "../../schemas/Rollup.ts"
import { type RollupTable, rollupOf, TABLES, valuesOf } from "../RollupColumns.ts"
import { nothingYet, type Standing } from "../RollupFold.ts"
import type { Sql } from "./Statements.ts"

const named = ({ columns }: RollupTable): string =>
  columns.map(({ column, field }) => `${column} AS "${field}"`).join(", ")

export const selectFrom = (definition: RollupDefinition): string =>
  `SELECT ${named(TABLES[definition])} FROM ${TABLES[definition].name}`

export const rowsOf = (definition: RollupDefinition, stored: ReadonlyArray<Record<string, unknown>>) =>
  stored.map((row) => rollupOf(definition, row))

/** @param otherwise what becomes of a row that is there: REPLACE or IGNORE */
export const putRows = (sql: Sql, rows: ReadonlyArray<RollupRow>, otherwise: "REPLACE" | "IGNORE"): void => {
  for (const row of rows) {
    const { name, key, columns } = TABLES[row.definition]
    const more = key === "key" ? ["key"] : []
    const all = [...columns.map(({ column }) => column), ...more]
    sql(`INSERT OR ${otherwise} INTO ${name} (${all.join(", ")}) VALUES (${all.map(() => "?").join(", ")})`).run(
      ...valuesOf(row),
      ...(more.length === 0 ? [] : [keyOf(row)])
    )
  }
}

export const creditRow = (sql: Sql, namespaceId: NamespaceId, period: number): CreditRollup | null => {
  const stored = sql(`${selectFrom("credits")} WHERE period = ? AND namespace_id = ?`).get(period, namespaceId)
  return stored === undefined ? null : (rollupOf("credits", stored) as CreditRollup)
}

export const jobRow = (sql: Sql, row: JobRollup): JobRollup | null => {
  const stored = sql(`${selectFrom("jobs")} WHERE period = ? AND key = ?`).get(row.period, keyOf(row))
  return stored === undefined ? null : (rollupOf("jobs", stored) as JobRollup)
}

export const placeOf = (sql: Sql, namespaceId: NamespaceId): Standing => {
  const stored = sql("SELECT * FROM rollup_place WHERE namespace_id = ?").get(namespaceId)
  if (stored === undefined) return nothingYet
  const amount = (name: string) => BigInt(stored[name] as string)
  return {
    seq: Number(stored["seq"]),
    period: Number(stored["period"]),
    granted: amount("granted"),
    available: amount("available"),
    reserved: amount("reserved"),
    spent: amount("spent"),
    openJobs: Number(stored["open_jobs"])
  }
}

export const savePlace = (sql: Sql, namespaceId: NamespaceId, standing: Standing): void => {
  sql(`INSERT INTO rollup_place (namespace_id, seq, jobs_seq, period, granted, available, reserved, spent, open_jobs)
    VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (namespace_id) DO UPDATE SET seq = excluded.seq, period = excluded.period, granted = excluded.granted,
      available = excluded.available, reserved = excluded.reserved, spent = excluded.spent, open_jobs = excluded.open_jobs`).run(
    namespaceId,
    standing.seq,
    standing.period,
    String(standing.granted),
    String(standing.available),
    String(standing.reserved),
    String(standing.spent),
    standing.openJobs
  )
}

export const closedUntil = (sql: Sql, definition: RollupDefinition): number =>
  Number(sql("SELECT closed_until FROM rollup_progress WHERE definition = ?").get(definition)?.["closed_until"])

export const saveClosed = (sql: Sql, definition: RollupDefinition, until: number): number => {
  sql("UPDATE rollup_progress SET closed_until = ? WHERE definition = ?").run(until, definition)
  return until
}
