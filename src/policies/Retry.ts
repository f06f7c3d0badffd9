/**
 * When a broken attempt is followed by another one, how long it waits, and when the job itself is to blame.
 * Attempts that nobody is at fault for (a node that declined, a drain) are not failures and are not counted here.
 */
import type { NodeId } from "../schemas/Ids.ts"

export interface BackoffRules {
  readonly firstMs: number
  readonly maxMs: number
}

/**
 * Full jitter: anything between nothing and the doubled bound, so that jobs which failed together do not come back
 * together. `random01` is in [0, 1). Whole milliseconds, at least 1, never above `maxMs`.
 */
export const backoffMs = (failures: number, { firstMs, maxMs }: BackoffRules, random01: number): number => {
  const bound = Math.min(maxMs, firstMs * 2 ** Math.max(0, failures - 1))
  return Math.min(bound, 1 + Math.floor(Math.max(0, random01) * bound))
}

export interface Failure {
  readonly nodeId: NodeId
  readonly code: string
}

/** Losing a node says nothing about the job: two of them may have lost their network. */
const NODES_OWN: ReadonlySet<string> = new Set(["node_lost"])

/** Two different nodes failed in the same way: then it is the job that breaks them, and no node is penalised for it. */
export const isJobsFault = (failures: Iterable<Failure>): boolean => {
  const first = new Map<string, NodeId>()
  for (const { nodeId, code } of failures) {
    if (NODES_OWN.has(code)) continue
    const known = first.get(code)
    if (known === undefined) first.set(code, nodeId)
    else if (known !== nodeId) return true
  }
  return false
}

export interface RetryFacts {
  readonly failures: ReadonlyArray<Failure>
  readonly failuresMax: number
  readonly now: number
  readonly delayMs: number
  readonly deadlineAt: number
}

/** Whether another attempt is allowed and would begin before the deadline. */
export const mayRetry = ({ failures, failuresMax, now, delayMs, deadlineAt }: RetryFacts): boolean =>
  failures.length < failuresMax && !isJobsFault(failures) && now + delayMs < deadlineAt
