/**
 * One job from delivery to end. What it owns: the job's row (once claimed), its record, its feed. What ends it: the job's end, another
 * owner, or a drain. It decides nothing itself: every message becomes a moment for `policies/JobMachine`, whose commands it performs.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { ActorContext, Behavior } from "../../kernel/Actor.ts"
import { type Guarded, WITHDRAWN } from "../../layers/JobStore.ts"
import { Outage, waitOut } from "../../layers/Outage.ts"
import { recordSpan, withParent } from "../../layers/Traced.ts"
import { leaseTokenOf, type JobId } from "../../schemas/Ids.ts"
import type { Hold } from "./HeldDeliveries.ts"
import type { JobRecord } from "../../schemas/JobRecord.ts"
import { isTerminal, type JobRow } from "../../schemas/JobState.ts"
import type { RuntimeSettings } from "../../schemas/RuntimeSettings.ts"
import type { TokenEvent } from "../../schemas/TokenEvent.ts"
import { initial } from "../../policies/JobMachine.ts"
import { isLoss } from "../../policies/NodeFaults.ts"
import { measureOutput, noOutput } from "../../policies/OutputTokens.ts"
import type { Arrival, AttemptProgress, JobActorState, JobHouse } from "./JobActorState.ts"
import { announce, apply, perform, yieldTo } from "./JobCommands.ts"
import { endFeed, publish } from "./JobFeed.ts"
import { onLeaseDoubted, onLeaseDoubtedStill, refuseGrant } from "./JobLease.ts"
import { leasedElsewhere, onHandoverOverdue, onHandoverSent, onTaken } from "./JobHandover.ts"
import type { ClaimAnswer, JobMessage } from "./JobMessages.ts"
import {
  completeWhole,
  finishedIn,
  isWhole,
  onNodeHolds,
  onNodePieces,
  onNodeResult,
  onNodeResumed,
  reattachAgain,
  storePieces
} from "./JobPieces.ts"
import { withdraw, withdrawnRecord } from "../OpenRecord.ts"
import { endPoisoned } from "./PoisonedJob.ts"
import { beginRescue, isRescue, type RecordRescue, rescueOn } from "./RecordRescue.ts"
import { recordAgain, recordProgress } from "./Settlement.ts"

export interface JobOptions extends Omit<Arrival, "delivery"> {
  readonly jobId: JobId
  readonly delivery: Hold
  readonly settings: RuntimeSettings
  /** The namespace's share of its lanes. */
  readonly weight: number
}

/** Crashes of one actor without getting as far as a claim; then its job is poison. */
const RESTARTS_MAX = 5
/** Crashes after which not even its ending as poison is left to the actor. */
const ENDINGS_MAX = 2 * RESTARTS_MAX

/** Phases in which nobody works on the job. */
const IDLE: ReadonlySet<string> = new Set(["new", "leasing", "backoff"])
/** Before asking a full dispatcher again. */
const ROOM_FULL_PAUSE = "1 second"

type State = JobActorState | RecordRescue | null

export const behavior = (house: JobHouse, options: JobOptions): Behavior<JobMessage, State> => ({
  init: (self) => init(house, options, self),
  // What it asks of stores and nodes meanwhile stands in the job's own trace.
  receive: (state, message, self) =>
    state === null ? self.stop : withParent(state.job.traceparent)(Effect.as(receive(state, message), state))
})

/** Null, with the delivery done: there is nothing to act for. The message to itself ends the actor. */
const init = Effect.fnUntraced(function* (
  house: JobHouse,
  options: JobOptions,
  self: ActorContext<JobMessage>
): Effect.fn.Return<State, unknown> {
  const { jobId, delivery } = options
  // Waited out in here: a start that an outage broke would look like one of a job that breaks its actor.
  const fresh = self.restarts === 0 ? house.fresh.take(jobId) : undefined
  const row = fresh?.row ?? (yield* waitOut(house.store.get(jobId)))
  if (row === null || isTerminal(row.state)) {
    endFeed(house.feeds, jobId)
    if (options.grant !== null) yield* refuseGrant(house, options, row)
    yield* delivery.ack
    const rescue = row === null ? null : yield* beginRescue(house, row, self)
    if (rescue === null) self.self.tellUnsafe({ _tag: "EndedElsewhere" })
    return rescue
  }
  if (self.restarts > ENDINGS_MAX && (row.owner === null || row.owner === house.daemonId)) {
    yield* endPoisoned(house, row)
    endFeed(house.feeds, jobId)
    yield* delivery.ack
    self.self.tellUnsafe({ _tag: "EndedElsewhere" })
    return null
  }
  const reader = { _tag: "Operator", by: `daemon/${house.daemonId}` } as const
  const found = fresh?.record ?? (yield* waitOut(house.records.get(reader, jobId)))
  const record = found ?? (row.epoch === 0 ? yield* withdraw(house, row.job) : null)
  const durable = row.epoch === 0 ? [] : yield* waitOut(house.traces.fence(jobId, row.epoch))
  const grant = self.restarts === 0 ? options.grant : null
  if (grant !== null && grant.epoch !== row.epoch) return yield* declineGrant(house, options, self, row)
  const state = makeState(house, options, self, row, record ?? withdrawnRecord(row.job), durable)
  const adopting = row.state === "active" && grant === null
  yield* apply(state, {
    _tag: "Started",
    epoch: row.epoch,
    attempt: row.attempt,
    failures: row.failures,
    last: state.feed.events.length,
    tokens: measureOutput(state.feed.events).tokens,
    adopting,
    nodeId: adopting ? row.nodeId : null,
    lease: adopting && row.attempt > 0 ? leaseTokenOf(jobId, row.attempt) : null,
    ...(grant === null ? {} : { past: grant.past })
  })
  if (record === null) yield* apply(state, { _tag: "Unservable", code: "record_missing" })
  else if (record.errorCode === WITHDRAWN) yield* apply(state, { _tag: "Unservable", code: WITHDRAWN })
  else if (self.restarts > RESTARTS_MAX) yield* apply(state, { _tag: "Unservable", code: "poison" })
  return state
})

/** The row went on since the slot was leased for it. */
const declineGrant = (house: JobHouse, options: JobOptions, self: ActorContext<JobMessage>, row: JobRow) =>
  Effect.gen(function* () {
    yield* refuseGrant(house, options, row)
    yield* options.delivery.nack
    return yield* Effect.as(self.stop, null)
  })

const makeState = (
  house: JobHouse,
  { delivery, settings, weight, from, grant, followers }: JobOptions,
  self: ActorContext<JobMessage>,
  row: JobRow,
  record: JobRecord,
  durable: ReadonlyArray<TokenEvent>
): JobActorState => {
  const feed = house.feeds.open(row.job.id, row.job.namespaceId)
  // What readers were shown stays, even where the store lacks it; what nobody saw gives way to what is stored.
  if (durable.length > feed.published) feed.events.splice(0, feed.events.length, ...durable)
  else feed.events.length = feed.published
  feed.epoch = row.epoch
  for (const by of followers) house.relay.follow(feed, by)
  publish(feed, durable.length)
  return {
    house,
    self,
    job: row.job,
    settings,
    weight,
    record,
    feed,
    delivery,
    from,
    grant: self.restarts === 0 ? grant : null,
    handing: null,
    row,
    machine: initial({
      onNodeLoss: row.job.onNodeLoss,
      mustContinue: row.job.endpoint !== "embeddings",
      failuresMax: row.job.failuresMax
    }),
    moments: [...record.moments],
    routing: record.routing,
    failures: record.evaluation.failures,
    logs: [],
    stored: durable.length,
    storing: false,
    tracesOut: false,
    outputBytes: 0,
    attempt: attemptBefore(row, record, feed.events),
    result: null,
    suspicious: false,
    contested: false,
    over: finishedIn(feed.events),
    noting: null,
    lastPieceAt: 0,
    leasedAt: record.system.queueMs === null ? null : row.job.acceptedAt + record.system.queueMs,
    firstTokenAt: record.system.firstTokenMs === null ? null : row.job.acceptedAt + record.system.firstTokenMs,
    recordPending: false,
    parting: []
  }
}

/** What is known of the attempt that the row names; its hash has to be made again once its node says where it began. */
const attemptBefore = (
  { attempt }: JobRow,
  { routing }: JobRecord,
  events: ReadonlyArray<TokenEvent>
): AttemptProgress => {
  const last = routing.attempts.at(-1)
  const known = last?.attempt === attempt && last.endedAt === null ? last : undefined
  return {
    firstSeq: known?.firstSeq ?? events.length + 1,
    assignedAt: known?.assignedAt ?? 0,
    firstTokenAt: known?.firstTokenAt ?? null,
    hash: null,
    counted: known === undefined ? noOutput : measureOutput(events.slice(known.firstSeq - 1)),
    repeats: 0
  }
}

const receive = (state: JobActorState | RecordRescue, message: JobMessage): Effect.Effect<void, unknown> =>
  isRescue(state) ? rescueOn(state, message) : act(state, message)

const act = (state: JobActorState, message: JobMessage): Effect.Effect<void, unknown> => {
  switch (message._tag) {
    case "NodePieces":
      return onNodePieces(state, message)
    case "PiecesStored":
      return onPiecesStored(state, message)
    case "StoreAgain":
      return storePieces(state)
    case "ProgressDue":
      return state.machine.ending === null ? recordProgress(state) : Effect.void
    case "ReattachAgain":
      return state.machine.phase === "grace" ? reattachAgain(state) : Effect.void
    case "NodeResult":
      return onNodeResult(state, message)
    case "NodeAccepted":
      return isOurs(state, message) ? apply(state, { _tag: "Accepted" }) : Effect.void
    case "NodeRejected":
      return isOurs(state, message) ? onNodeRejected(state, message.code) : Effect.void
    case "NodeFailed":
      return isOurs(state, message) ? onNodeFailed(state, message) : Effect.void
    case "NodeGone":
      return isOurs(state, message) ? apply(state, { _tag: "NodeLost", code: message.code }) : Effect.void
    case "NodeHolds":
      return onNodeHolds(state, message)
    case "LeaseDoubted":
      return onLeaseDoubted(state, message)
    case "LeaseDoubtedStill":
      return onLeaseDoubtedStill(state, message.doubted)
    case "NodeResumed":
      return isOurs(state, message) ? onNodeResumed(state, message) : Effect.void
    case "Leased":
      return onLeased(state, message)
    case "Unservable":
      return state.machine.phase === "leasing" ? apply(state, { _tag: "Unservable", code: message.code }) : Effect.void
    case "DispatcherRestarted":
      return state.machine.phase === "leasing" && state.handing === null ? wantAgain(state) : Effect.void
    case "HandoverSent":
      return onHandoverSent(state, message.exit)
    case "HandoverOverdue":
      return onHandoverOverdue(state)
    case "Taken":
      return onTaken(state, message.taken)
    case "RoomFull":
      return state.self.after("want", ROOM_FULL_PAUSE, { _tag: "DispatcherRestarted" })
    case "Cancel":
      return apply(state, { _tag: "CancelAsked", cause: message.cause })
    case "Timer":
      return onTimer(state, message.timer)
    case "ClaimAnswered":
      return Effect.flatMap(message.exit, (answer) => onClaimed(state, answer))
    case "RecordAnswered":
      return onRecorded(state, message.exit)
    case "SettleAnswered":
      return Effect.flatMap(message.exit, (guarded) => onSettled(state, guarded))
    case "EndedElsewhere":
      return onEndedElsewhere(state)
    case "Drain":
      return message.onlyIdle && !IDLE.has(state.machine.phase) ? Effect.void : apply(state, { _tag: "Drained" })
  }
}

const isOurs = ({ machine }: JobActorState, { nodeId, attempt }: { nodeId: string; attempt: number }) =>
  machine.nodeId === nodeId && machine.attempt === attempt

const onLeased = (state: JobActorState, leased: Extract<JobMessage, { _tag: "Leased" }>) =>
  Effect.gen(function* () {
    const { nodeId, lease, decision, daemonId } = leased
    if (daemonId !== state.house.daemonId) return yield* leasedElsewhere(state, leased)
    if (state.leasedAt === null) {
      const { traceparent, acceptedAt } = state.job
      state.leasedAt = yield* Clock.currentTimeMillis
      yield* recordSpan({ name: "job.wait", traceparent, startedAt: acceptedAt, endedAt: state.leasedAt, code: null })
    }
    state.routing = { ...state.routing, decisions: [...state.routing.decisions, decision] }
    yield* apply(state, { _tag: "Leased", nodeId, lease })
  })

const wantAgain = (state: JobActorState) => {
  const { facts, last, tried } = state.machine
  return perform(state, { _tag: "Lease", mustContinue: facts.mustContinue && last > 0, tried })
}

/** Declining is nobody's fault, unless the node says that the request itself cannot be served. */
const onNodeRejected = (state: JobActorState, code: string) =>
  apply(state, code === "invalid_body" ? { _tag: "AttemptFailed", code, fault: "job" } : { _tag: "Rejected", code })

/** What was lost with the node is only its word that all had been said. */
const onNodeFailed = (state: JobActorState, { code, fault }: Extract<JobMessage, { _tag: "NodeFailed" }>) =>
  isLoss(code) && isWhole(state) ? completeWhole(state) : apply(state, { _tag: "AttemptFailed", code, fault })

const onTimer = (state: JobActorState, timer: Extract<JobMessage, { _tag: "Timer" }>["timer"]) =>
  Effect.gen(function* () {
    if (timer === "idle") {
      // Pieces do not wind the clock up one by one: it looks, when it rings, how long the silence really is.
      const silence = (yield* Clock.currentTimeMillis) - state.lastPieceAt
      if (silence < state.settings.idleMs) {
        return yield* state.self.after("idle", state.settings.idleMs - silence, { _tag: "Timer", timer })
      }
    }
    if (timer === "grace" && state.machine.phase === "grace" && isWhole(state)) return yield* completeWhole(state)
    yield* apply(state, { _tag: "TimerFired", timer })
  })

const onClaimed = (state: JobActorState, { claimed, durable }: ClaimAnswer) =>
  Effect.gen(function* () {
    tellFormer(state, claimed._tag === "Claimed")
    if (claimed._tag === "Refused") {
      if (claimed.row !== null) state.row = claimed.row
      const why = claimed.why === "epoch" && claimed.row?.state === "queued" ? "requeued" : claimed.why
      return yield* apply(state, { _tag: "ClaimRefused", why })
    }
    const { row } = claimed
    state.row = row
    state.feed.epoch = row.epoch
    yield* apply(state, { _tag: "Claimed", epoch: row.epoch, attempt: row.attempt })
    if (durable.length > state.feed.events.length) {
      const news = durable.slice(state.feed.events.length)
      state.feed.events.push(...news)
      for (const choice of finishedIn(news)) state.over.add(choice)
      state.stored = durable.length
      publish(state.feed, durable.length)
      const { counted, firstSeq } = state.attempt
      state.attempt.counted = measureOutput(state.feed.events.slice(firstSeq - 1))
      const tokens = state.attempt.counted.tokens - counted.tokens
      yield* apply(state, { _tag: "Tokens", last: durable.length, tokens })
    }
    if (row.crashes > state.settings.crashesMax) yield* apply(state, { _tag: "Unservable", code: "poison" })
  })

/** Who had it before hears that it is here now, or that a slot was offered in vain. */
const tellFormer = ({ house, job, from, machine }: JobActorState, claimed: boolean) => {
  if (from === null || machine.claimed) return
  const jobId = job.id
  if (machine.adopting && !claimed) return
  house.mail.post(
    { _tag: "Inbox", daemonId: from },
    machine.adopting ? { _tag: "JobMoved", jobId } : { _tag: "JobTaken", jobId, taken: claimed }
  )
}

const onPiecesStored = (state: JobActorState, { epoch, last, exit }: Extract<JobMessage, { _tag: "PiecesStored" }>) =>
  Effect.gen(function* () {
    state.storing = false
    if (Exit.isFailure(exit)) {
      if (!isOutage(exit.cause)) return yield* Effect.failCause(exit.cause)
      state.tracesOut = true
      publish(state.feed, state.feed.events.length)
      return yield* state.self.after("store", 500, { _tag: "StoreAgain" })
    }
    // Of an earlier attempt of ours: its pieces go under the epoch that fenced them off.
    if (!exit.value && epoch < state.machine.epoch) return yield* storePieces(state)
    // Another epoch writes this job's trace: its actor is the one to speak.
    if (!exit.value) return yield* apply(state, { _tag: "Stale" })
    state.stored = last
    state.tracesOut = false
    publish(state.feed, last)
    yield* storePieces(state)
  })

const isOutage = (cause: Cause.Cause<unknown>) =>
  cause.reasons.every((reason) => Cause.isFailReason(reason) && reason.error instanceof Outage)

const onRecorded = (state: JobActorState, exit: Exit.Exit<boolean, Outage>) =>
  Effect.gen(function* () {
    const out = Exit.isFailure(exit)
    if (out && !isOutage(exit.cause)) return yield* Effect.failCause(exit.cause)
    if (state.parting.length > 0) {
      if (out) return yield* recordAgain(state)
      state.recordPending = false
      const commands = state.parting
      state.parting = []
      for (const command of commands) yield* perform(state, command)
      return
    }
    if (Exit.isSuccess(exit) && !exit.value) return yield* apply(state, { _tag: "Stale" })
    state.recordPending = out
    yield* apply(state, { _tag: "Recorded", pending: out })
  })

const onSettled = (state: JobActorState, guarded: Guarded) => {
  if (guarded.row !== null) state.row = guarded.row
  return apply(state, { _tag: guarded._tag === "Stale" ? "Stale" : "Settled" })
}

const onEndedElsewhere = (state: JobActorState) =>
  Effect.gen(function* () {
    // While the store is out the job goes on: its next guarded write finds out.
    const row = yield* Effect.catchTag(state.house.store.get(state.job.id), "Outage", () => Effect.succeed(null))
    if (row === null || (!isTerminal(row.state) && row.epoch <= state.machine.epoch)) return
    if (state.machine.phase === "claiming" && !isTerminal(row.state)) return
    state.row = row
    if (isTerminal(row.state) && (state.machine.phase === "recording" || state.machine.phase === "settling")) return
    announce(state)
    yield* yieldTo(state, row)
  })
