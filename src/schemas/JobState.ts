/**
 * The states of a job's row and of an attempt, and which moves are legal. A row's finer moments
 * (leased, assigned, running) are events in its record, not states: the row answers only who must act next.
 */
import * as Schema from "effect/Schema"
import type { Credits } from "./Credits.ts"
import type { DaemonId, NodeId } from "./Ids.ts"
import type { Job, Usage } from "./Job.ts"

export const TerminalState = Schema.Literals(["completed", "failed", "timed_out", "expired", "cancelled"])
export type TerminalState = typeof TerminalState.Type

export const JobState = Schema.Literals(["queued", "active", ...TerminalState.literals])
export type JobState = typeof JobState.Type

export const AttemptState = Schema.Literals([
  "leased",
  "assigned",
  "accepted",
  "running",
  "succeeded",
  "rejected",
  "failed",
  "timed_out",
  "fenced"
])
export type AttemptState = typeof AttemptState.Type

const TERMINAL: ReadonlySet<JobState> = new Set(TerminalState.literals)
export const isTerminal = (state: JobState): state is TerminalState => TERMINAL.has(state)

/** active → active is a further claim: another attempt, or another owner after a death. active → queued is a hand-back. */
const LEGAL: Readonly<Record<JobState, ReadonlySet<JobState>>> = {
  queued: new Set<JobState>(["active", "failed", "expired", "cancelled"]),
  active: new Set<JobState>(["active", "queued", "completed", "failed", "timed_out", "cancelled"]),
  completed: new Set(),
  failed: new Set(),
  timed_out: new Set(),
  expired: new Set(),
  cancelled: new Set()
}
export const isLegal = (from: JobState, to: JobState): boolean => LEGAL[from].has(to)

/** What changes of a job, as the deciding store holds it. */
export interface JobRow {
  readonly job: Job
  readonly state: JobState
  /** The daemon whose actor acts for the job; null while queued and after the end. */
  readonly owner: DaemonId | null
  /** Grows with each claim. A write with another epoch changes nothing. */
  readonly epoch: number
  /** Tries on a node so far, numbered from 1. */
  readonly attempt: number
  /** Tries that ended by a node's fault. */
  readonly failures: number
  /** Times an actor or its daemon died with this job. */
  readonly crashes: number
  /** The node of the latest attempt. */
  readonly nodeId: NodeId | null
  /** Not before this instant (epoch ms); later than acceptedAt only after a hand-back with a delay. */
  readonly runAt: number
  readonly usage: Usage
  readonly charged: Credits
  readonly errorCode: string | null
  readonly finishedAt: number | null
}

/** Codes by which a runtime says that the request itself is at fault: any node would say the same. */
const REQUEST_FAULTS: ReadonlySet<string | null> = new Set([
  "invalid_body",
  "runtime_400",
  "runtime_413",
  "runtime_415",
  "runtime_422"
])

export const isRequestFault = (errorCode: string | null): boolean => REQUEST_FAULTS.has(errorCode)
