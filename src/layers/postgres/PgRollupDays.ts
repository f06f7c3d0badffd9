/** Days of rollups that leave PostgreSQL and come back. Whoever changes a day holds its row, so dropping and restoring it do not mix. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SegmentId } from "../../schemas/Archive.ts"
import { DAY_MS, type RollupRow } from "../../schemas/Rollup.ts"
import { DEFINITIONS, TABLES } from "../RollupColumns.ts"
import { type AwayDay, make, RollupDays } from "../RollupDays.ts"
import { PgClient } from "./PgClient.ts"
import { closedUntil, putRows } from "./PgRollupRows.ts"
import { limited, text, whole } from "./PgValues.ts"

const during = (method: string) => ({ of: "RollupDays", method })

export const layer: Layer.Layer<RollupDays, never, PgClient> = Layer.effect(
  RollupDays,
  Effect.map(PgClient, ({ sql, query, survey, transaction }) =>
    make({
      held: (from, to) =>
        Effect.map(survey<StoredCount>(during("held"), heldIn(from, to)), (days) => days.map(countedOf)),
      away: (from, to) =>
        Effect.map(query<StoredDay>(during("away"), AWAY, [whole(from), whole(to)]), (days) => days.map(awayOf)),
      drop: (day, max) => transaction(during("drop"), drop(sql, day, max)),
      put: (day, rows) => transaction(during("put"), put(sql, day, rows)),
      settle: (day) => transaction(during("settle"), settle(sql, day))
    })
  )
)

interface StoredCount {
  readonly day: bigint
  readonly rows: bigint
}

const countedOf = ({ day, rows }: StoredCount) => ({ day: Number(day), rows: Number(rows) })

/** Instants are written into the text: a survey takes its time and no parameters. */
const heldIn = (from: number, to: number): string => {
  const counts = DEFINITIONS.map(
    (definition) => `SELECT period - period % ${DAY_MS} AS day, count(*) AS rows FROM ${TABLES[definition].name}
      WHERE period >= ${Math.trunc(from)} AND period < ${Math.trunc(to)} GROUP BY 1`
  ).join(" UNION ALL ")
  return `SELECT day, sum(rows)::bigint AS rows FROM (${counts}) AS counted GROUP BY day ORDER BY day`
}

const countOf = (sql: SqlClient, day: number) =>
  Effect.map(sql.unsafe<StoredCount>(heldIn(day, day + DAY_MS)), ([counted]) => Number(counted?.rows ?? 0))

interface StoredDay {
  readonly day: bigint
  readonly segments: string
  readonly rows: bigint
  readonly at: bigint
}

const AWAY = "SELECT day, segments, rows, at FROM rollup_day WHERE day >= $1 AND day < $2 ORDER BY day"

const awayOf = (stored: StoredDay): AwayDay => ({
  day: Number(stored.day),
  segments: JSON.parse(stored.segments) as ReadonlyArray<SegmentId>,
  rows: Number(stored.rows),
  at: Number(stored.at)
})

/** Held until the transaction ends. null: the day is not away. */
const heldDay = (sql: SqlClient, day: number) =>
  Effect.map(
    sql.unsafe<StoredDay>("SELECT day, segments, rows, at FROM rollup_day WHERE day = $1 FOR UPDATE", [whole(day)]),
    ([stored]) => (stored === undefined ? null : awayOf(stored))
  )

const begin = Effect.fnUntraced(function* (sql: SqlClient, { day, segments, rows, at }: AwayDay) {
  for (const definition of DEFINITIONS) {
    if ((yield* closedUntil(sql, definition)) <= day + DAY_MS) return false
  }
  if ((yield* countOf(sql, day)) !== rows) return false
  yield* sql.unsafe("INSERT INTO rollup_day (day, segments, rows, at) VALUES ($1, $2, $3, $4)", [
    whole(day),
    text(JSON.stringify(segments)),
    whole(rows),
    whole(at)
  ])
  return true
})

const drop = Effect.fnUntraced(function* (sql: SqlClient, asked: AwayDay, max: number) {
  // Two who begin the same day would find both that it is there.
  yield* sql.unsafe("LOCK TABLE rollup_day IN SHARE ROW EXCLUSIVE MODE")
  const { day } = asked
  if ((yield* heldDay(sql, day)) === null && !(yield* begin(sql, asked))) return null
  let left = max
  for (const definition of DEFINITIONS) {
    const { name, key } = TABLES[definition]
    const gone = yield* sql.unsafe(
      `DELETE FROM ${name} WHERE (period, ${key}) IN
        (SELECT period, ${key} FROM ${name} WHERE period >= $1 AND period < $2 LIMIT $3) RETURNING 1`,
      [whole(day), whole(day + DAY_MS), limited(left)]
    )
    left -= gone.length
  }
  return max - left
})

const put = Effect.fnUntraced(function* (sql: SqlClient, day: number, rows: ReadonlyArray<RollupRow>) {
  if ((yield* heldDay(sql, day)) === null) return false
  yield* putRows(sql, rows, "NOTHING")
  return true
})

const settle = Effect.fnUntraced(function* (sql: SqlClient, day: number) {
  const away = yield* heldDay(sql, day)
  if (away === null || (yield* countOf(sql, day)) !== away.rows) return false
  yield* sql.unsafe("DELETE FROM rollup_day WHERE day = $1", [whole(day)])
  return true
})
