/**
 * The whole life of a job as a pure function: `(state, moment) → (state, commands)`.
 *
 * The actor around it performs the commands and reports what came of them as further moments; it decides nothing. So the recorded moments,
 * played again, give the same state, and every step can be explained. A moment that no longer matters (a late timer, a stale lease) is
 * answered by putting things right (giving the lease back) or by nothing, never by an error.
 */
import type { LeaseToken, NodeId } from "../schemas/Ids.ts"
import type { OnNodeLoss } from "../schemas/Job.ts"
import type { CancelCause, Fault, JobMoment, JobTimer } from "../schemas/JobMoment.ts"
import type { TerminalState } from "../schemas/JobState.ts"
import { isLoss, isNodesOwn } from "./NodeFaults.ts"

export interface MachineFacts {
  readonly onNodeLoss: OnNodeLoss
  /** Whether what was sent already binds the next node to go on from it (text does, numbered vectors do not). */
  readonly mustContinue: boolean
  readonly failuresMax: number
}

export interface Ending {
  readonly state: TerminalState
  readonly code: string | null
}

export interface AttemptFault {
  readonly nodeId: NodeId
  readonly code: string
}

/**
 * new: nothing known. leasing: waits for a slot. claiming: taking the row. assigned: the node was told. running: it accepted. grace: it is
 * gone and may come back. backoff: waits before the next attempt. recording, settling: the end is being written. over: nothing to do.
 */
export type Phase =
  | "new"
  | "leasing"
  | "claiming"
  | "assigned"
  | "running"
  | "grace"
  | "backoff"
  | "recording"
  | "settling"
  | "over"

export interface JobMachine {
  readonly facts: MachineFacts
  readonly phase: Phase
  /** Whether the row is ours: before, it is `queued`; after, `active` under our epoch. */
  readonly claimed: boolean
  readonly adopting: boolean
  readonly epoch: number
  readonly attempt: number
  readonly failures: number
  readonly rejections: number
  readonly nodeId: NodeId | null
  readonly lease: LeaseToken | null
  /** Number of the last piece, and billable tokens, over all attempts. */
  readonly last: number
  readonly tokens: number
  readonly tried: ReadonlyArray<NodeId>
  readonly faults: ReadonlyArray<AttemptFault>
  /** Decided while the row was being claimed: it can be written once the answer is there. */
  readonly pending: Ending | null
  readonly ending: Ending | null
}

export type JobCommand =
  | { readonly _tag: "Lease"; readonly mustContinue: boolean; readonly tried: ReadonlyArray<NodeId> }
  | { readonly _tag: "ForgetLease" }
  | { readonly _tag: "Claim"; readonly nodeId: NodeId | null }
  /** The delivery is done with: its job is claimed, or needs no actor. */
  | { readonly _tag: "AckDelivery" }
  | { readonly _tag: "NackDelivery" }
  | { readonly _tag: "Assign"; readonly nodeId: NodeId; readonly lease: LeaseToken; readonly firstSeq: number }
  /** Ask the node whether it still holds the attempt, and go on from `fromSeq`. */
  | { readonly _tag: "Reattach"; readonly nodeId: NodeId; readonly fromSeq: number }
  | { readonly _tag: "StartTimer"; readonly timer: JobTimer }
  | { readonly _tag: "StopTimer"; readonly timer: JobTimer }
  | { readonly _tag: "CancelAttempt"; readonly nodeId: NodeId; readonly code: string }
  | { readonly _tag: "ReleaseLease"; readonly nodeId: NodeId; readonly lease: LeaseToken }
  | { readonly _tag: "CloseAttempt"; readonly code: string; readonly fault: Fault }
  | { readonly _tag: "Penalise"; readonly nodeId: NodeId; readonly code: string }
  | { readonly _tag: "Forgive"; readonly nodeIds: ReadonlyArray<NodeId> }
  | { readonly _tag: "Praise"; readonly nodeId: NodeId }
  | { readonly _tag: "Record"; readonly ending: Ending }
  | { readonly _tag: "Settle"; readonly ending: Ending; readonly claimed: boolean }
  | { readonly _tag: "AckNode"; readonly nodeId: NodeId; readonly status: "accepted" | "stale" }
  /** Back to `queued`, to be delivered to whoever is there. */
  | { readonly _tag: "HandBack" }
  | { readonly _tag: "Announce" }
  | { readonly _tag: "Stop" }

export type Step = readonly [JobMachine, ReadonlyArray<JobCommand>]

/** Nodes that may decline one job before it fails: a fleet that always declines must not keep a job for ever. */
export const REJECTIONS_MAX = 20

export const initial = (facts: MachineFacts): JobMachine => ({
  facts,
  phase: "new",
  claimed: false,
  adopting: false,
  epoch: 0,
  attempt: 0,
  failures: 0,
  rejections: 0,
  nodeId: null,
  lease: null,
  last: 0,
  tokens: 0,
  tried: [],
  faults: [],
  pending: null,
  ending: null
})

export const step = (machine: JobMachine, moment: JobMoment): Step => {
  switch (moment._tag) {
    case "Started":
      return started(machine, moment)
    case "Leased":
      return leased(machine, moment.nodeId, moment.lease)
    case "Unservable":
      return unservable(machine, moment.code)
    case "Claimed":
      return claimed(machine, moment)
    case "ClaimRefused":
      return claimRefused(machine, moment.why)
    case "Accepted":
      return accepted(machine)
    case "Rejected":
      return machine.phase === "assigned" ? attemptOver(machine, moment.code, "nobody") : stay(machine)
    case "Tokens":
      return tokens(machine, moment)
    case "Result":
      return result(machine, moment.last)
    case "AttemptFailed":
      return isWorking(machine) ? attemptOver(machine, moment.code, moment.fault) : stay(machine)
    case "NodeLost":
      return nodeLost(machine)
    case "NodeBack":
      return nodeBack(machine, moment.nodeId)
    case "TimerFired":
      return timerFired(machine, moment.timer)
    case "CancelAsked":
      return cancelAsked(machine, moment.cause)
    case "Recorded":
      return recorded(machine)
    case "Settled":
      return machine.phase === "settling" ? over(machine, "accepted") : stay(machine)
    case "Stale":
      return over(machine, "stale")
    case "Drained":
      return drained(machine)
  }
}

/** Plays moments from the beginning. */
export const replay = (facts: MachineFacts, moments: Iterable<JobMoment>): JobMachine => {
  let machine = initial(facts)
  for (const moment of moments) machine = step(machine, moment)[0]
  return machine
}

const stay = (machine: JobMachine): Step => [machine, []]

/** An attempt is with a node, or may be. */
const isWorking = ({ phase }: JobMachine) => phase === "assigned" || phase === "running" || phase === "grace"
const isEnding = ({ phase }: JobMachine) => phase === "recording" || phase === "settling" || phase === "over"

const started = (machine: JobMachine, moment: Extract<JobMoment, { _tag: "Started" }>): Step => {
  const fresh: JobMachine = {
    ...initial(machine.facts),
    epoch: moment.epoch,
    attempt: moment.attempt,
    failures: moment.failures,
    last: moment.last,
    tokens: moment.tokens,
    ...moment.past
  }
  if (moment.adopting) {
    const { nodeId, lease } = moment
    const adopting = { ...fresh, nodeId, lease, phase: "claiming" as const, adopting: true }
    return [adopting, [timer("deadline"), { _tag: "Claim", nodeId: null }]]
  }
  return toLeasing(fresh, [timer("deadline")])
}

const toLeasing = (machine: JobMachine, first: ReadonlyArray<JobCommand> = []): Step => [
  { ...machine, phase: "leasing", nodeId: null, lease: null },
  [...first, { _tag: "Lease", mustContinue: machine.facts.mustContinue && machine.last > 0, tried: machine.tried }]
]

const leased = (machine: JobMachine, nodeId: NodeId, lease: LeaseToken): Step =>
  machine.phase === "leasing"
    ? [{ ...machine, phase: "claiming", nodeId, lease }, [{ _tag: "Claim", nodeId }]]
    : [machine, [{ _tag: "ReleaseLease", nodeId, lease }]]

const unservable = (machine: JobMachine, code: string): Step => endNow(machine, { state: "failed", code }, code)

/** Ends it, and what runs of it; while the row is being claimed nobody knows under which epoch, so the end waits for the answer. */
const endNow = (machine: JobMachine, ending: Ending, code: string): Step => {
  if (isEnding(machine)) return stay(machine)
  if (machine.phase === "claiming") return [{ ...machine, pending: machine.pending ?? ending }, []]
  return prepend(cancelAttempt(machine, code), end(machine, ending))
}

const claimed = (machine: JobMachine, moment: Extract<JobMoment, { _tag: "Claimed" }>): Step => {
  if (machine.phase !== "claiming") return stay(machine)
  const ours = { ...machine, claimed: true, epoch: moment.epoch, attempt: moment.attempt }
  const ack: JobCommand = { _tag: "AckDelivery" }
  if (machine.pending !== null) {
    // The attempt that is taken over may still run; a new one was never told to anybody.
    const running = machine.adopting ? cancelAttempt({ ...ours, phase: "grace" }, machine.pending.code ?? "") : []
    return prepend([ack, ...running], end(ours, machine.pending))
  }
  if (machine.adopting) return adopt(ours, ack)
  const { nodeId, lease } = machine
  if (nodeId === null || lease === null) return stay(machine)
  const assign: JobCommand = { _tag: "Assign", nodeId, lease, firstSeq: machine.last + 1 }
  return [{ ...ours, phase: "assigned" }, [ack, timer("accept"), timer("execution"), assign]]
}

const adopt = (machine: JobMachine, ack: JobCommand): Step => {
  const { nodeId } = machine
  if (nodeId === null) return toLeasing({ ...machine, adopting: false }, [ack])
  const reattach: JobCommand = { _tag: "Reattach", nodeId, fromSeq: machine.last + 1 }
  return [{ ...machine, phase: "grace" }, [ack, timer("grace"), timer("execution"), reattach]]
}

const claimRefused = (machine: JobMachine, why: string): Step => {
  if (machine.phase !== "claiming") return stay(machine)
  const delivery: JobCommand = { _tag: why === "dead" || why === "requeued" ? "NackDelivery" : "AckDelivery" }
  return leave(machine, [], [delivery])
}

const accepted = (machine: JobMachine): Step =>
  machine.phase === "assigned"
    ? [{ ...machine, phase: "running" }, [...stopTimers("accept"), timer("idle")]]
    : stay(machine)

/** Pieces say that the node accepted, even if the word itself was lost with an earlier actor. */
const tokens = (machine: JobMachine, moment: Extract<JobMoment, { _tag: "Tokens" }>): Step => {
  if (!isWorking(machine) || moment.last <= machine.last) return stay(machine)
  const [running, commands] = accepted(machine)
  return [{ ...running, last: moment.last, tokens: machine.tokens + moment.tokens }, commands]
}

const result = (machine: JobMachine, last: number): Step => {
  if (!isWorking(machine) || last !== machine.last) return stay(machine)
  const praise: ReadonlyArray<JobCommand> = machine.nodeId === null ? [] : [{ _tag: "Praise", nodeId: machine.nodeId }]
  return prepend(praise, end(machine, { state: "completed", code: null }))
}

const nodeLost = (machine: JobMachine): Step =>
  machine.phase === "assigned" || machine.phase === "running"
    ? [{ ...machine, phase: "grace" }, [...stopTimers("accept", "idle"), timer("grace")]]
    : stay(machine)

const nodeBack = (machine: JobMachine, nodeId: NodeId): Step =>
  machine.phase === "grace" && machine.nodeId === nodeId
    ? [{ ...machine, phase: "running", adopting: false }, [...stopTimers("grace"), timer("idle")]]
    : stay(machine)

const timerFired = (machine: JobMachine, fired: JobTimer): Step => {
  switch (fired) {
    case "accept":
      return machine.phase === "assigned" ? attemptOver(machine, "accept_timeout", "node") : stay(machine)
    case "idle":
      return machine.phase === "running" ? attemptOver(machine, "idle_timeout", "node") : stay(machine)
    case "execution":
      return isWorking(machine) ? attemptOver(machine, "execution_timeout", "node") : stay(machine)
    case "grace":
      return machine.phase === "grace" ? attemptOver(machine, "node_lost", "node") : stay(machine)
    case "backoff":
      return machine.phase === "backoff" ? toLeasing(machine) : stay(machine)
    case "deadline":
      return deadline(machine)
  }
}

/** A job that never left the queue expired; one that was ours ran out of time. */
const deadline = (machine: JobMachine): Step => {
  if (machine.phase === "claiming") return [machine, [timer("deadline")]]
  return endNow(machine, { state: machine.claimed ? "timed_out" : "expired", code: "deadline" }, "deadline")
}

const cancelAsked = (machine: JobMachine, cause: CancelCause): Step =>
  endNow(machine, { state: "cancelled", code: cause }, "cancelled")

/** The attempt brought no result: is there another one, and may it go on from what was sent? */
const attemptOver = (machine: JobMachine, code: string, blamed: Fault): Step => {
  const { nodeId } = machine
  // What our own death cost an attempt is nobody's fault; deaths have a count of their own, in the row.
  const fault = machine.adopting && isLoss(code) ? "nobody" : blamed
  if (nodeId === null) return stay(machine)
  const faults = fault === "nobody" ? machine.faults : [...machine.faults, { nodeId, code }]
  const next: JobMachine = {
    ...machine,
    adopting: false,
    failures: machine.failures + (fault === "nobody" ? 0 : 1),
    rejections: machine.rejections + (fault === "nobody" ? 1 : 0),
    tried: machine.tried.includes(nodeId) ? machine.tried : [...machine.tried, nodeId],
    faults
  }
  const closing: Array<JobCommand> = [
    ...stopTimers("accept", "idle", "grace", "execution"),
    { _tag: "CancelAttempt", nodeId, code },
    { _tag: "CloseAttempt", code, fault },
    ...release(machine)
  ]
  if (fault === "node") closing.push({ _tag: "Penalise", nodeId, code })
  const alike = nodesFailingAlike(faults, code)
  if (alike.length >= 2) closing.push({ _tag: "Forgive", nodeIds: alike })
  const ending = verdict(next, code, alike.length >= 2)
  if (ending !== null) return prepend(closing, end({ ...next, lease: null }, ending))
  return [{ ...next, phase: "backoff", nodeId: null, lease: null }, [...closing, timer("backoff")]]
}

/** Different nodes that failed this job in the same way: then it is the job's fault. */
const nodesFailingAlike = (faults: ReadonlyArray<AttemptFault>, code: string): ReadonlyArray<NodeId> =>
  isNodesOwn(code) ? [] : [...new Set(faults.filter((fault) => fault.code === code).map(({ nodeId }) => nodeId))]

const TIMEOUTS: ReadonlySet<string> = new Set(["accept_timeout", "idle_timeout", "execution_timeout"])

const verdict = (machine: JobMachine, code: string, jobsFault: boolean): Ending | null => {
  const { facts } = machine
  const bad = (): Ending => ({ state: TIMEOUTS.has(code) ? "timed_out" : "failed", code })
  if (jobsFault || machine.failures >= facts.failuresMax) return bad()
  if (machine.rejections >= REJECTIONS_MAX) return { state: "failed", code: "declined" }
  if (facts.mustContinue && machine.last > 0 && facts.onNodeLoss !== "continue") {
    return { state: "failed", code: "node_lost_mid_stream" }
  }
  return facts.onNodeLoss === "fail" && isLoss(code) ? bad() : null
}

const recorded = (machine: JobMachine): Step =>
  machine.phase === "recording" && machine.ending !== null
    ? [{ ...machine, phase: "settling" }, [{ _tag: "Settle", ending: machine.ending, claimed: machine.claimed }]]
    : stay(machine)

const over = (machine: JobMachine, status: "accepted" | "stale"): Step => {
  if (machine.phase === "over") return stay(machine)
  const node: ReadonlyArray<JobCommand> =
    machine.nodeId === null ? [] : [{ _tag: "AckNode", nodeId: machine.nodeId, status }]
  const delivery: ReadonlyArray<JobCommand> = machine.claimed ? [] : [{ _tag: "AckDelivery" }]
  return leave(machine, node, delivery)
}

/** Who is leaving hands on what nobody works on; an attempt in progress stays with its node, to be adopted. */
const drained = (machine: JobMachine): Step => {
  if (machine.phase === "over") return stay(machine)
  const claimedBack: ReadonlyArray<JobCommand> =
    machine.phase === "leasing" || machine.phase === "backoff" ? [{ _tag: "HandBack" }] : []
  const handBack: ReadonlyArray<JobCommand> = machine.claimed ? claimedBack : [{ _tag: "NackDelivery" }]
  return leave(machine, [], handBack)
}

const leave = (machine: JobMachine, first: ReadonlyArray<JobCommand>, then: ReadonlyArray<JobCommand>): Step => {
  const waits: ReadonlyArray<JobCommand> = machine.phase === "leasing" ? [{ _tag: "ForgetLease" }] : []
  const mine = [...first, ...waits, ...releaseUntold(machine)]
  return [{ ...machine, phase: "over", lease: null }, [...mine, ...then, { _tag: "Announce" }, { _tag: "Stop" }]]
}

const end = (machine: JobMachine, ending: Ending): Step => [
  { ...machine, phase: "recording", lease: null, ending },
  [
    ...(machine.phase === "leasing" ? [{ _tag: "ForgetLease" } as const] : []),
    ...stopTimers("deadline", "accept", "idle", "grace", "execution", "backoff"),
    ...release(machine),
    { _tag: "Record", ending }
  ]
]

const cancelAttempt = (machine: JobMachine, code: string): ReadonlyArray<JobCommand> =>
  isWorking(machine) && machine.nodeId !== null
    ? [
        { _tag: "CancelAttempt", nodeId: machine.nodeId, code },
        { _tag: "CloseAttempt", code, fault: "nobody" }
      ]
    : []

const release = ({ nodeId, lease }: JobMachine): ReadonlyArray<JobCommand> =>
  nodeId === null || lease === null ? [] : [{ _tag: "ReleaseLease", nodeId, lease }]

/** For who leaves the job to another actor: the slot of an attempt goes with the attempt, only one that no node was told of is given back. */
const releaseUntold = (machine: JobMachine): ReadonlyArray<JobCommand> =>
  machine.phase === "claiming" && !machine.adopting ? release(machine) : []

const timer = (of: JobTimer): JobCommand => ({ _tag: "StartTimer", timer: of })
const stopTimers = (...all: ReadonlyArray<JobTimer>): ReadonlyArray<JobCommand> =>
  all.map((of) => ({ _tag: "StopTimer", timer: of }))
const prepend = (first: ReadonlyArray<JobCommand>, [machine, commands]: Step): Step => [
  machine,
  [...first, ...commands]
]
