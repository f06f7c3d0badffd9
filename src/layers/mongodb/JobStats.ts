/**
 * Sums by group, in the database. The server counts the jobs of a group that took equally long, so percentiles are exact and what comes over the wire
 * grows with the number of different times, not of jobs. Costs are summed as decimals, because a sum of 64-bit integers that overflows becomes a double.
 */
import type { Decimal128, Document } from "mongodb"
import type { Scope } from "../JobRecords.ts"
import { GROUPS_MAX, type StatsQuery } from "../JobSearch.ts"
import * as JobTally from "../JobTally.ts"
import { jobIndex } from "./Indexes.ts"
import { type MongoClient, SEARCHING } from "./MongoClient.ts"
import { readText } from "./StoredText.ts"

const whole = (size: number) => ({ $floor: { $divide: ["$createdAt", size] } })

const GROUPS: Readonly<Record<JobTally.Grouping, string | Document>> = {
  model: "$model",
  key: "$keyId",
  namespace: "$namespaceId",
  node: "$nodeId",
  hour: whole(JobTally.HOUR_MS),
  day: whole(JobTally.DAY_MS)
}

/** A sum over nothing is the integer 0. */
type Sum = number | bigint
type Group = string | Sum | null

interface Counted {
  readonly _id: Readonly<Record<string, Group>>
  readonly jobs: Sum
  readonly completed: Sum
  readonly failed: Sum
  readonly promptTokens: Sum
  readonly outputTokens: Sum
  readonly cost: Decimal128 | Sum
}

const inRange = (scope: Scope, { from, to }: StatsQuery): Document => ({
  ...(scope._tag === "Namespace" ? { namespaceId: { $eq: scope.namespaceId } } : {}),
  createdAt: { $gte: from, $lt: to }
})

const groupsOf = ({ groupBy }: StatsQuery): Document =>
  Object.fromEntries(groupBy.map((grouping, at) => [`g${at}`, GROUPS[grouping]]))

const countIn = (states: ReadonlyArray<string>) => ({ $sum: { $cond: [{ $in: ["$state", states] }, 1, 0] } })

export const sumsPipeline = (scope: Scope, query: StatsQuery): Array<Document> => [
  { $match: inRange(scope, query) },
  {
    $group: {
      _id: groupsOf(query),
      jobs: { $sum: 1 },
      completed: countIn(["completed"]),
      failed: countIn(["failed", "timed_out", "expired"]),
      promptTokens: { $sum: "$promptTokens" },
      outputTokens: { $sum: "$outputTokens" },
      cost: { $sum: { $toDecimal: "$cost" } }
    }
  }
]

export const timesPipeline = (scope: Scope, query: StatsQuery, latency: JobTally.Latency): Array<Document> => [
  { $match: { ...inRange(scope, query), state: "completed", [latency]: { $ne: null } } },
  { $group: { _id: { ...groupsOf(query), ms: `$${latency}` }, jobs: { $sum: 1 } } }
]

const nameOf = (grouping: JobTally.Grouping, group: Group): string | null => {
  if (group === null) return null
  if (grouping === "hour") return JobTally.hourName(Number(group))
  if (grouping === "day") return JobTally.dayName(Number(group))
  return grouping === "model" ? readText(String(group)) : String(group)
}

export const statsOf = async ({ collections: { jobs } }: MongoClient["Service"], scope: Scope, query: StatsQuery) => {
  const { groupBy } = query
  const tally = JobTally.make()
  const options = { allowDiskUse: true, hint: jobIndex(null, scope._tag === "Namespace"), ...SEARCHING }
  const namesIn = (_id: Counted["_id"]) => groupBy.map((grouping, at) => nameOf(grouping, _id[`g${at}`] ?? null))
  for await (const { _id, ...counted } of jobs.aggregate<Counted>(sumsPipeline(scope, query), options)) {
    tally.count(namesIn(_id), {
      jobs: Number(counted.jobs),
      completed: Number(counted.completed),
      failed: Number(counted.failed),
      promptTokens: Number(counted.promptTokens),
      outputTokens: Number(counted.outputTokens),
      cost: BigInt(counted.cost.toString())
    })
    if (tally.size() > GROUPS_MAX) return tally.rows()
  }
  for (const latency of JobTally.LATENCIES) {
    const counts = jobs.aggregate<Pick<Counted, "_id" | "jobs">>(timesPipeline(scope, query, latency), options)
    for await (const { _id, jobs: count } of counts) {
      tally.time(namesIn(_id), latency, Number(_id["ms"]), Number(count))
    }
  }
  return tally.rows()
}
