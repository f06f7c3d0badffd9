/** Finished jobs as all detectors count them: what is a failure, how long a node took, and percentiles over that. */
import type { JobId, NamespaceId, NodeId } from "../../schemas/Ids.ts"
import type { Claim, Evaluation } from "../../schemas/JobRecord.ts"
import { isRequestFault, type JobState } from "../../schemas/JobState.ts"

/** Of `layers/Signals.ts`, what policies need of a job. */
export interface Ended {
  readonly jobId: JobId
  readonly finishedAt: number
  readonly namespaceId: NamespaceId
  readonly model: string
  readonly nodeId: NodeId | null
  readonly subcloud: string | null
  readonly state: JobState
  readonly errorCode: string | null
  readonly promptTokens: number
  readonly outputTokens: number
  readonly queueMs: number | null
  readonly firstTokenMs: number | null
  readonly totalMs: number | null
  readonly retries: number
  readonly failures: Evaluation["failures"]
  readonly claim: Claim | null
  readonly answer: string | null
}

const FAILED: ReadonlySet<JobState> = new Set<JobState>(["failed", "timed_out", "expired"])

/** A job that its client cancelled, or whose request the runtime would not take, says nothing of how well the network works. */
export const isFailure = ({ state, errorCode }: Pick<Ended, "state" | "errorCode">): boolean =>
  FAILED.has(state) && !isRequestFault(errorCode)

export const isSuccess = ({ state }: Pick<Ended, "state">): boolean => state === "completed"

/** What the node took, without what was before it: null when others had a hand in it. */
export const atNode = ({ retries, queueMs, firstTokenMs, totalMs }: Ended) => {
  const waited = retries > 0 ? null : queueMs
  const since = (ms: number | null) => (waited === null || ms === null ? null : Math.max(0, ms - waited))
  return { firstTokenMs: since(firstTokenMs), totalMs: since(totalMs) }
}

/** Nearest rank; null of nothing. */
export const percentile = (values: ReadonlyArray<number>, percent: number): number | null => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)] ?? null
}

export const known = (values: ReadonlyArray<number | null>): ReadonlyArray<number> =>
  values.filter((value) => value !== null)

export const groupBy = <A>(items: Iterable<A>, nameOf: (item: A) => string | null): Map<string, Array<A>> => {
  const groups = new Map<string, Array<A>>()
  for (const item of items) {
    const name = nameOf(item)
    if (name === null) continue
    const group = groups.get(name)
    if (group === undefined) groups.set(name, [item])
    else group.push(item)
  }
  return groups
}

/** To a tenth. */
export const percentOf = (part: number, whole: number): number =>
  whole === 0 ? 0 : Math.round((part / whole) * 1000) / 10

/** The most frequent codes, as evidence. */
export const topCodes = (codes: ReadonlyArray<string>): ReadonlyArray<{ code: string; times: number }> =>
  [...groupBy(codes, (code) => code)]
    .map(([code, each]) => ({ code, times: each.length }))
    .toSorted((a, b) => b.times - a.times || (a.code < b.code ? -1 : 1))
    .slice(0, 5)
