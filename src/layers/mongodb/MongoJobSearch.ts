/** Finding and counting over the fields of the documents. Values of a user stand as values only, never as operators. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Filter } from "mongodb"
import type { Credits } from "../../schemas/Credits.ts"
import type { Scope } from "../JobRecords.ts"
import * as JobSearch from "../JobSearch.ts"
import type { JobDocument } from "./Collections.ts"
import { costOf, freeText } from "./JobFields.ts"
import { MongoClient } from "./MongoClient.ts"
import { within } from "./MongoLogs.ts"

const during = (method: keyof JobSearch.Driver) => ({ of: "JobSearch", method })

const ofScope = (scope: Scope): Filter<JobDocument> =>
  scope._tag === "Namespace" ? { namespaceId: scope.namespaceId } : {}

const equal = (field: string, value: string | null | undefined): Filter<JobDocument> =>
  value === undefined ? {} : { [field]: { $eq: value } }

const text = (value: string | undefined): string | null | undefined =>
  value === undefined ? undefined : freeText(value)

export const filterOf = (
  scope: Scope,
  filter: JobSearch.JobFilter,
  after: JobSearch.Cursor | null
): Filter<JobDocument> => {
  const createdAt = within(filter.from, filter.to)
  const older =
    after === null
      ? {}
      : {
          $or: [
            { createdAt: { $lt: after.createdAt } },
            { createdAt: after.createdAt, _id: { $lt: String(after.jobId) } }
          ]
        }
  return {
    ...ofScope(scope),
    ...equal("model", text(filter.model)),
    ...equal("endpoint", filter.endpoint),
    ...equal("mode", filter.mode),
    ...equal("state", filter.state),
    ...equal("clientTag", text(filter.clientTag)),
    ...equal("keyId", filter.keyId),
    ...equal("nodeId", filter.nodeId),
    ...equal("errorCode", text(filter.errorCode)),
    ...(createdAt === undefined ? {} : { createdAt }),
    ...older
  }
}

/** Everything but the long texts. */
const SUMMARY = {
  namespaceId: 1,
  keyId: 1,
  endpoint: 1,
  mode: 1,
  model: 1,
  priority: 1,
  state: 1,
  errorCode: 1,
  nodeId: 1,
  clientTag: 1,
  createdAt: 1,
  finishedAt: 1,
  promptTokens: 1,
  outputTokens: 1,
  cost: 1,
  totalMs: 1
} as const

const fromText = (stored: string | null): string | null => (stored === null ? null : (JSON.parse(stored) as string))

const summaryOf = (stored: JobDocument): JobSearch.JobSummary => ({
  jobId: stored._id as JobSearch.JobSummary["jobId"],
  namespaceId: stored.namespaceId as JobSearch.JobSummary["namespaceId"],
  keyId: stored.keyId as JobSearch.JobSummary["keyId"],
  endpoint: stored.endpoint as JobSearch.JobSummary["endpoint"],
  mode: stored.mode as JobSearch.JobSummary["mode"],
  model: fromText(stored.model) ?? "",
  priority: stored.priority as JobSearch.JobSummary["priority"],
  state: stored.state as JobSearch.JobSummary["state"],
  errorCode: fromText(stored.errorCode),
  nodeId: stored.nodeId as JobSearch.JobSummary["nodeId"],
  clientTag: fromText(stored.clientTag),
  createdAt: stored.createdAt,
  finishedAt: stored.finishedAt,
  promptTokens: stored.promptTokens,
  outputTokens: stored.outputTokens,
  cost: costOf(stored),
  totalMs: stored.totalMs
})

const FAILED: ReadonlySet<string> = new Set(["failed", "timed_out", "expired"])

interface Sum {
  jobs: number
  failed: number
  promptTokens: number
  outputTokens: number
  cost: bigint
  readonly totals: Array<number>
}

const groupOf = (groupBy: JobSearch.UsageQuery["groupBy"], stored: JobDocument): string => {
  if (groupBy === "model") return fromText(stored.model) ?? ""
  return groupBy === "key" ? stored.keyId : DateTime.formatIsoDateUtc(DateTime.makeUnsafe(stored.createdAt))
}

const addTo = (sum: Sum, stored: JobDocument): void => {
  sum.jobs += 1
  sum.failed += FAILED.has(stored.state) ? 1 : 0
  sum.promptTokens += stored.promptTokens
  sum.outputTokens += stored.outputTokens
  sum.cost += costOf(stored) ?? 0n
  if (stored.state === "completed" && stored.totalMs !== null) sum.totals.push(stored.totalMs)
}

const rank = (sorted: ReadonlyArray<number>, percent: number): number | null =>
  sorted[Math.ceil((sorted.length * percent) / 100) - 1] ?? null

const rowOf = ([group, { totals, cost, ...sums }]: readonly [string, Sum]): JobSearch.UsageRow => {
  const sorted = totals.toSorted((a, b) => a - b)
  return { group, ...sums, cost: cost as Credits, totalMsP50: rank(sorted, 50), totalMsP95: rank(sorted, 95) }
}

export const layer: Layer.Layer<JobSearch.JobSearch, never, MongoClient> = Layer.effect(
  JobSearch.JobSearch,
  Effect.map(MongoClient, ({ run, collections: { jobs } }) =>
    JobSearch.make({
      search: (scope, filter, after, limit) =>
        run(during("search"), async () => {
          const found = jobs.find(filterOf(scope, filter, after), { projection: SUMMARY })
          return (await found.sort({ createdAt: -1, _id: -1 }).limit(limit).toArray()).map(summaryOf)
        }),
      // Page by page from the server; what is kept is one number a completed job.
      usage: (scope, { groupBy, from, to }) =>
        run(during("usage"), async () => {
          const sums = new Map<string, Sum>()
          const filter = { ...ofScope(scope), createdAt: { $gte: from, $lt: to } }
          for await (const stored of jobs.find(filter, { projection: SUMMARY })) {
            const group = groupOf(groupBy, stored)
            const sum = sums.get(group) ?? {
              jobs: 0,
              failed: 0,
              promptTokens: 0,
              outputTokens: 0,
              cost: 0n,
              totals: []
            }
            addTo(sum, stored)
            sums.set(group, sum)
          }
          return Array.from(sums, rowOf).toSorted((a, b) => (a.group < b.group ? -1 : 1))
        })
    })
  )
)
