/**
 * What the deciding row says of a lease on a node. Attempts of a job only grow in number and each is claimed for one node, so most leases can be
 * judged by the row alone; only of an attempt that is yet to be claimed it cannot say whether somebody is about to.
 */
import { attemptOfLease, type LeaseToken, type NodeId } from "../schemas/Ids.ts"
import { isTerminal, type JobRow } from "../schemas/JobState.ts"

/** live: the attempt is the one under way, here. over: nothing will ever run under it. open: the attempt was not claimed yet. */
export type LeaseStanding = "live" | "over" | "open"

export const leaseStanding = (row: JobRow | null, nodeId: NodeId, attempt: number): LeaseStanding => {
  if (row === null || isTerminal(row.state) || attempt < row.attempt) return "over"
  if (attempt > row.attempt) return "open"
  return row.state === "active" && row.nodeId === nodeId ? "live" : "over"
}

/** Whoever claimed the attempt uses this slot: of two daemons that lease it for the same attempt, the one that came too late must not give it back. */
export const isInUse = (row: JobRow | null, nodeId: NodeId, lease: LeaseToken): boolean => {
  const named = attemptOfLease(lease)
  return row !== null && named !== null && leaseStanding(row, nodeId, named.attempt) === "live"
}
