/** How a job's actor carries out what its machine decided. Stores are asked beside the mailbox, and their answers come back as messages. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import * as Metrics from "../../layers/Metrics.ts"
import type { Claimed } from "../../layers/JobStore.ts"
import { waitOut } from "../../layers/Outage.ts"
import { piecesHash } from "../../layers/Signatures.ts"
import { isInUse } from "../../policies/LeaseStanding.ts"
import { step, type JobCommand } from "../../policies/JobMachine.ts"
import { noOutput } from "../../policies/OutputTokens.ts"
import { backoffMs } from "../../policies/Retry.ts"
import { DISPATCHER, nodeAddress } from "../../schemas/Address.ts"
import { freshEnvelope } from "../../schemas/Envelope.ts"
import { attemptOfLease, type NodeId } from "../../schemas/Ids.ts"
import type { JobMoment, JobTimer } from "../../schemas/JobMoment.ts"
import { saltOf } from "../../schemas/JobRecord.ts"
import { isTerminal, type JobRow } from "../../schemas/JobState.ts"
import { textByChoice } from "../../schemas/TokenEvent.ts"
import type { DispatchMessage } from "../dispatch/DispatchMessages.ts"
import type { NodeMessage } from "../node/NodeMessages.ts"
import type { JobActorState, JobHouse } from "./JobActorState.ts"
import { close } from "./JobFeed.ts"
import { noteAttemptClosed, noteAttemptOpened, noteRetry } from "./JobNotes.ts"
import { assignedBody } from "./Asked.ts"
import { record, recordAgain, settle } from "./Settlement.ts"

/** Tells the machine, keeps the moment, performs what follows. Moments of arriving pieces add up to one. */
export const apply = (state: JobActorState, moment: JobMoment): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    const [machine, commands] = step(state.machine, moment)
    state.machine = machine
    const before = state.moments.at(-1)
    const at = yield* Clock.currentTimeMillis
    if (moment._tag === "Tokens" && before?.moment._tag === "Tokens") {
      const tokens = before.moment.tokens + moment.tokens
      state.moments[state.moments.length - 1] = { at: before.at, moment: { ...moment, tokens } }
    } else state.moments.push({ at, moment })
    for (const command of commands) yield* perform(state, command)
  })

export const perform = (state: JobActorState, command: JobCommand): Effect.Effect<void, unknown> => {
  if (state.recordPending && isFarewell(command)) return partLater(state, command)
  switch (command._tag) {
    case "Lease":
      return want(state, command.mustContinue, command.tried)
    case "ForgetLease":
      return Effect.sync(() => void tellDispatcher(state, { _tag: "Forget", jobId: state.job.id }))
    case "Claim":
      return claim(state, command.nodeId)
    case "AckDelivery":
      return state.delivery.ack
    case "NackDelivery":
      return giveBack(state)
    case "Assign":
      return assign(state, command)
    case "Reattach":
      return reattach(state, command.nodeId, command.fromSeq)
    case "StartTimer":
      return startTimer(state, command.timer)
    case "StopTimer":
      return state.self.cancelAfter(command.timer)
    case "CancelAttempt":
      return toNode(state, command.nodeId, { _tag: "CancelAttempt", ...attemptOf(state), code: command.code })
    case "ReleaseLease":
      return release(state, command)
    case "CloseAttempt":
      return noteAttemptClosed(state, command.code, command.fault)
    case "Penalise":
      return toNode(state, command.nodeId, { _tag: "Penalise", jobId: state.job.id, code: command.code })
    case "Forgive":
      return Effect.sync(() => command.nodeIds.forEach((nodeId) => tellNode(state, nodeId, { _tag: "Forgive" })))
    case "Praise":
      return praise(state, command.nodeId)
    case "Record":
      return record(state, command.ending)
    case "Settle":
      return settle(state, command.ending, command.claimed)
    case "AckNode":
      return toNode(state, command.nodeId, { _tag: "SettleAttempt", ...attemptOf(state), status: command.status })
    case "HandBack":
      return handBack(state)
    case "Announce":
      return Effect.sync(() => announce(state))
    case "Stop":
      return state.self.stop
  }
}

const release = (
  { house, machine, row }: JobActorState,
  { nodeId, lease }: Extract<JobCommand, { _tag: "ReleaseLease" }>
): Effect.Effect<void> => {
  // Told of it twice, it still has it once.
  if (machine.nodeId === nodeId && machine.lease === lease) return Effect.void
  if ((attemptOfLease(lease)?.attempt ?? 0) <= machine.attempt) return house.release(nodeId, lease)
  return isInUse(row, nodeId, lease) ? Effect.void : house.releaseUnclaimed(nodeId, lease)
}

/** Somebody else had the job since. What waits in the queue again needs its message, so that goes back. */
export const yieldTo = (state: JobActorState, row: JobRow): Effect.Effect<void, unknown> =>
  apply(state, { _tag: row.state === "queued" && !state.machine.claimed ? "Drained" : "Stale" })

/** Of a daemon that was declared dead it goes back with its channel, in a moment: given back at once, it would come here again, and again. */
const giveBack = ({ delivery, moments }: JobActorState): Effect.Effect<void> => {
  const last = moments.at(-1)?.moment
  return last?._tag === "ClaimRefused" && last.why === "dead" ? Effect.void : delivery.nack
}

/** What waits until the record is written: the node keeps its result, and the actor stays, for that long. */
const isFarewell = ({ _tag }: JobCommand) => _tag === "AckNode" || _tag === "Stop"

const partLater = (state: JobActorState, command: JobCommand) => {
  const first = state.parting.length === 0
  state.parting = [...state.parting, command]
  return first ? recordAgain(state) : Effect.void
}

export const tellNode = ({ house }: { readonly house: JobHouse }, nodeId: NodeId, message: NodeMessage): boolean => {
  const found = house.registry.find<NodeMessage>(nodeAddress(nodeId))
  return found._tag === "Some" && found.value.tellUnsafe(message)
}

const toNode = (state: JobActorState, nodeId: NodeId, message: NodeMessage) =>
  Effect.sync(() => void tellNode(state, nodeId, message))

const tellDispatcher = (state: JobActorState, message: DispatchMessage): boolean => {
  const found = state.house.registry.find<DispatchMessage>(DISPATCHER)
  return found._tag === "Some" && found.value.tellUnsafe(message)
}

const attemptOf = ({ job, machine }: JobActorState) => ({ jobId: job.id, attempt: machine.attempt })

const want = (state: JobActorState, mustContinue: boolean, tried: ReadonlyArray<NodeId>) =>
  Effect.suspend(() => {
    const { job, settings, grant, self } = state
    if (grant !== null) {
      state.grant = null
      const { nodeId, lease, decision } = grant
      self.self.tellUnsafe({ _tag: "Leased", nodeId, lease, decision, daemonId: state.house.daemonId })
      return Effect.void
    }
    const told = tellDispatcher(state, {
      _tag: "Want",
      wanting: {
        job,
        namespaceId: job.namespaceId,
        weight: state.weight,
        attempt: state.machine.attempt + 1,
        mustContinue,
        tried: new Set(tried),
        leaseMs: settings.executionMs + settings.graceMs + settings.acceptMs
      }
    })
    // The dispatcher is between two incarnations: it asks everybody again when it is back.
    return told ? Effect.void : state.self.after("want", 200, { _tag: "DispatcherRestarted" })
  })

const claim = (state: JobActorState, nodeId: NodeId | null) => {
  const { house, job, machine, row, self, from } = state
  const { adopting, failures } = machine
  const asked = Effect.gen(function* () {
    const answered = yield* waitOut(
      house.store.claim({
        jobId: job.id,
        daemonId: house.daemonId,
        nodeId,
        epochSeen: row.epoch,
        failures,
        from,
        crashed: adopting,
        at: yield* Clock.currentTimeMillis
      })
    )
    const claimed = isOurs(answered, state, nodeId ?? row.nodeId)
      ? { _tag: "Claimed" as const, row: answered.row }
      : answered
    const taken = (adopting || from !== null) && claimed._tag === "Claimed"
    return { claimed, durable: taken ? yield* waitOut(house.traces.fence(job.id, claimed.row.epoch)) : [] }
  })
  return self.fork(asked, (exit) => ({ _tag: "ClaimAnswered", exit }))
}

/** A job that is over by then needs no word of its progress. */
const PROGRESS_AFTER_MS = 250

/** Refused, because a claim of ours whose answer was lost took effect: the row is exactly as it left it. */
const isOurs = (
  answer: Claimed,
  { house, row: seen }: JobActorState,
  nodeId: NodeId | null
): answer is Claimed & { readonly row: JobRow } =>
  answer._tag === "Refused" &&
  answer.why === "epoch" &&
  answer.row?.state === "active" &&
  answer.row.owner === house.daemonId &&
  answer.row.epoch === seen.epoch + 1 &&
  answer.row.nodeId === nodeId

const assign = (state: JobActorState, command: Extract<JobCommand, { _tag: "Assign" }>) =>
  Effect.gen(function* () {
    const { job, feed, machine } = state
    const { nodeId, lease, firstSeq } = command
    const now = yield* Clock.currentTimeMillis
    const salt = saltOf(state.record)
    state.attempt = {
      firstSeq,
      assignedAt: now,
      firstTokenAt: null,
      hash: piecesHash(salt),
      counted: noOutput,
      repeats: 0
    }
    state.lastPieceAt = now
    noteAttemptOpened(state, nodeId, now)
    if (firstSeq > 1) yield* Metric.update(Metrics.handovers, 1)
    const told = tellNode(state, nodeId, {
      _tag: "Assign",
      assignment: {
        jobId: job.id,
        attempt: machine.attempt,
        epoch: machine.epoch,
        lease,
        model: job.model,
        endpoint: job.endpoint,
        body: assignedBody(state),
        salt,
        firstSeq,
        prefix: job.endpoint === "embeddings" ? [] : textByChoice(feed.events),
        outputTokensMax: Math.max(1, job.outputTokensMax - machine.tokens),
        deadlineMs: Math.max(1, Math.min(job.deadlineAt - now, state.settings.executionMs))
      }
    })
    if (!told) return yield* apply(state, { _tag: "Rejected", code: "gone" })
    yield* state.self.after("progress", PROGRESS_AFTER_MS, { _tag: "ProgressDue" })
  })

/** Asked again while the grace lasts: the node may be on its way back, and then either goes on or says that it has nothing. */
const reattach = (state: JobActorState, nodeId: NodeId, fromSeq: number) =>
  Effect.suspend(() => {
    tellNode(state, nodeId, { _tag: "Reattach", ...attemptOf(state), epoch: state.machine.epoch, fromSeq })
    return state.machine.phase === "grace"
      ? state.self.after("reattach", REATTACH_AGAIN_MS, { _tag: "ReattachAgain" })
      : Effect.void
  })

const REATTACH_AGAIN_MS = 200

/** Soonest that a deadline rings again when it rang while the row was being claimed. */
const DEADLINE_AGAIN_MS = 50

const startTimer = (state: JobActorState, timer: JobTimer) =>
  Effect.gen(function* () {
    const { settings, job, self, machine } = state
    const left = job.deadlineAt - (yield* Clock.currentTimeMillis)
    const after = (ms: number) => self.after(timer, ms, { _tag: "Timer", timer })
    switch (timer) {
      case "accept":
        return yield* after(settings.acceptMs)
      case "execution":
        return yield* after(settings.executionMs)
      case "idle":
        return yield* after(settings.idleMs)
      case "grace":
        return yield* after(settings.graceMs)
      case "backoff": {
        const rules = { firstMs: settings.backoffMs, maxMs: settings.backoffMaxMs }
        const tries = Math.max(1, machine.failures + machine.rejections)
        const delayMs = backoffMs(tries, rules, yield* Random.next)
        yield* noteRetry(state, delayMs)
        return yield* after(delayMs)
      }
      case "deadline":
        return yield* after(Math.max(left, machine.phase === "claiming" ? DEADLINE_AGAIN_MS : 0))
    }
  })

const praise = (state: JobActorState, nodeId: NodeId) =>
  Effect.gen(function* () {
    const { assignedAt, firstTokenAt, counted } = state.attempt
    const now = yield* Clock.currentTimeMillis
    const seconds = Math.max((now - (firstTokenAt ?? assignedAt)) / 1000, 0.001)
    yield* noteAttemptClosed(state, "succeeded", "nobody")
    yield* toNode(state, nodeId, {
      _tag: "Praise",
      firstTokenMs: (firstTokenAt ?? now) - assignedAt,
      tokensPerSecond: counted.tokens / seconds
    })
  })

const handBack = (state: JobActorState) =>
  Effect.gen(function* () {
    const { house, job, machine } = state
    const at = yield* Clock.currentTimeMillis
    yield* waitOut(
      house.store.release({
        jobId: job.id,
        daemonId: house.daemonId,
        epoch: machine.epoch,
        runAt: at,
        code: "drained",
        envelope: yield* freshEnvelope(
          { _tag: "JobQueued", jobId: job.id, namespaceId: job.namespaceId },
          { deadlineAt: job.deadlineAt, attempt: machine.attempt, traceparent: job.traceparent }
        ),
        at
      })
    )
  })

/** The last word to readers: the end, or that somebody else acts for the job from now on. */
export const announce = (state: JobActorState): void => {
  const { feed, row, house, moments } = state
  const last = moments.at(-1)?.moment._tag
  // Of a job that somebody else ended, others may have said more than is known here.
  const isOurEnd = last === "Settled" && isTerminal(row.state)
  close(feed, isOurEnd ? { row } : last === "Drained" ? "left" : "moved")
  house.feeds.forget(feed)
}
