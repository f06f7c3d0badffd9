/**
 * Finding and counting over the columns of the documents. Each search names its index (`INDEXED BY`), so SQLite refuses a plan that would
 * look at everything instead of quietly taking it, and rows come out of the index in order: no sort, and no more rows read than needed
 * once the most selective condition has chosen.
 */
import type { SQLInputValue } from "node:sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Credits } from "../../schemas/Credits.ts"
import type { NodeId } from "../../schemas/Ids.ts"
import type { Scope } from "../JobRecords.ts"
import * as JobSearch from "../JobSearch.ts"
import { credits, json, maybe, number, type Row, text, word } from "./RecordColumns.ts"
import { FACETS, type Facet, facetIndex } from "./RecordsSchema.ts"
import { type During, SqliteClient } from "./SqliteClient.ts"

const during = (method: keyof JobSearch.Driver): During => ({ of: "JobSearch", method })

const facets = (filter: JobSearch.JobFilter): Readonly<Record<Facet, string | undefined>> => ({
  client_tag: filter.clientTag === undefined ? undefined : JSON.stringify(filter.clientTag),
  node_id: filter.nodeId,
  error_code: filter.errorCode === undefined ? undefined : JSON.stringify(filter.errorCode),
  key_id: filter.keyId,
  state: filter.state,
  model: filter.model === undefined ? undefined : JSON.stringify(filter.model),
  mode: filter.mode,
  endpoint: filter.endpoint
})

/** One bound for both the cursor and `to`: whatever is created before `to` is older than the pair (to, ""), since no id is empty. */
const upperBound = (to: number | undefined, after: JobSearch.Cursor | null): readonly [number, string] => {
  const end: readonly [number, string] = [to ?? Number.MAX_SAFE_INTEGER, ""]
  return after === null || after.createdAt >= end[0] ? end : [after.createdAt, after.jobId]
}

/** The statement and the values for its places. */
export const searchText = (
  scope: Scope,
  filter: JobSearch.JobFilter,
  after: JobSearch.Cursor | null,
  limit: number
): { readonly text: string; readonly values: ReadonlyArray<SQLInputValue> } => {
  const wanted = facets(filter)
  const asked = FACETS.flatMap((facet) => {
    const value = wanted[facet]
    return value === undefined ? [] : [{ facet, value }]
  })
  const namespace = scope._tag === "Namespace" ? [scope.namespaceId] : []
  const conditions = [
    ...namespace.map(() => "namespace_id = ?"),
    ...asked.map(({ facet }) => `${facet} = ?`),
    "created_at >= ?",
    "(created_at, job_id) < (?, ?)"
  ]
  return {
    text: `SELECT job_id, namespace_id, key_id, endpoint, mode, model, priority, state, error_code, node_id, client_tag,
        created_at, finished_at, prompt_tokens, output_tokens, CAST(cost AS TEXT) AS cost, total_ms
      FROM record INDEXED BY ${facetIndex(asked[0]?.facet ?? null, scope._tag === "Namespace")}
      WHERE ${conditions.join(" AND ")} ORDER BY created_at DESC, job_id DESC LIMIT ?`,
    values: [
      ...namespace,
      ...asked.map(({ value }) => value),
      filter.from ?? Number.MIN_SAFE_INTEGER,
      ...upperBound(filter.to, after),
      limit
    ]
  }
}

const toSummary = (row: Row): JobSearch.JobSummary => ({
  jobId: word(row, "job_id"),
  namespaceId: word(row, "namespace_id"),
  keyId: word(row, "key_id"),
  endpoint: word(row, "endpoint"),
  mode: word(row, "mode"),
  model: json(row, "model"),
  priority: word(row, "priority"),
  state: word(row, "state"),
  errorCode: maybe(row, "error_code", json<string>),
  nodeId: maybe(row, "node_id", word<NodeId>),
  clientTag: maybe(row, "client_tag", json<string>),
  createdAt: number(row, "created_at"),
  finishedAt: maybe(row, "finished_at", number),
  promptTokens: number(row, "prompt_tokens"),
  outputTokens: number(row, "output_tokens"),
  cost: maybe(row, "cost", credits),
  totalMs: maybe(row, "total_ms", number)
})

const GROUPS: Readonly<Record<JobSearch.UsageQuery["groupBy"], string>> = {
  model: "model",
  key: "key_id",
  day: "strftime('%Y-%m-%d', created_at / 1000, 'unixepoch')"
}

const BILLION = 1_000_000_000

/**
 * Sums by group, and nearest-rank percentiles by numbering each group's completed jobs by their time. Costs are summed in two parts, because
 * a sum that leaves 64 bits is an error in SQLite.
 */
export const usageText = (scope: Scope, { groupBy, from, to }: JobSearch.UsageQuery) => {
  const namespace = scope._tag === "Namespace" ? [scope.namespaceId] : []
  return {
    text: `WITH job AS MATERIALIZED (
        SELECT ${GROUPS[groupBy]} AS grp, state, prompt_tokens, output_tokens, cost, total_ms
        FROM record INDEXED BY ${facetIndex(null, scope._tag === "Namespace")}
        WHERE ${namespace.map(() => "namespace_id = ? AND ").join("")} created_at >= ? AND created_at < ?
      ), ranked AS (
        SELECT grp, total_ms, row_number() OVER (PARTITION BY grp ORDER BY total_ms) AS place, count(*) OVER (PARTITION BY grp) AS places
        FROM job WHERE state = 'completed' AND total_ms IS NOT NULL
      ), percentile AS (
        SELECT grp, max(total_ms) FILTER (WHERE place = (places * 50 + 99) / 100) AS p50,
          max(total_ms) FILTER (WHERE place = (places * 95 + 99) / 100) AS p95
        FROM ranked GROUP BY grp
      ), total AS (
        SELECT grp, count(*) AS jobs, count(*) FILTER (WHERE state IN ('failed', 'timed_out', 'expired')) AS failed,
          sum(prompt_tokens) AS prompt_tokens, sum(output_tokens) AS output_tokens,
          coalesce(sum(cost / ${BILLION}), 0) AS billions, coalesce(sum(cost % ${BILLION}), 0) AS units
        FROM job GROUP BY grp
      )
      SELECT grp, jobs, failed, prompt_tokens, output_tokens, CAST(billions AS TEXT) AS billions, CAST(units AS TEXT) AS units, p50, p95
      FROM total LEFT JOIN percentile USING (grp)`,
    values: [...namespace, from, to]
  }
}

const toUsage =
  (groupBy: JobSearch.UsageQuery["groupBy"]) =>
  (row: Row): JobSearch.UsageRow => ({
    group: groupBy === "model" ? json(row, "grp") : text(row, "grp"),
    jobs: number(row, "jobs"),
    failed: number(row, "failed"),
    promptTokens: number(row, "prompt_tokens"),
    outputTokens: number(row, "output_tokens"),
    cost: Credits.make(BigInt(text(row, "billions")) * BigInt(BILLION) + BigInt(text(row, "units"))),
    totalMsP50: maybe(row, "p50", number),
    totalMsP95: maybe(row, "p95", number)
  })

const byGroup = (a: JobSearch.UsageRow, b: JobSearch.UsageRow): number =>
  a.group < b.group ? -1 : Number(a.group > b.group)

const driver = ({ read }: SqliteClient["Service"]): JobSearch.Driver => ({
  search: (scope, filter, after, limit) =>
    read(during("search"), (sql) => {
      const { text, values } = searchText(scope, filter, after, limit)
      return sql(text)
        .all(...values)
        .map(toSummary)
    }),
  usage: (scope, query) =>
    read(during("usage"), (sql) => {
      const { text, values } = usageText(scope, query)
      return sql(text)
        .all(...values)
        .map(toUsage(query.groupBy))
        .toSorted(byGroup)
    })
})

export const layer = Layer.effect(
  JobSearch.JobSearch,
  Effect.map(SqliteClient, (client) => JobSearch.make(driver(client)))
)
