/** Finding and counting by looking at every document: the executable specification of the back ends that have indexes. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Credits } from "../../schemas/Credits.ts"
import type { JobRecord } from "../../schemas/JobRecord.ts"
import type { JobState } from "../../schemas/JobState.ts"
import type { Scope } from "../JobRecords.ts"
import * as JobSearch from "../JobSearch.ts"
import { byText, MemoryRecords, sees, within, type State } from "./MemoryRecords.ts"

/** Ended without an answer, and nobody asked for that. */
const FAILED: ReadonlySet<JobState> = new Set<JobState>(["failed", "timed_out", "expired"])

const visible = (state: State, scope: Scope): ReadonlyArray<JobRecord> =>
  [...state.records.values()].map(({ record }) => record).filter(({ namespaceId }) => sees(scope, namespaceId))

const matches = (record: JobRecord, { from, to, ...wanted }: JobSearch.JobFilter): boolean => {
  const { endpoint, mode, model } = record.input
  const { state, clientTag, keyId, errorCode } = record
  const said: typeof wanted = {
    endpoint,
    mode,
    model,
    state,
    keyId,
    ...(clientTag === null ? {} : { clientTag }),
    ...(record.routing.nodeId === null ? {} : { nodeId: record.routing.nodeId }),
    ...(errorCode === null ? {} : { errorCode })
  }
  return (
    Object.entries(wanted).every(([name, value]) => value === undefined || said[name as keyof typeof said] === value) &&
    within(record.createdAt, { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) })
  )
}

const newestFirst = (a: JobSearch.Cursor, b: JobSearch.Cursor): number =>
  b.createdAt - a.createdAt || byText(b.jobId, a.jobId)

const summary = (record: JobRecord): JobSearch.JobSummary => ({
  jobId: record.jobId,
  namespaceId: record.namespaceId,
  keyId: record.keyId,
  endpoint: record.input.endpoint,
  mode: record.input.mode,
  model: record.input.model,
  priority: record.priority,
  state: record.state,
  errorCode: record.errorCode,
  nodeId: record.routing.nodeId,
  clientTag: record.clientTag,
  createdAt: record.createdAt,
  finishedAt: record.finishedAt,
  promptTokens: record.output?.tokens.prompt ?? 0,
  outputTokens: record.output?.tokens.completion ?? 0,
  cost: record.cost,
  totalMs: record.system.totalMs
})

const groupOf = (record: JobRecord, groupBy: JobSearch.UsageQuery["groupBy"]): string => {
  if (groupBy === "model") return record.input.model
  return groupBy === "key" ? record.keyId : DateTime.formatIsoDateUtc(DateTime.makeUnsafe(record.createdAt))
}

/** The smallest value that at least this share of the values does not exceed. */
const nearestRank = (sorted: ReadonlyArray<number>, percent: number): number | null =>
  sorted[Math.ceil((sorted.length * percent) / 100) - 1] ?? null

const usageRow = ([group, records]: readonly [string, ReadonlyArray<JobRecord>]): JobSearch.UsageRow => {
  const totals = records
    .flatMap(({ state, system }) => (state === "completed" && system.totalMs !== null ? [system.totalMs] : []))
    .toSorted((a, b) => a - b)
  return {
    group,
    jobs: records.length,
    failed: records.filter(({ state }) => FAILED.has(state)).length,
    promptTokens: records.reduce((sum, { output }) => sum + (output?.tokens.prompt ?? 0), 0),
    outputTokens: records.reduce((sum, { output }) => sum + (output?.tokens.completion ?? 0), 0),
    cost: Credits.make(records.reduce((sum, { cost }) => sum + (cost ?? 0n), 0n)),
    totalMsP50: nearestRank(totals, 50),
    totalMsP95: nearestRank(totals, 95)
  }
}

const driver = (state: State): JobSearch.Driver => ({
  search: (scope, filter, after, limit) =>
    Effect.sync(() =>
      visible(state, scope)
        .filter((record) => matches(record, filter) && (after === null || newestFirst(after, record) < 0))
        .toSorted(newestFirst)
        .slice(0, limit)
        .map(summary)
    ),
  usage: (scope, { groupBy, ...span }) =>
    Effect.sync(() => {
      const groups = Map.groupBy(
        visible(state, scope).filter(({ createdAt }) => within(createdAt, span)),
        (record) => groupOf(record, groupBy)
      )
      return [...groups].toSorted(([a], [b]) => byText(a, b)).map(usageRow)
    })
})

export const layer = Layer.effect(
  JobSearch.JobSearch,
  Effect.map(MemoryRecords, (state) => JobSearch.make(driver(state)))
)
