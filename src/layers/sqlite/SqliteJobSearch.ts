/**
 * Finding and counting over the columns of the documents. Each search names its index (`INDEXED BY`), so SQLite refuses a plan that would
 * look at everything instead of quietly taking it, and rows come out of the index in order: no sort, and no more rows read than needed
 * once the most selective condition has chosen.
 */
import type { SQLInputValue } from "node:sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { NamespaceId, NodeId } from "../../schemas/Ids.ts"
import type { JobRecord } from "../../schemas/JobRecord.ts"
import { jsonMayHold, outputHolds, requestHolds } from "../../schemas/JobWords.ts"
import type { Scope } from "../JobRecords.ts"
import * as JobSearch from "../JobSearch.ts"
import { type Cells, credits, freeWord, maybe, number, text, word } from "./RecordColumns.ts"
import { columnOf, facetIndex } from "./RecordsSchema.ts"
import { type During, type Sql, SqliteClient } from "./SqliteClient.ts"
import { cells } from "./Statements.ts"
import { statsOf } from "./JobStats.ts"

const during = (method: keyof JobSearch.Driver): During => ({ of: "JobSearch", method })

/** Free text stands as JSON text. */
const storedOf = (facet: JobSearch.Facet, value: string): string =>
  JobSearch.FREE_TEXT.has(facet) ? JSON.stringify(value) : value

/** One bound for both the cursor and `to`: whatever is created before `to` is older than the pair (to, ""), since no id is empty. */
const upperBound = (to: number | undefined, after: JobSearch.Cursor | null): readonly [number, string] => {
  const end: readonly [number, string] = [to ?? Number.MAX_SAFE_INTEGER, ""]
  return after === null || after.createdAt >= end[0] ? end : [after.createdAt, after.jobId]
}

/** What a search of this scope and these filters asks of a row, and the index that answers it. */
const wantedOf = (scope: Scope, filter: JobSearch.JobFilter, after: JobSearch.Cursor | null) => {
  const asked = JobSearch.FACETS.flatMap((facet) => {
    const value = filter[facet]
    return value === undefined ? [] : [{ facet, value: storedOf(facet, value) }]
  })
  const namespace = scope._tag === "Namespace" ? [scope.namespaceId] : []
  const conditions = [
    ...namespace.map(() => "namespace_id = ?"),
    ...asked.map(({ facet }) => `${columnOf(facet)} = ?`),
    "created_at >= ?",
    "(created_at, job_id) < (?, ?)"
  ]
  const values: ReadonlyArray<SQLInputValue> = [
    ...namespace,
    ...asked.map(({ value }) => value),
    filter.from ?? Number.MIN_SAFE_INTEGER,
    ...upperBound(filter.to, after)
  ]
  const index = facetIndex(asked[0]?.facet ?? null, scope._tag === "Namespace")
  return { from: `record INDEXED BY ${index}`, where: conditions.join(" AND "), values }
}

/** Costs may be above 2^53, so they are read as text. */
const COLUMNS = [
  "job_id",
  "namespace_id",
  "key_id",
  "endpoint",
  "mode",
  "model",
  "priority",
  "state",
  "error_code",
  "node_id",
  "client_tag",
  "created_at",
  "finished_at",
  "prompt_tokens",
  "output_tokens",
  "cost",
  "queue_ms",
  "first_token_ms",
  "total_ms"
] as const
const SUMMARY = COLUMNS.map((name) => (name === "cost" ? "CAST(cost AS TEXT)" : name)).join(", ")

/** Where each stands in a row. */
const AT = Object.fromEntries(COLUMNS.map((name, at) => [name, at])) as Readonly<
  Record<(typeof COLUMNS)[number], number>
>
const INPUT = COLUMNS.length
const OUTPUT = INPUT + 1

interface Statement {
  readonly text: string
  readonly values: ReadonlyArray<SQLInputValue>
}

export const searchText = (
  scope: Scope,
  filter: JobSearch.JobFilter,
  after: JobSearch.Cursor | null,
  limit: number
): Statement => {
  const { from, where, values } = wantedOf(scope, filter, after)
  return {
    text: `SELECT ${SUMMARY} FROM ${from} WHERE ${where} ORDER BY created_at DESC, job_id DESC LIMIT ?`,
    values: [...values, limit]
  }
}

/** The same with the texts beside it. */
export const lookText = (
  namespaceId: NamespaceId,
  filter: JobSearch.JobFilter,
  after: JobSearch.Cursor | null,
  looked: number
): Statement => {
  const { from, where, values } = wantedOf({ _tag: "Namespace", namespaceId }, filter, after)
  return {
    text: `SELECT ${SUMMARY}, i.body, o.body FROM ${from}
      CROSS JOIN record_input AS i USING (number) LEFT JOIN record_output AS o USING (number)
      WHERE ${where} ORDER BY created_at DESC, job_id DESC LIMIT ?`,
    values: [...values, looked]
  }
}

export const FINISHED_TEXT = `SELECT ${SUMMARY} FROM record INDEXED BY record_by_finished
  WHERE finished_at IS NOT NULL AND (finished_at, job_id) > (?, ?) AND finished_at < ? ORDER BY finished_at, job_id LIMIT max(?, 0)`

const rowHolds = (row: Cells, word: string): boolean => {
  const input = text(row, INPUT)
  if (jsonMayHold(input, word) && requestHolds((JSON.parse(input) as JobRecord["input"]).request, word)) return true
  const output = maybe(row, OUTPUT, text<Cells>)
  return output !== null && jsonMayHold(output, word) && outputHolds(JSON.parse(output) as JobRecord["output"], word)
}

const toSummary = (row: Cells): JobSearch.JobSummary => ({
  jobId: word(row, AT.job_id),
  namespaceId: word(row, AT.namespace_id),
  keyId: word(row, AT.key_id),
  endpoint: word(row, AT.endpoint),
  mode: word(row, AT.mode),
  model: freeWord(row, AT.model),
  priority: word(row, AT.priority),
  state: word(row, AT.state),
  errorCode: maybe(row, AT.error_code, freeWord),
  nodeId: maybe(row, AT.node_id, word<NodeId, Cells>),
  clientTag: maybe(row, AT.client_tag, freeWord),
  createdAt: number(row, AT.created_at),
  finishedAt: maybe(row, AT.finished_at, number),
  promptTokens: number(row, AT.prompt_tokens),
  outputTokens: number(row, AT.output_tokens),
  cost: maybe(row, AT.cost, credits),
  queueMs: maybe(row, AT.queue_ms, number),
  firstTokenMs: maybe(row, AT.first_token_ms, number),
  totalMs: maybe(row, AT.total_ms, number)
})

const look = (
  sql: Sql,
  statement: Statement,
  word: string,
  { limit, looked }: { readonly limit: number; readonly looked: number }
): JobSearch.Look => {
  const found: Array<JobSearch.JobSummary> = []
  const rows = cells(sql(statement.text), ...statement.values)
  for (const row of rows) {
    if (rowHolds(row, word)) found.push(toSummary(row))
    if (found.length === limit) return { found, reached: cursorOf(row) }
  }
  const last = rows.at(-1)
  return { found, reached: last === undefined || rows.length < looked ? null : cursorOf(last) }
}

const cursorOf = (row: Cells): JobSearch.Cursor => ({
  createdAt: number(row, AT.created_at),
  jobId: word(row, AT.job_id)
})

const driver = (client: SqliteClient["Service"]): JobSearch.Driver => ({
  search: (scope, filter, after, limit) =>
    client.read(during("search"), (sql) => {
      const { text, values } = searchText(scope, filter, after, limit)
      return cells(sql(text), ...values).map(toSummary)
    }),
  look: (namespaceId, filter, word, after, bounds) =>
    client.read(during("look"), (sql) => look(sql, lookText(namespaceId, filter, after, bounds.looked), word, bounds)),
  finished: ({ at, id }, before, limit) =>
    client.read(during("finished"), (sql) => cells(sql(FINISHED_TEXT), at, id, before, limit).map(toSummary)),
  stats: (scope, query) => statsOf(client, scope, query)
})

export const layer = Layer.effect(
  JobSearch.JobSearch,
  Effect.map(SqliteClient, (client) => JobSearch.make(driver(client)))
)
