/** Closes hours: moves the watermark of a definition, as far as it is true that nothing before it changes any more. */
import type { Environment } from "../../schemas/Job.ts"
import { type AccountRollup, type CreditRollup, HOUR_MS, type RollupDefinition } from "../../schemas/Rollup.ts"
import { rollupOf } from "../RollupColumns.ts"
import { type Counted, movedIn, nextAccount } from "../RollupFold.ts"
import { closedUntil, putRows, saveClosed, selectFrom } from "./RollupRows.ts"
import type { Sql } from "./Statements.ts"

export const close = (sql: Sql, definition: RollupDefinition, until: number, hoursMax: number): number => {
  const before = closedUntil(sql, definition)
  switch (definition) {
    case "credits":
      return until > before ? saveClosed(sql, definition, until) : before
    case "jobs": {
      const end = Math.min(until, closedUntil(sql, "credits"))
      return end > before && !isBehind(sql, before, end) ? saveClosed(sql, definition, end) : before
    }
    case "accounts": {
      const end = Math.min(until, closedUntil(sql, "jobs"))
      return end > before ? saveClosed(sql, definition, closeAccounts(sql, before, end, hoursMax)) : before
    }
  }
}

/** Whether jobs did not take an entry yet that credits put into these hours. */
const isBehind = (sql: Sql, from: number, to: number): boolean =>
  sql(`SELECT 1 FROM rollup_credits AS row JOIN rollup_place AS place ON place.namespace_id = row.namespace_id
    WHERE row.period >= ? AND row.period < ? AND row.last_seq > place.jobs_seq LIMIT 1`).get(from, to) !== undefined

/** Answers where it came to. Accounts begin with the first hour in which credits moved. */
const closeAccounts = (sql: Sql, before: number, until: number, hoursMax: number): number => {
  const first = sql("SELECT min(period) AS first FROM rollup_credits").get()?.["first"]
  const from = before > 0 ? before : Math.min(first === null || first === undefined ? until : Number(first), until)
  const to = Math.min(until, from + hoursMax * HOUR_MS)
  for (let period = from; period < to; period += HOUR_MS) putRows(sql, accountsOf(sql, period), "REPLACE")
  return to
}

const COUNTED = `SELECT namespace.environment, count(DISTINCT namespace.id) AS namespaces, count(api_key.id) AS keys
  FROM namespace LEFT JOIN api_key ON api_key.namespace_id = namespace.id AND api_key.created_at < :end
    AND (api_key.revoked_at IS NULL OR api_key.revoked_at >= :end) AND (api_key.expires_at IS NULL OR api_key.expires_at >= :end)
  WHERE namespace.created_at < :end GROUP BY namespace.environment`

const accountsOf = (sql: Sql, period: number): ReadonlyArray<AccountRollup> => {
  const counted = sql(COUNTED)
    .all({ end: period + HOUR_MS })
    .map((stored) => ({
      environment: stored["environment"] as Environment,
      namespaces: Number(stored["namespaces"]),
      keys: Number(stored["keys"])
    }))
  const moved = sql(`${selectFrom("credits")} WHERE period = ?`).all(period)
  const payers = new Map(
    sql(`SELECT id, environment FROM namespace WHERE id IN (SELECT namespace_id FROM rollup_credits WHERE period = ?)`)
      .all(period)
      .map((stored) => [stored["id"], stored["environment"] as Environment])
  )
  const environments = new Set([...counted.map(({ environment }) => environment), ...payers.values()])
  return [...environments].map((environment) => {
    const count: Counted = counted.find((one) => one.environment === environment) ?? {
      environment,
      namespaces: 0,
      keys: 0
    }
    const own = moved.filter((stored) => payers.get(stored["namespaceId"]) === environment)
    const rows = own.map((stored) => rollupOf("credits", stored) as CreditRollup)
    return nextAccount(period, count, accountBefore(sql, period, environment), movedIn(rows))
  })
}

const accountBefore = (sql: Sql, period: number, environment: Environment): AccountRollup | null => {
  const stored = sql(`${selectFrom("accounts")} WHERE environment = ? AND period < ? ORDER BY period DESC LIMIT 1`).get(
    environment,
    period
  )
  return stored === undefined ? null : (rollupOf("accounts", stored) as AccountRollup)
}
