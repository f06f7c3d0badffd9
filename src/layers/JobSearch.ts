/**
 * Finding and counting jobs by what their records say. Newest first with a cursor that stays true while rows arrive; every filter is
 * served by an index. The text of jobs is looked through for a namespace of its own only, never for an operator.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { Credits } from "../schemas/Credits.ts"
import type { JobId, KeyId, NamespaceId, NodeId } from "../schemas/Ids.ts"
import type { Endpoint, Mode, Priority } from "../schemas/Job.ts"
import type { Service } from "../schemas/JobRecord.ts"
import type { JobState } from "../schemas/JobState.ts"
import { fold } from "../schemas/JobWords.ts"
import { type Refusal, refuse } from "../schemas/Refusal.ts"
import type { Scope } from "./JobRecords.ts"
import type { Grouping, StatsRow } from "./JobTally.ts"
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
  readonly service?: Service
  /** Half-open over `createdAt`: from ≤ at < to. */
  readonly from?: number
  readonly to?: number
}

/** What a search may ask for besides the time, most selective first: the first one that is asked for chooses the index. */
export const FACETS = [
  "clientTag",
  "nodeId",
  "errorCode",
  "keyId",
  "state",
  "model",
  "mode",
  "endpoint",
  "service"
] as const satisfies ReadonlyArray<keyof JobFilter>
export type Facet = (typeof FACETS)[number]

/** Those that a job may have none of: it does not stand in their index then. */
export const NULLABLE: ReadonlySet<Facet> = new Set<Facet>(["clientTag", "nodeId", "errorCode"])

/** Those that hold a customer's or a node's own words: any text at all, stored in a form that every back end takes. */
export const FREE_TEXT: ReadonlySet<Facet> = new Set<Facet>(["clientTag", "errorCode", "model"])

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
  readonly queueMs: number | null
  readonly firstTokenMs: number | null
  readonly totalMs: number | null
}

/** A stretch of jobs that was looked through for a word. */
export interface Look {
  /** Newest first. */
  readonly found: ReadonlyArray<JobSummary>
  /** The last job that was looked at; null when there is no older one. */
  readonly reached: Cursor | null
}

export interface StatsQuery {
  /** One or two, and not the same one twice. */
  readonly groupBy: ReadonlyArray<Grouping>
  /** Half-open over `createdAt`. */
  readonly from: number
  readonly to: number
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
  /** Looks at no more than `looked` jobs of the filter older than `after`, and finds no more than `limit` whose prompt or answer holds the folded word. */
  readonly look: (
    namespaceId: NamespaceId,
    filter: JobFilter,
    word: string,
    after: Cursor | null,
    bounds: { readonly limit: number; readonly looked: number }
  ) => Effect.Effect<Look, Outage>
  /** Jobs of all namespaces that ended before `before`, oldest end first (finishedAt, then id), behind the place; at most `limit`. */
  readonly finished: (
    after: { readonly at: number; readonly id: string },
    before: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<JobSummary>, Outage>
  /** Over jobs created in [from, to), by group. May stop counting beyond `GROUPS_MAX` groups. */
  readonly stats: (scope: Scope, query: StatsQuery) => Effect.Effect<ReadonlyArray<StatsRow>, Outage>
}

export class JobSearch extends Context.Service<
  JobSearch,
  Pick<Driver, "search" | "finished"> & {
    /**
     * Jobs of the namespace whose prompt or answer holds the word, in any case of its letters. Looks at no more than `LOOKED_MAX` jobs, so a page may
     * hold few or none while `next` says where to go on; null: there are no older ones. Refused with `overloaded`, as figures are, while very many ask.
     */
    readonly searchText: (
      namespaceId: NamespaceId,
      filter: JobFilter,
      word: string,
      after: Cursor | null,
      limit: number
    ) => Effect.Effect<{ readonly found: ReadonlyArray<JobSummary>; readonly next: Cursor | null }, Outage | Refusal>
    /** Refused when there are more groups than `GROUPS_MAX`, and with `overloaded` while very many ask. */
    readonly stats: (scope: Scope, query: StatsQuery) => Effect.Effect<ReadonlyArray<StatsRow>, Outage | Refusal>
    /** The same in short, by one group. */
    readonly usage: (scope: Scope, query: UsageQuery) => Effect.Effect<ReadonlyArray<UsageRow>, Outage | Refusal>
  }
>()("resultity/layers/JobSearch") {}

export const SEARCH_LIMIT_MAX = 1000
export const GROUPS_MAX = 10_000
/** Jobs that one search looks through for a word. */
export const LOOKED_MAX = 5_000
/** Jobs looked at in one go; others have their turn in between. */
const STRETCH = 250

/** Questions that look at very many jobs, at once; more wait in line, and beyond that are refused. */
const HEAVY_MAX = 4
const WAITING_MAX = 32

const makeHeavy = () => {
  const turns = Semaphore.makeUnsafe(HEAVY_MAX)
  let within = 0
  return <A, E>(question: Effect.Effect<A, E>): Effect.Effect<A, E | Refusal> =>
    Effect.suspend((): Effect.Effect<A, E | Refusal> => {
      if (within >= HEAVY_MAX + WAITING_MAX) return Effect.fail(crowded)
      within++
      return Effect.ensuring(
        Semaphore.withPermit(turns, question),
        Effect.sync(() => void within--)
      )
    })
}

const crowded = refuse("overloaded", "Too many figures and texts are being looked for here. Try again in a moment.", {
  retryAfterMs: 2_000
})

export const make = (driver: Driver): JobSearch["Service"] => {
  const heavy = makeHeavy()
  const stats: JobSearch["Service"]["stats"] = Effect.fn("JobSearch.stats")((scope, query) =>
    Effect.filterOrFail(
      heavy(driver.stats(scope, query)),
      (rows) => rows.length <= GROUPS_MAX,
      () => tooMany
    )
  )
  return JobSearch.of({
    search: Effect.fn("JobSearch.search")((scope, filter, after, limit) =>
      driver.search(scope, filter, after, limitOf(limit))
    ),
    searchText: Effect.fn("JobSearch.searchText")((namespaceId, filter, word, after, limit) =>
      heavy(lookOn(driver, namespaceId, filter, fold(word), after, limitOf(limit)))
    ),
    finished: driver.finished,
    stats,
    usage: (scope, { groupBy, ...span }) =>
      Effect.map(stats(scope, { groupBy: [groupBy], ...span }), (rows) => rows.map(usageOf))
  })
}

const lookOn = Effect.fnUntraced(function* (
  driver: Driver,
  namespaceId: NamespaceId,
  filter: JobFilter,
  folded: string,
  after: Cursor | null,
  limit: number
) {
  const found: Array<JobSummary> = []
  let next = after
  for (let left = LOOKED_MAX; left > 0; left -= STRETCH) {
    const bounds = { limit: limit - found.length, looked: Math.min(left, STRETCH) }
    const stretch = yield* driver.look(namespaceId, filter, folded, next, bounds)
    found.push(...stretch.found)
    next = stretch.reached
    if (next === null || found.length >= limit) break
    yield* Effect.yieldNow
  }
  return { found, next }
})

const tooMany = refuse(
  "invalid_request",
  `The answer would have more than ${GROUPS_MAX} groups. Ask about a shorter time, or by coarser groups.`,
  { param: "group_by" }
)

const limitOf = (limit: number): number => Math.min(Math.max(limit, 1), SEARCH_LIMIT_MAX)

const usageOf = ({ groups, totalMs, ...row }: StatsRow): UsageRow => ({
  group: groups[0] ?? "",
  jobs: row.jobs,
  failed: row.failed,
  promptTokens: row.promptTokens,
  outputTokens: row.outputTokens,
  cost: row.cost,
  totalMsP50: totalMs?.p50 ?? null,
  totalMsP95: totalMs?.p95 ?? null
})
