/**
 * Finding and counting jobs by what their records say. Newest first with a cursor that stays true while rows arrive; every filter is
 * served by an index.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Credits } from "../schemas/Credits.ts"
import type { JobId, KeyId, NamespaceId, NodeId } from "../schemas/Ids.ts"
import type { Endpoint, Mode, Priority } from "../schemas/Job.ts"
import type { JobState } from "../schemas/JobState.ts"
import type { Scope } from "./JobRecords.ts"
import type { Outage } from "./Outage.ts"

export interface JobFilter {
  readonly model?: string
  readonly endpoint?: Endpoint
  readonly mode?: Mode
  readonly state?: JobState
  readonly clientTag?: string
  readonly keyId?: KeyId
  readonly nodeId?: NodeId
  readonly errorCode?: string
  /** Half-open over `createdAt`: from ≤ at < to. */
  readonly from?: number
  readonly to?: number
}

export interface Cursor {
  readonly createdAt: number
  readonly jobId: JobId
}

export interface JobSummary {
  readonly jobId: JobId
  readonly namespaceId: NamespaceId
  readonly keyId: KeyId
  readonly endpoint: Endpoint
  readonly mode: Mode
  readonly model: string
  readonly priority: Priority
  readonly state: JobState
  readonly errorCode: string | null
  readonly nodeId: NodeId | null
  readonly clientTag: string | null
  readonly createdAt: number
  readonly finishedAt: number | null
  readonly promptTokens: number
  readonly outputTokens: number
  readonly cost: Credits | null
  readonly totalMs: number | null
}

export interface UsageRow {
  /** The model, key or UTC day (`2026-11-25`) that the row sums. */
  readonly group: string
  readonly jobs: number
  readonly failed: number
  readonly promptTokens: number
  readonly outputTokens: number
  readonly cost: Credits
  /** Of completed jobs; null when there are none. */
  readonly totalMsP50: number | null
  readonly totalMsP95: number | null
}

export interface UsageQuery {
  readonly groupBy: "model" | "key" | "day"
  readonly from: number
  readonly to: number
}

export interface Driver {
  /** At most `limit`, newest first (createdAt, then id), strictly older than `after`. */
  readonly search: (
    scope: Scope,
    filter: JobFilter,
    after: Cursor | null,
    limit: number
  ) => Effect.Effect<ReadonlyArray<JobSummary>, Outage>
  /** Over jobs created in [from, to), by group. Percentiles are nearest-rank. */
  readonly usage: (scope: Scope, query: UsageQuery) => Effect.Effect<ReadonlyArray<UsageRow>, Outage>
}

export class JobSearch extends Context.Service<JobSearch, Driver>()("resultity/layers/JobSearch") {}

export const SEARCH_LIMIT_MAX = 1000

export const make = (driver: Driver): JobSearch["Service"] =>
  JobSearch.of({
    search: Effect.fn("JobSearch.search")((scope, filter, after, limit) =>
      driver.search(scope, filter, after, Math.min(Math.max(limit, 1), SEARCH_LIMIT_MAX))
    ),
    usage: Effect.fn("JobSearch.usage")(driver.usage)
  })
