/**
 * How entries become rollups. Within a namespace entries are taken in the order they were written, each once, and their periods never go back: what comes
 * late, or under a clock that was behind, counts in the first period that is still open. So a closed period never changes.
 */
import type { EntryKind } from "../schemas/Credits.ts"
import type { NamespaceId } from "../schemas/Ids.ts"
import type { Environment, Mode } from "../schemas/Job.ts"
import type { TerminalState } from "../schemas/JobState.ts"
import { type AccountRollup, type CreditRollup, hourOf, type JobRollup, keyOf } from "../schemas/Rollup.ts"

export interface FoldedEntry {
  readonly seq: number
  readonly kind: EntryKind
  readonly amount: bigint
  readonly at: number
}

/** What a namespace has after the last entry that was taken. */
export interface Standing {
  readonly seq: number
  /** Of the last entry; 0 before the first. */
  readonly period: number
  readonly granted: bigint
  readonly available: bigint
  readonly reserved: bigint
  readonly spent: bigint
  readonly openJobs: number
}

export const nothingYet: Standing = {
  seq: 0,
  period: 0,
  granted: 0n,
  available: 0n,
  reserved: 0n,
  spent: 0n,
  openJobs: 0
}

export interface Bounds {
  /** No period before this instant may change. */
  readonly closedUntil: number
  /** Nothing happens later than now: a clock that is ahead does not open a period of the future. */
  readonly now: number
}

export const periodOf = (at: number, { period }: Standing, { closedUntil, now }: Bounds): number =>
  Math.max(period, closedUntil, hourOf(Math.min(at, now)))

const movedBy = (kind: EntryKind, amount: bigint) => ({
  opened: kind === "reserve" ? 1 : 0,
  ended: kind === "settle" ? 1 : 0,
  granted: kind === "grant" ? amount : 0n,
  reserved: kind === "reserve" ? amount : 0n,
  settled: kind === "settle" ? amount : 0n,
  refunded: kind === "refund" ? amount : 0n
})
type Moved = Pick<CreditRollup, keyof ReturnType<typeof movedBy>>

const plus = <A extends Moved>(before: A, moved: Moved): A => ({
  ...before,
  opened: before.opened + moved.opened,
  ended: before.ended + moved.ended,
  granted: before.granted + moved.granted,
  reserved: before.reserved + moved.reserved,
  settled: before.settled + moved.settled,
  refunded: before.refunded + moved.refunded
})

const standingAfter = (before: Standing, moved: Moved, seq: number, period: number): Standing => ({
  seq,
  period,
  granted: before.granted + moved.granted,
  available: before.available + moved.granted - moved.reserved + moved.refunded,
  reserved: before.reserved + moved.reserved - moved.settled - moved.refunded,
  spent: before.spent + moved.settled,
  openJobs: before.openJobs + moved.opened - moved.ended
})

const EMPTY: Moved = movedBy("grant", 0n)

/**
 * The rows of one namespace that these entries change, whole.
 * @param begun the row of `standing.period` as it is by now
 */
export const bookCredits = (
  namespaceId: NamespaceId,
  standing: Standing,
  begun: CreditRollup | null,
  entries: ReadonlyArray<FoldedEntry>,
  bounds: Bounds
): { readonly standing: Standing; readonly rows: ReadonlyArray<CreditRollup> } => {
  const rows = new Map<number, CreditRollup>(begun === null ? [] : [[begun.period, begun]])
  let now = standing
  for (const { seq, kind, amount, at } of entries) {
    const period = periodOf(at, now, bounds)
    const moved = movedBy(kind, amount)
    now = standingAfter(now, moved, seq, period)
    const known = rows.get(period)
    rows.set(period, {
      definition: "credits",
      period,
      namespaceId,
      firstSeq: known?.firstSeq ?? seq,
      lastSeq: seq,
      ...plus(known === undefined ? EMPTY : movesOf(known), moved),
      grantedAtEnd: now.granted,
      availableAtEnd: now.available,
      reservedAtEnd: now.reserved,
      spentAtEnd: now.spent,
      openJobsAtEnd: now.openJobs
    })
  }
  return { standing: now, rows: [...rows.values()].filter(({ lastSeq }) => lastSeq > standing.seq) }
}

const movesOf = ({ opened, ended, granted, reserved, settled, refunded }: CreditRollup): Moved => ({
  opened,
  ended,
  granted,
  reserved,
  settled,
  refunded
})

/** The sum of entries, as a row of them would say it. */
export const sumOf = (entries: ReadonlyArray<Pick<FoldedEntry, "kind" | "amount">>): Moved =>
  entries.reduce((sum, { kind, amount }) => plus(sum, movedBy(kind, amount)), EMPTY)
export type { Moved }

export interface EndedJob {
  readonly period: number
  readonly environment: Environment
  readonly namespaceId: NamespaceId
  readonly model: string
  readonly mode: Mode
  readonly state: TerminalState
  readonly promptTokens: number
  readonly outputTokens: number
  readonly cost: bigint
  readonly acceptedAt: number
  /** Of the first attempt on a node; null: there was none. */
  readonly startedAt: number | null
  readonly finishedAt: number
}

/** Never less than nothing, whatever two clocks said. */
const between = (from: number, to: number): number => Math.max(0, to - from)

const rowOf = (job: EndedJob): JobRollup => ({
  definition: "jobs",
  period: job.period,
  environment: job.environment,
  namespaceId: job.namespaceId,
  model: job.model,
  mode: job.mode,
  state: job.state,
  jobs: 1,
  promptTokens: job.promptTokens,
  outputTokens: job.outputTokens,
  cost: job.cost,
  totalMs: between(job.acceptedAt, job.finishedAt),
  started: job.startedAt === null ? 0 : 1,
  queueMs: job.startedAt === null ? 0 : between(job.acceptedAt, job.startedAt)
})

const together = (one: JobRollup, two: JobRollup): JobRollup => ({
  ...one,
  jobs: one.jobs + two.jobs,
  promptTokens: one.promptTokens + two.promptTokens,
  outputTokens: one.outputTokens + two.outputTokens,
  cost: one.cost + two.cost,
  totalMs: one.totalMs + two.totalMs,
  started: one.started + two.started,
  queueMs: one.queueMs + two.queueMs
})

/** Where a row of jobs belongs. */
export const slotOf = (row: JobRollup): string => `${row.period} ${keyOf(row)}`

/** One row for each slot. */
export const foldJobs = (rows: ReadonlyArray<JobRollup>): ReadonlyArray<JobRollup> => {
  const slots = new Map<string, JobRollup>()
  for (const row of rows) {
    const known = slots.get(slotOf(row))
    slots.set(slotOf(row), known === undefined ? row : together(known, row))
  }
  return [...slots.values()]
}

export const bookJobs = (jobs: ReadonlyArray<EndedJob>): ReadonlyArray<JobRollup> => foldJobs(jobs.map(rowOf))

export interface Counted {
  readonly environment: Environment
  readonly namespaces: number
  readonly keys: number
}

/** The state at the end of a period: that of the one before, and what moved since. */
export const nextAccount = (
  period: number,
  { environment, namespaces, keys }: Counted,
  before: AccountRollup | null,
  moved: Moved
): AccountRollup => ({
  definition: "accounts",
  period,
  environment,
  namespaces,
  keys,
  openJobs: (before?.openJobs ?? 0) + moved.opened - moved.ended,
  granted: (before?.granted ?? 0n) + moved.granted,
  available: (before?.available ?? 0n) + moved.granted - moved.reserved + moved.refunded,
  reserved: (before?.reserved ?? 0n) + moved.reserved - moved.settled - moved.refunded,
  spent: (before?.spent ?? 0n) + moved.settled
})

/** What several rows moved in all. */
export const movedIn = (rows: ReadonlyArray<Moved>): Moved => rows.reduce(plus, EMPTY)
