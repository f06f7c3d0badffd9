/**
 * Sums by group, stretch by stretch of the index of times: the database adds up a few thousand rows at once and hands their times over as one text, and
 * others have their turn in between, however many jobs there are. Costs are summed in two parts, because a sum that leaves 64 bits is an error in SQLite.
 */
import type { SQLInputValue } from "node:sqlite"
import * as Effect from "effect/Effect"
import type { Scope } from "../JobRecords.ts"
import { type Cursor, GROUPS_MAX, type StatsQuery } from "../JobSearch.ts"
import * as JobTally from "../JobTally.ts"
import { json, maybe, number, type Row, text, word } from "./RecordColumns.ts"
import { facetIndex } from "./RecordsSchema.ts"
import type { During, SqliteClient } from "./SqliteClient.ts"

const during: During = { of: "JobSearch", method: "stats" }

const GROUPS: Readonly<
  Record<JobTally.Grouping, { readonly column: string; readonly name: (row: Row, column: string) => string | null }>
> = {
  model: { column: "model", name: json },
  key: { column: "key_id", name: text },
  namespace: { column: "namespace_id", name: text },
  node: { column: "node_id", name: (row, column) => maybe(row, column, text) },
  hour: {
    column: `created_at / ${JobTally.HOUR_MS}`,
    name: (row, column) => JobTally.hourName(number(row, column))
  },
  day: { column: `created_at / ${JobTally.DAY_MS}`, name: (row, column) => JobTally.dayName(number(row, column)) }
}

const TIMES: Readonly<Record<JobTally.Latency, string>> = {
  queueMs: "queue_ms",
  firstTokenMs: "first_token_ms",
  totalMs: "total_ms"
}

const BILLION = 1_000_000_000
/** Rows that are added up in one go. */
const STRETCH = 2_000

/** From one place in the order of time, exclusive, up to another, inclusive. */
interface Stretch {
  readonly after: Cursor | { readonly createdAt: number; readonly jobId: "" }
  readonly last: Cursor
}

const scoped = (scope: Scope) => ({
  from: `record INDEXED BY ${facetIndex(null, scope._tag === "Namespace")}`,
  condition: scope._tag === "Namespace" ? "namespace_id = ? AND " : "",
  values: scope._tag === "Namespace" ? [scope.namespaceId] : []
})

/** The place of the row that is so many rows on, or of the last one before `to`. */
export const placeText = (scope: Scope, after: Stretch["after"], to: number) => {
  const { from, condition, values } = scoped(scope)
  return {
    text: `SELECT created_at, job_id FROM (
        SELECT created_at, job_id FROM ${from}
        WHERE ${condition} (created_at, job_id) > (?, ?) AND created_at < ? ORDER BY created_at, job_id LIMIT ${STRETCH}
      ) ORDER BY created_at DESC, job_id DESC LIMIT 1`,
    values: [...values, after.createdAt, after.jobId, to] satisfies ReadonlyArray<SQLInputValue>
  }
}

export const sumsText = (scope: Scope, groupBy: StatsQuery["groupBy"], { after, last }: Stretch) => {
  const { from, condition, values } = scoped(scope)
  const groups = groupBy.map((grouping, at) => `${GROUPS[grouping].column} AS g${at}`)
  const times = JobTally.LATENCIES.map(
    (name) =>
      `json_group_array(${TIMES[name]}) FILTER (WHERE state = 'completed' AND ${TIMES[name]} IS NOT NULL) AS ${TIMES[name]}`
  )
  return {
    text: `SELECT ${groups.join(", ")}, count(*) AS jobs, count(*) FILTER (WHERE state = 'completed') AS completed,
        count(*) FILTER (WHERE state IN ('failed', 'timed_out', 'expired')) AS failed,
        sum(prompt_tokens) AS prompt_tokens, sum(output_tokens) AS output_tokens,
        CAST(coalesce(sum(cost / ${BILLION}), 0) AS TEXT) AS billions, CAST(coalesce(sum(cost % ${BILLION}), 0) AS TEXT) AS units,
        ${times.join(", ")}
      FROM ${from}
      WHERE ${condition} (created_at, job_id) > (?, ?) AND (created_at, job_id) <= (?, ?)
      GROUP BY ${groupBy.map((_, at) => `g${at}`).join(", ")}`,
    values: [...values, after.createdAt, after.jobId, last.createdAt, last.jobId] satisfies ReadonlyArray<SQLInputValue>
  }
}

const addTo = (tally: JobTally.JobTally, groupBy: StatsQuery["groupBy"], row: Row): void => {
  const groups = groupBy.map((grouping, at) => GROUPS[grouping].name(row, `g${at}`))
  tally.count(groups, {
    jobs: number(row, "jobs"),
    completed: number(row, "completed"),
    failed: number(row, "failed"),
    promptTokens: number(row, "prompt_tokens"),
    outputTokens: number(row, "output_tokens"),
    cost: BigInt(text(row, "billions")) * BigInt(BILLION) + BigInt(text(row, "units"))
  })
  for (const latency of JobTally.LATENCIES) {
    for (const ms of json<ReadonlyArray<number>>(row, TIMES[latency])) tally.time(groups, latency, ms, 1)
  }
}

export const statsOf = Effect.fnUntraced(function* (
  { read }: SqliteClient["Service"],
  scope: Scope,
  { groupBy, from, to }: StatsQuery
) {
  const tally = JobTally.make()
  let after: Stretch["after"] = { createdAt: from, jobId: "" }
  while (tally.size() <= GROUPS_MAX) {
    const last = yield* read(during, (sql): Cursor | null => {
      const place = placeText(scope, after, to)
      const row = sql(place.text).get(...place.values)
      if (row === undefined) return null
      const end = { createdAt: number(row, "created_at"), jobId: word<Cursor["jobId"]>(row, "job_id") }
      const sums = sumsText(scope, groupBy, { after, last: end })
      for (const sum of sql(sums.text).all(...sums.values)) addTo(tally, groupBy, sum)
      return end
    })
    if (last === null) break
    after = last
    yield* Effect.yieldNow
  }
  return tally.rows()
})
