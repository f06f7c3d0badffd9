/** Days of rollups that leave the embedded database and come back. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { DAY_MS, type RollupRow } from "../../schemas/Rollup.ts"
import type { SegmentId } from "../../schemas/Archive.ts"
import { DEFINITIONS, TABLES } from "../RollupColumns.ts"
import { type AwayDay, make, RollupDays } from "../RollupDays.ts"
import { closedUntil, putRows } from "./RollupRows.ts"
import { SqliteClient } from "./SqliteClient.ts"
import type { Sql } from "./Statements.ts"

const during = (method: string) => ({ of: "RollupDays", method })

export const layer: Layer.Layer<RollupDays, never, SqliteClient> = Layer.effect(
  RollupDays,
  Effect.gen(function* () {
    const { read, write } = yield* SqliteClient
    return make({
      held: (from, to) => read(during("held"), (sql) => held(sql, from, to)),
      away: (from, to) => read(during("away"), (sql) => sql(AWAY).all(from, to).map(awayOf)),
      drop: (day, max) => write(during("drop"), (sql) => Result.succeed(drop(sql, day, max))),
      put: (day, rows) => write(during("put"), (sql) => Result.succeed(put(sql, day, rows))),
      settle: (day) => write(during("settle"), (sql) => Result.succeed(settle(sql, day)))
    })
  })
)

const HELD = DEFINITIONS.map(
  (definition) => `SELECT period - period % ${DAY_MS} AS day, count(*) AS rows FROM ${TABLES[definition].name}
    WHERE period >= :from AND period < :to GROUP BY 1`
).join(" UNION ALL ")

const held = (sql: Sql, from: number, to: number) =>
  sql(`SELECT day, sum(rows) AS rows FROM (${HELD}) GROUP BY day ORDER BY day`)
    .all({ from, to })
    .map((stored) => ({ day: Number(stored["day"]), rows: Number(stored["rows"]) }))

const AWAY = "SELECT day, segments, rows, at FROM rollup_day WHERE day >= ? AND day < ? ORDER BY day"

const awayOf = (stored: Record<string, unknown>): AwayDay => ({
  day: Number(stored["day"]),
  segments: JSON.parse(stored["segments"] as string) as ReadonlyArray<SegmentId>,
  rows: Number(stored["rows"]),
  at: Number(stored["at"])
})

const countOf = (sql: Sql, day: number): number => held(sql, day, day + DAY_MS)[0]?.rows ?? 0

const awayDay = (sql: Sql, day: number): AwayDay | null => {
  const [stored] = sql(AWAY).all(day, day + 1)
  return stored === undefined ? null : awayOf(stored)
}

const drop = (sql: Sql, { day, segments, rows, at }: AwayDay, max: number): number | null => {
  if (awayDay(sql, day) === null) {
    const isClosed = DEFINITIONS.every((definition) => closedUntil(sql, definition) > day + DAY_MS)
    if (!isClosed || countOf(sql, day) !== rows) return null
    sql("INSERT INTO rollup_day (day, segments, rows, at) VALUES (?, ?, ?, ?)").run(
      day,
      JSON.stringify(segments),
      rows,
      at
    )
  }
  let left = max
  for (const definition of DEFINITIONS) {
    const { name, key } = TABLES[definition]
    left -= Number(
      sql(`DELETE FROM ${name} WHERE (period, ${key}) IN
        (SELECT period, ${key} FROM ${name} WHERE period >= ? AND period < ? LIMIT max(?, 0))`).run(
        day,
        day + DAY_MS,
        left
      ).changes
    )
  }
  return max - left
}

const put = (sql: Sql, day: number, rows: ReadonlyArray<RollupRow>): boolean => {
  if (awayDay(sql, day) === null) return false
  putRows(sql, rows, "IGNORE")
  return true
}

const settle = (sql: Sql, day: number): boolean => {
  const away = awayDay(sql, day)
  if (away === null || countOf(sql, day) !== away.rows) return false
  sql("DELETE FROM rollup_day WHERE day = ?").run(day)
  return true
}
