/** Finding and counting by looking at every document: the executable specification of the back ends that have indexes. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { JobRecord } from "../../schemas/JobRecord.ts"
import type { JobState } from "../../schemas/JobState.ts"
import { outputHolds, requestHolds } from "../../schemas/JobWords.ts"
import type { Scope } from "../JobRecords.ts"
import * as JobSearch from "../JobSearch.ts"
import * as JobTally from "../JobTally.ts"
import { byText, MemoryRecords, sees, within, type State } from "./MemoryRecords.ts"

/** Ended without an answer, and nobody asked for that. */
const FAILED: ReadonlySet<JobState> = new Set<JobState>(["failed", "timed_out", "expired"])

const visible = (state: State, scope: Scope): ReadonlyArray<JobRecord> =>
  [...state.records.values()].map(({ record }) => record).filter(({ namespaceId }) => sees(scope, namespaceId))

const matches = (record: JobRecord, { from, to, ...wanted }: JobSearch.JobFilter): boolean => {
  const { endpoint, mode, model } = record.input
  const { state, clientTag, keyId, errorCode, service } = record
  const said: typeof wanted = {
    endpoint,
    mode,
    model,
    state,
    keyId,
    service,
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
  queueMs: record.system.queueMs,
  firstTokenMs: record.system.firstTokenMs,
  totalMs: record.system.totalMs
})

const GROUP: Readonly<Record<JobTally.Grouping, (record: JobRecord) => string | null>> = {
  model: ({ input }) => input.model,
  key: ({ keyId }) => keyId,
  namespace: ({ namespaceId }) => namespaceId,
  node: ({ routing }) => routing.nodeId,
  hour: ({ createdAt }) => JobTally.hourName(Math.floor(createdAt / JobTally.HOUR_MS)),
  day: ({ createdAt }) => JobTally.dayName(Math.floor(createdAt / JobTally.DAY_MS))
}

const countIn = (tally: JobTally.JobTally, record: JobRecord, groupBy: ReadonlyArray<JobTally.Grouping>): void => {
  const groups = groupBy.map((grouping) => GROUP[grouping](record))
  const completed = record.state === "completed"
  tally.count(groups, {
    jobs: 1,
    completed: completed ? 1 : 0,
    failed: FAILED.has(record.state) ? 1 : 0,
    promptTokens: record.output?.tokens.prompt ?? 0,
    outputTokens: record.output?.tokens.completion ?? 0,
    cost: record.cost ?? 0n
  })
  for (const latency of JobTally.LATENCIES) {
    const ms = record.system[latency]
    if (completed && ms !== null) tally.time(groups, latency, ms, 1)
  }
}

const older = (state: State, scope: Scope, filter: JobSearch.JobFilter, after: JobSearch.Cursor | null) =>
  visible(state, scope)
    .filter((record) => matches(record, filter) && (after === null || newestFirst(after, record) < 0))
    .toSorted(newestFirst)

const driver = (state: State): JobSearch.Driver => ({
  search: (scope, filter, after, limit) =>
    Effect.sync(() => older(state, scope, filter, after).slice(0, limit).map(summary)),
  look: (namespaceId, filter, word, after, { limit, looked }) =>
    Effect.sync(() => {
      const found: Array<JobSearch.JobSummary> = []
      const all = older(state, { _tag: "Namespace", namespaceId }, filter, after)
      for (const [at, record] of all.entries()) {
        if (requestHolds(record.input.request, word) || outputHolds(record.output, word)) found.push(summary(record))
        if (found.length === limit || at + 1 === looked) return { found, reached: at + 1 < all.length ? record : null }
      }
      return { found, reached: null }
    }),
  finished: (after, before, limit) =>
    Effect.sync(() =>
      [...state.records.values()]
        .flatMap(({ record }) => (record.finishedAt === null ? [] : [{ at: record.finishedAt, record }]))
        .filter(({ at, record }) => at < before && (at > after.at || (at === after.at && record.jobId > after.id)))
        .toSorted((a, b) => a.at - b.at || byText(a.record.jobId, b.record.jobId))
        .slice(0, Math.max(limit, 0))
        .map(({ record }) => summary(record))
    ),
  stats: (scope, { groupBy, ...span }) =>
    Effect.sync(() => {
      const tally = JobTally.make()
      for (const record of visible(state, scope)) {
        if (within(record.createdAt, span)) countIn(tally, record, groupBy)
      }
      return tally.rows()
    })
})

export const layer = Layer.effect(
  JobSearch.JobSearch,
  Effect.map(MemoryRecords, (state) => JobSearch.make(driver(state)))
)
