/**
 * Sums of jobs by group: what every back end makes of what it counted. Times are kept as how many jobs took how long, so percentiles (nearest rank)
 * are exact, and memory grows with the different times and not with the jobs.
 */
import * as DateTime from "effect/DateTime"
import { Credits } from "../schemas/Credits.ts"

/** `hour` and `day` in UTC, of `createdAt`. */
export const GROUPINGS = ["model", "key", "namespace", "node", "hour", "day"] as const
export type Grouping = (typeof GROUPINGS)[number]

export const LATENCIES = ["queueMs", "firstTokenMs", "totalMs"] as const
export type Latency = (typeof LATENCIES)[number]

export interface Percentiles {
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

export interface StatsRow {
  /** In the order in which they were asked for. A job that no node ever had is of the node null. */
  readonly groups: ReadonlyArray<string | null>
  readonly jobs: number
  readonly completed: number
  /** Ended without an answer, and nobody asked for that: failed, timed out, expired. */
  readonly failed: number
  readonly promptTokens: number
  readonly outputTokens: number
  readonly cost: Credits
  /** Of completed jobs for which the time is known; null when there are none. */
  readonly queueMs: Percentiles | null
  readonly firstTokenMs: Percentiles | null
  readonly totalMs: Percentiles | null
}

/** Failed of those that completed or failed; null when there is neither. Who cancelled or still waits is left out. */
export const errorRate = ({ completed, failed }: Pick<StatsRow, "completed" | "failed">): number | null =>
  completed + failed === 0 ? null : failed / (completed + failed)

export interface Counts {
  readonly jobs: number
  readonly completed: number
  readonly failed: number
  readonly promptTokens: number
  readonly outputTokens: number
  readonly cost: bigint
}

type Sums = { -readonly [Name in keyof Counts]: Counts[Name] }
type Times = Map<number, number>

interface Cell extends Sums {
  readonly groups: ReadonlyArray<string | null>
  readonly times: Readonly<Record<Latency, Times>>
}

export interface JobTally {
  readonly count: (groups: ReadonlyArray<string | null>, counts: Counts) => void
  /** So many completed jobs of the group took so long. */
  readonly time: (groups: ReadonlyArray<string | null>, latency: Latency, ms: number, jobs: number) => void
  /** Groups so far. */
  readonly size: () => number
  /** By their groups, in order; null comes first. */
  readonly rows: () => ReadonlyArray<StatsRow>
}

const emptyCell = (groups: ReadonlyArray<string | null>): Cell => ({
  groups,
  jobs: 0,
  completed: 0,
  failed: 0,
  promptTokens: 0,
  outputTokens: 0,
  cost: 0n,
  times: { queueMs: new Map(), firstTokenMs: new Map(), totalMs: new Map() }
})

export const make = (): JobTally => {
  const cells = new Map<string, Cell>()
  const cellOf = (groups: ReadonlyArray<string | null>): Cell => {
    const key = JSON.stringify(groups)
    const known = cells.get(key)
    if (known !== undefined) return known
    const cell = emptyCell(groups)
    cells.set(key, cell)
    return cell
  }
  return {
    count: (groups, counts) => {
      const cell = cellOf(groups)
      cell.jobs += counts.jobs
      cell.completed += counts.completed
      cell.failed += counts.failed
      cell.promptTokens += counts.promptTokens
      cell.outputTokens += counts.outputTokens
      cell.cost += counts.cost
    },
    time: (groups, latency, ms, jobs) => {
      const times = cellOf(groups).times[latency]
      times.set(ms, (times.get(ms) ?? 0) + jobs)
    },
    size: () => cells.size,
    rows: () =>
      [...cells.values()]
        .toSorted((a, b) => byGroups(a.groups, b.groups))
        .map(({ times, cost, ...sums }) => ({
          ...sums,
          cost: Credits.make(cost),
          queueMs: percentilesOf(times.queueMs),
          firstTokenMs: percentilesOf(times.firstTokenMs),
          totalMs: percentilesOf(times.totalMs)
        }))
  }
}

const byGroups = (a: ReadonlyArray<string | null>, b: ReadonlyArray<string | null>): number => {
  for (const [at, one] of a.entries()) {
    const order = byGroup(one, b[at] ?? null)
    if (order !== 0) return order
  }
  return 0
}

const byGroup = (a: string | null, b: string | null): number => {
  if (a === b) return 0
  if (a === null || b === null) return a === null ? -1 : 1
  return a < b ? -1 : 1
}

const percentilesOf = (times: Times): Percentiles | null => {
  const sorted = [...times].toSorted(([a], [b]) => a - b)
  const count = sorted.reduce((sum, [, jobs]) => sum + jobs, 0)
  const rank = (percent: number): number => {
    let left = Math.ceil((count * percent) / 100)
    for (const [ms, jobs] of sorted) {
      left -= jobs
      if (left <= 0) return ms
    }
    return 0
  }
  return count === 0 ? null : { p50: rank(50), p95: rank(95), p99: rank(99) }
}

export const HOUR_MS = 3_600_000
export const DAY_MS = 86_400_000

/** `2026-11-25T13:00Z`, of the number of whole hours since the epoch. */
export const hourName = (hours: number): string =>
  `${DateTime.formatIso(DateTime.makeUnsafe(hours * HOUR_MS)).slice(0, 16)}Z`

/** `2026-11-25`, of the number of whole days since the epoch. */
export const dayName = (days: number): string => DateTime.formatIsoDateUtc(DateTime.makeUnsafe(days * DAY_MS))
