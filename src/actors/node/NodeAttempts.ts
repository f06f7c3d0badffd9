/**
 * The attempts on one node: given, followed, given up. A frame that speaks of an attempt which is not this node's, or no longer, has no effect
 * on any job; the agent is told to forget it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { waitOut } from "../../layers/Outage.ts"
import { isTerminal, type JobRow } from "../../schemas/JobState.ts"
import type { AgentFrame } from "../../schemas/AgentFrame.ts"
import type { JobId, NodeId } from "../../schemas/Ids.ts"
import { isSigned, report, sendFrame, slotsUsed, type HeldAttempt, type NodeActorState } from "./NodeActorState.ts"
import type { Assignment, NodeMessage } from "./NodeMessages.ts"
import { onHeartbeat, raise, startDrain } from "./NodeStanding.ts"
import { onTestFrame } from "./NodeTests.ts"

type Frame<Tag extends AgentFrame["_tag"]> = Extract<AgentFrame, { _tag: Tag }>
type Told<Tag extends NodeMessage["_tag"]> = Extract<NodeMessage, { _tag: Tag }>
type AttemptFrame = Frame<"Accept" | "Reject" | "Pieces" | "Result" | "Fail">

export const assign = (state: NodeActorState, { model: _model, ...assignment }: Assignment) =>
  Effect.sync(() => {
    const { nodeId, session, lifecycle, row } = state
    const { jobId, attempt, epoch, firstSeq } = assignment
    const reject = (code: string) => void report(state, jobId, { _tag: "NodeRejected", nodeId, attempt, code })
    if (session === null) return reject("gone")
    if (lifecycle !== "active") return reject(lifecycle)
    // What it still runs from before fills slots that nobody here has counted yet.
    if (!state.saidHolding) return reject("busy")
    if (state.restrictions.length > 0) return reject("restricted")
    if (slotsUsed(state) >= row.profile.slots) return reject("busy")
    if (!sendFrame(state, { _tag: "Assign", ...assignment })) return reject("unreachable")
    state.attempts.set(jobId, { attempt, epoch, firstSeq, done: false })
  })

/** Go on under a new epoch with what the agent has kept; an attempt that it does not hold is lost for good. */
export const reattach = (state: NodeActorState, { jobId, attempt, epoch, fromSeq }: Told<"Reattach">) =>
  Effect.sync(() => {
    const { nodeId } = state
    const known = state.attempts.get(jobId) ?? state.held.get(jobId)
    if (known?.attempt !== attempt) {
      if (state.session === null || !state.saidHolding) return void state.awaited.set(jobId, attempt)
      return void report(state, jobId, { _tag: "NodeFailed", nodeId, attempt, code: "attempt_lost", fault: "node" })
    }
    state.held.delete(jobId)
    known.epoch = epoch
    known.done = false
    state.attempts.set(jobId, known)
    if (!sendFrame(state, { _tag: "Resume", jobId, attempt, epoch, fromSeq })) return
    report(state, jobId, { _tag: "NodeResumed", nodeId, attempt, firstSeq: known.firstSeq })
  })

export const cancelAttempt = (state: NodeActorState, { jobId, attempt, code }: Told<"CancelAttempt">) =>
  Effect.sync(() => {
    forget(state, jobId, attempt)
    sendFrame(state, { _tag: "Cancel", jobId, attempt, code })
  })

export const settleAttempt = (state: NodeActorState, { jobId, attempt, status }: Told<"SettleAttempt">) =>
  Effect.sync(() => {
    forget(state, jobId, attempt)
    sendFrame(state, { _tag: "Settled", jobId, attempt, status })
  })

const forget = (state: NodeActorState, jobId: JobId, attempt: number): void => {
  if (state.attempts.get(jobId)?.attempt === attempt) state.attempts.delete(jobId)
  if (state.held.get(jobId)?.attempt === attempt) state.held.delete(jobId)
  if (state.awaited.get(jobId) === attempt) state.awaited.delete(jobId)
}

export const onFrames = (state: NodeActorState, frames: ReadonlyArray<AgentFrame>): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    state.lastFrameAt = yield* Clock.currentTimeMillis
    for (const frame of frames) yield* onFrame(state, frame)
  })

const onFrame = (state: NodeActorState, frame: AgentFrame): Effect.Effect<void, unknown> => {
  switch (frame._tag) {
    case "Pieces":
    case "Accept":
    case "Reject":
    case "Result":
    case "Fail":
      return onAttemptFrame(state, frame)
    case "Heartbeat":
      return onHeartbeat(state, frame)
    case "Holding":
      return onHolding(state, frame)
    case "Bye":
      return startDrain(state)
    case "Authenticate":
      return Effect.sync(() => state.session?.end("bad_frame"))
  }
}

const onAttemptFrame = (state: NodeActorState, frame: AttemptFrame): Effect.Effect<void> => {
  if (state.tests.has(frame.jobId)) return onTestFrame(state, frame)
  const known = state.attempts.get(frame.jobId)
  if (known === undefined || known.attempt !== frame.attempt || known.epoch !== frame.epoch) {
    return onForeignFrame(state, frame, known)
  }
  if (frame._tag === "Result" && !isSigned(state, frame)) {
    state.attempts.delete(frame.jobId)
    report(state, frame.jobId, {
      _tag: "NodeFailed",
      nodeId: state.nodeId,
      attempt: frame.attempt,
      code: "bad_signature",
      fault: "node"
    })
    sendFrame(state, { _tag: "Settled", jobId: frame.jobId, attempt: frame.attempt, status: "refused" })
    return raise(state, "bad_signature", "high", frame.jobId, { attempt: frame.attempt })
  }
  return Effect.sync(() => pass(state, known, frame))
}

const pass = (state: NodeActorState, known: HeldAttempt, frame: AttemptFrame): void => {
  const { nodeId } = state
  const { jobId, attempt, epoch } = frame
  switch (frame._tag) {
    case "Pieces":
      return void report(state, jobId, { _tag: "NodePieces", nodeId, attempt, epoch, pieces: frame.pieces })
    case "Accept":
      return void report(state, jobId, { _tag: "NodeAccepted", nodeId, attempt })
    case "Result":
      known.done = true
      if (state.session === null) return
      return void report(state, jobId, { _tag: "NodeResult", nodeId, result: frame, vouch: state.session.vouch })
    case "Reject":
      state.attempts.delete(jobId)
      return void report(state, jobId, { _tag: "NodeRejected", nodeId, attempt, code: frame.code })
    case "Fail":
      state.attempts.delete(jobId)
      return void report(state, jobId, { _tag: "NodeFailed", nodeId, attempt, code: frame.code, fault: frame.fault })
  }
}

/**
 * Late, from before a new epoch, or never this node's. A frame of an older epoch of an attempt that goes on is merely late; a finished one is
 * acknowledged so that the agent forgets it; anything else is stopped.
 */
const onForeignFrame = (state: NodeActorState, frame: AttemptFrame, known: HeldAttempt | undefined) => {
  const { jobId, attempt } = frame
  if (known?.attempt === attempt) return Effect.void
  const held = state.held.get(jobId)
  if (held?.attempt === attempt) {
    if (frame._tag === "Result") held.done = true
    return Effect.void
  }
  sendFrame(state, { _tag: "Settled", jobId, attempt, status: "stale" })
  return frame._tag === "Result" ? raise(state, "foreign_result", "medium", jobId, { attempt }) : Effect.void
}

/** What the agent kept from before: its jobs are told; where there is no actor yet, the deciding store says whether there will be one. */
const onHolding = (state: NodeActorState, { attempts }: Frame<"Holding">) =>
  Effect.gen(function* () {
    const { nodeId } = state
    state.saidHolding = true
    const orphans: Array<{ readonly jobId: JobId; readonly attempt: number }> = []
    for (const { jobId, attempt, epoch, firstSeq, done } of attempts) {
      if (state.attempts.has(jobId)) continue
      state.held.set(jobId, { attempt, epoch, firstSeq, done })
      if (state.awaited.get(jobId) === attempt) state.awaited.delete(jobId)
      if (!report(state, jobId, { _tag: "NodeHolds", nodeId, attempt, firstSeq })) orphans.push({ jobId, attempt })
    }
    for (const [jobId, attempt] of state.awaited) {
      report(state, jobId, { _tag: "NodeFailed", nodeId, attempt, code: "attempt_lost", fault: "node" })
    }
    state.awaited.clear()
    if (orphans.length > 0) yield* state.self.fork(settleOver(state, orphans))
  })

/** What is still only held has a job that did not ask for it: it may be over, or go on elsewhere, without a word to this node. */
export const lookAtHeld = (state: NodeActorState): Effect.Effect<void> => {
  const { nodeId } = state
  const orphans = Array.from(state.held, ([jobId, { attempt, firstSeq }]) => ({ jobId, attempt, firstSeq })).filter(
    ({ jobId, attempt, firstSeq }) => !report(state, jobId, { _tag: "NodeHolds", nodeId, attempt, firstSeq })
  )
  return orphans.length === 0 ? Effect.void : state.self.fork(settleOver(state, orphans))
}

/**
 * The node is here now, so its job belongs here: its owner, dead or alive, cannot reach it. So does one that this very attempt completed: its record
 * may still want what the node holds, and its actor tells the node when it does not.
 */
const adoptFrom = ({ house, nodeId }: NodeActorState, { job, owner, nodeId: theirs }: JobRow) =>
  owner === house.daemonId || theirs !== nodeId
    ? Effect.void
    : house.mail.handle({ _tag: "AdoptJob", jobId: job.id, namespaceId: job.namespaceId, from: owner })

const isOver = (row: JobRow, nodeId: NodeId): boolean =>
  isTerminal(row.state) && !(row.state === "completed" && row.nodeId === nodeId)

const settleOver = (state: NodeActorState, orphans: ReadonlyArray<{ jobId: JobId; attempt: number }>) =>
  Effect.forEach(
    orphans,
    ({ jobId, attempt }) =>
      Effect.gen(function* () {
        const row = yield* waitOut(state.house.store.get(jobId))
        // A job that waits again is past this attempt; one that is active may still ask for it.
        const over = row === null || isOver(row, state.nodeId) || row.state === "queued" || row.attempt !== attempt
        if (over) return void state.self.self.tellUnsafe({ _tag: "SettleAttempt", jobId, attempt, status: "stale" })
        yield* adoptFrom(state, row)
      }),
    { concurrency: 8, discard: true }
  )
