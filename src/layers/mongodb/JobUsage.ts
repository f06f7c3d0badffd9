/**
 * Sums by group, in the database. The server counts the jobs of a group that took equally long, so percentiles are exact and what comes over the wire
 * grows with the number of different times, not of jobs. Costs are summed as decimals, because a sum of 64-bit integers that overflows becomes a double.
 */
import * as DateTime from "effect/DateTime"
import type { Decimal128, Document } from "mongodb"
import { Credits } from "../../schemas/Credits.ts"
import type { Scope } from "../JobRecords.ts"
import type { UsageQuery, UsageRow } from "../JobSearch.ts"
import { jobIndex } from "./Indexes.ts"
import type { MongoClient } from "./MongoClient.ts"
import { readText } from "./StoredText.ts"

const DAY_MS = 86_400_000

const GROUPS = {
  model: "$model",
  key: "$keyId",
  day: { $floor: { $divide: ["$createdAt", DAY_MS] } }
} as const

/** A sum over nothing is the integer 0. */
type Sum = number | bigint

interface Counted {
  readonly _id: { readonly group: string | Sum; readonly totalMs: number | null }
  readonly jobs: Sum
  readonly failed: Sum
  readonly promptTokens: Sum
  readonly outputTokens: Sum
  readonly cost: Decimal128 | Sum
}

const isIn = (states: ReadonlyArray<string>) => ({ $in: ["$state", states] })

export const pipelineOf = (scope: Scope, { groupBy, from, to }: UsageQuery): Array<Document> => [
  {
    $match: {
      ...(scope._tag === "Namespace" ? { namespaceId: { $eq: scope.namespaceId } } : {}),
      createdAt: { $gte: from, $lt: to }
    }
  },
  {
    $group: {
      _id: { group: GROUPS[groupBy], totalMs: { $cond: [isIn(["completed"]), "$totalMs", null] } },
      jobs: { $sum: 1 },
      failed: { $sum: { $cond: [isIn(["failed", "timed_out", "expired"]), 1, 0] } },
      promptTokens: { $sum: "$promptTokens" },
      outputTokens: { $sum: "$outputTokens" },
      cost: { $sum: { $toDecimal: "$cost" } }
    }
  }
]

interface Row {
  jobs: number
  failed: number
  promptTokens: number
  outputTokens: number
  cost: bigint
  /** How many jobs took how long. */
  readonly times: Array<readonly [totalMs: number, jobs: number]>
}

const add = (row: Row, { _id, ...counted }: Counted): void => {
  row.jobs += Number(counted.jobs)
  row.failed += Number(counted.failed)
  row.promptTokens += Number(counted.promptTokens)
  row.outputTokens += Number(counted.outputTokens)
  row.cost += BigInt(counted.cost.toString())
  if (_id.totalMs !== null) row.times.push([_id.totalMs, Number(counted.jobs)])
}

/** Nearest rank. */
const percentile = (times: Row["times"], percent: number): number | null => {
  const count = times.reduce((sum, [, jobs]) => sum + jobs, 0)
  let left = Math.ceil((count * percent) / 100)
  for (const [totalMs, jobs] of times.toSorted(([a], [b]) => a - b)) {
    left -= jobs
    if (left <= 0) return totalMs
  }
  return null
}

const nameOf = (groupBy: UsageQuery["groupBy"], group: string | Sum): string => {
  if (groupBy === "day") return DateTime.formatIsoDateUtc(DateTime.makeUnsafe(Number(group) * DAY_MS))
  return groupBy === "model" ? readText(String(group)) : String(group)
}

const byGroup = (a: UsageRow, b: UsageRow): number => (a.group < b.group ? -1 : Number(a.group > b.group))

export const usageOf = async (
  { collections: { jobs } }: MongoClient["Service"],
  scope: Scope,
  query: UsageQuery
): Promise<ReadonlyArray<UsageRow>> => {
  const rows = new Map<string, Row>()
  const hint = jobIndex(null, scope._tag === "Namespace")
  for await (const counted of jobs.aggregate<Counted>(pipelineOf(scope, query), { allowDiskUse: true, hint })) {
    const group = nameOf(query.groupBy, counted._id.group)
    const row = rows.get(group) ?? { jobs: 0, failed: 0, promptTokens: 0, outputTokens: 0, cost: 0n, times: [] }
    add(row, counted)
    rows.set(group, row)
  }
  return Array.from(rows, ([group, { times, cost, ...sums }]) => ({
    group,
    ...sums,
    cost: Credits.make(cost),
    totalMsP50: percentile(times, 50),
    totalMsP95: percentile(times, 95)
  })).toSorted(byGroup)
}
