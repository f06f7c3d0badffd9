/** Closes hours: moves the watermark of a definition, as far as it is true that nothing before it changes any more. */
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Environment } from "../../schemas/Job.ts"
import { type AccountRollup, HOUR_MS, type RollupDefinition } from "../../schemas/Rollup.ts"
import { type Counted, movedIn, nextAccount, type Moved } from "../RollupFold.ts"
import { closedUntil, heldUntil, putRows, rowsOf, saveClosed, selectFrom } from "./PgRollupRows.ts"
import { text, whole } from "./PgValues.ts"

export const close = Effect.fnUntraced(function* (
  sql: SqlClient,
  definition: RollupDefinition,
  until: number,
  hoursMax: number
) {
  const before = yield* heldUntil(sql, definition)
  switch (definition) {
    case "credits":
      return until > before ? yield* saveClosed(sql, definition, until) : before
    case "jobs": {
      const end = Math.min(until, yield* closedUntil(sql, "credits"))
      if (end <= before || (yield* isBehind(sql, before, end))) return before
      return yield* saveClosed(sql, definition, end)
    }
    case "accounts": {
      const end = Math.min(until, yield* closedUntil(sql, "jobs"))
      return end > before
        ? yield* saveClosed(sql, definition, yield* closeAccounts(sql, before, end, hoursMax))
        : before
    }
  }
})

/** Whether jobs did not take an entry yet that credits put into these hours. */
const isBehind = (sql: SqlClient, from: number, to: number) =>
  Effect.map(
    sql.unsafe(
      `SELECT 1 FROM rollup_place AS place JOIN rollup_credits AS row ON row.namespace_id = place.namespace_id
        AND row.last_seq > place.jobs_seq AND row.period >= $1 AND row.period < $2
        WHERE place.jobs_seq < place.seq LIMIT 1`,
      [whole(from), whole(to)]
    ),
    (rows) => rows.length > 0
  )

/** Answers where it came to. Accounts begin with the first hour in which credits moved. */
const closeAccounts = Effect.fnUntraced(function* (sql: SqlClient, before: number, until: number, hoursMax: number) {
  const [stored] = yield* sql.unsafe<{ first: bigint | null }>("SELECT min(period) AS first FROM rollup_credits")
  const from = before > 0 ? before : Math.min(Number(stored?.first ?? until), until)
  const to = Math.min(until, from + hoursMax * HOUR_MS)
  for (let period = from; period < to; period += HOUR_MS) yield* putRows(sql, yield* accountsOf(sql, period), "UPDATE")
  return to
})

const COUNTED = `SELECT environment, count(*)::int AS namespaces, (
    SELECT count(*) FROM api_key JOIN namespace AS owner ON owner.id = api_key.namespace_id
    WHERE owner.environment = namespace.environment AND api_key.created_at < $1
      AND (revoked_at IS NULL OR revoked_at >= $1) AND (expires_at IS NULL OR expires_at >= $1)
  )::int AS keys
  FROM namespace WHERE created_at < $1 GROUP BY environment`

const MOVED = `SELECT namespace.environment, sum(opened)::bigint AS opened, sum(ended)::bigint AS ended, sum(granted)::text AS granted,
    sum(reserved)::text AS reserved, sum(settled)::text AS settled, sum(refunded)::text AS refunded
  FROM rollup_credits JOIN namespace ON namespace.id = rollup_credits.namespace_id
  WHERE period = $1 GROUP BY namespace.environment`

interface StoredMoves {
  readonly environment: Environment
  readonly opened: bigint
  readonly ended: bigint
  readonly granted: string
  readonly reserved: string
  readonly settled: string
  readonly refunded: string
}

const movesOf = (stored: StoredMoves): Moved => ({
  opened: Number(stored.opened),
  ended: Number(stored.ended),
  granted: BigInt(stored.granted),
  reserved: BigInt(stored.reserved),
  settled: BigInt(stored.settled),
  refunded: BigInt(stored.refunded)
})

const accountsOf = Effect.fnUntraced(function* (sql: SqlClient, period: number) {
  const counted = yield* sql.unsafe<Counted>(COUNTED, [whole(period + HOUR_MS)])
  const moved = yield* sql.unsafe<StoredMoves>(MOVED, [whole(period)])
  const rows: Array<AccountRollup> = []
  for (const environment of new Set([...counted, ...moved].map((row) => row.environment))) {
    const count = counted.find((one) => one.environment === environment) ?? { environment, namespaces: 0, keys: 0 }
    const moves = moved.filter((one) => one.environment === environment).map(movesOf)
    const before = yield* sql.unsafe<Record<string, unknown>>(
      `${selectFrom("accounts")} WHERE environment = $1 AND period < $2 ORDER BY period DESC LIMIT 1`,
      [text(environment), whole(period)]
    )
    const [last = null] = rowsOf("accounts", before) as ReadonlyArray<AccountRollup>
    rows.push(nextAccount(period, count, last, movedIn(moves)))
  }
  return rows
})
