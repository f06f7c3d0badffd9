/**
 * The end of a job in its two durable steps: the record first, then the row with its money. Both may be repeated; the second is guarded by
 * the epoch, so only the actor that owns the job ends it. What is charged follows from what was produced: a failed job costs nothing.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import * as Metrics from "../../layers/Metrics.ts"
import { Outage, waitOut } from "../../layers/Outage.ts"
import { recordSpan } from "../../layers/Traced.ts"
import type { Patched, RecordPatch } from "../../layers/JobRecords.ts"
import { isLowConfidence } from "../../policies/Confidence.ts"
import type { Ending } from "../../policies/JobMachine.ts"
import { charge } from "../../policies/Pricing.ts"
import { zero, type Credits } from "../../schemas/Credits.ts"
import { freshEnvelope, type Envelope } from "../../schemas/Envelope.ts"
import type { Usage } from "../../schemas/Job.ts"
import type { SystemMetrics } from "../../schemas/JobRecord.ts"
import type { JobActorState } from "./JobActorState.ts"
import { warnIfSlow } from "./JobIncidents.ts"
import { logEntry } from "./JobNotes.ts"
import { outputOf } from "../ClosingRecord.ts"
import { giveRowsWord } from "../RowsWord.ts"

/** How long a job waits for its record before it settles without it. */
const RECORD_PATIENCE = "10 seconds"

const recordPatience = Schedule.max([Schedule.spaced("250 millis"), Schedule.during(RECORD_PATIENCE)])

/** What was used, and so what is owed: all of it when completed, what was produced when cancelled, nothing otherwise. */
export const usageOf = (state: JobActorState, ending: Ending): Usage => {
  const { machine, job, result } = state
  if (ending.state === "completed" && result !== null) {
    return { promptTokens: result.promptTokens, outputTokens: result.outputTokens }
  }
  if (ending.state !== "cancelled") return { promptTokens: 0, outputTokens: 0 }
  return { promptTokens: 0, outputTokens: Math.min(machine.tokens, job.outputTokensMax) }
}

export const costOf = (state: JobActorState, ending: Ending): Credits => {
  const { job } = state
  const usage = usageOf(state, ending)
  const owed = ending.state === "completed" || (ending.state === "cancelled" && usage.outputTokens > 0)
  return owed ? charge(job.quote, usage, job.reserved) : zero
}

/** Writes the closing record; after some patience without an answer the job may settle first. */
export const record = (state: JobActorState, ending: Ending): Effect.Effect<void> =>
  state.self.fork(
    Effect.retry(closeRecord(state, ending), { schedule: recordPatience, while: (error) => error instanceof Outage }),
    (exit) => ({ _tag: "RecordAnswered", exit })
  )

/** The same for a job that has settled: for as long as it takes. */
export const recordAgain = (state: JobActorState): Effect.Effect<void> => {
  const { ending } = state.machine
  const correct = Effect.suspend(() => (state.contested ? giveRowsWord(state.house, state.job.id) : Effect.void))
  return ending === null
    ? Effect.void
    : state.self.fork(waitOut(Effect.tap(closeRecord(state, ending), () => correct)), (exit) => ({
        _tag: "RecordAnswered",
        exit
      }))
}

/** False: the job's trace is fenced against this epoch, so somebody else writes the record. */
const closeRecord = (state: JobActorState, ending: Ending): Effect.Effect<boolean, Outage> =>
  Effect.gen(function* () {
    const { house, job, feed, machine } = state
    // A note of how far it is must not land after the last word.
    if (state.noting !== null) yield* Deferred.await(state.noting)
    const now = yield* Clock.currentTimeMillis
    // What a feed holds without a claim was relayed from the owner, who stores it.
    const rest = machine.claimed ? feed.events.slice(state.stored) : []
    const { epoch, attempt } = machine
    const joined = rest.length === 0 || (yield* house.traces.append({ jobId: job.id, epoch, attempt, events: rest }))
    if (!joined) return false
    const patch = yield* closing(state, ending, now)
    const finished = logEntry(state, "execution", "finished", now, { state: ending.state, code: ending.code })
    // Who has not claimed the job may be slower than whoever ends it: a note changes nothing of a record that is closed.
    const change = { jobId: job.id, epoch, patch, durable: machine.claimed }
    const write = house.records.patch(change)
    const log = house.logs.append([...state.logs, finished])
    const patched = machine.claimed ? yield* both(write, log) : yield* inTurn(write, log)
    if (patched === "stale" && machine.claimed) return false
    state.contested = patched === "stale"
    state.stored = feed.events.length
    state.logs = []
    return true
  })

const both = <E>(patch: Effect.Effect<Patched, E>, log: Effect.Effect<void, E>) =>
  Effect.map(Effect.all([patch, log], { concurrency: 2 }), ([patched]) => patched)

/** Of an end that was not this one's there is nothing to log. */
const inTurn = <E>(patch: Effect.Effect<Patched, E>, log: Effect.Effect<void, E>) =>
  Effect.tap(patch, (patched) => (patched === "stale" ? Effect.void : log))

const ANSWER_DIGITS = 16

const closing = (state: JobActorState, ending: Ending, now: number): Effect.Effect<RecordPatch, Outage> =>
  Effect.gen(function* () {
    const { house, job, feed, record, settings } = state
    const output = outputOf(job, feed.events, usageOf(state, ending), now)
    const answer = output === null ? {} : { answer: output.sha256.slice(0, ANSWER_DIGITS) }
    const said = { request: record.input.request, choices: output?.choices ?? [] }
    // A vector says nothing that could be looked at; what was asked for it does.
    const moderation = yield* house.moderation.flags(output?.kind === "vector" ? { ...said, choices: [] } : said)
    const lowConfidence = isLowConfidence(feed.events, settings.confidenceMin)
    return {
      state: ending.state,
      errorCode: ending.code,
      finishedAt: now,
      routing: state.routing,
      output,
      evaluation: { ...evaluationOf(state.failures), lowConfidence, moderation },
      system: { ...systemOf(state, now), ...answer },
      cost: costOf(state, ending),
      ...(record.salt === undefined ? {} : { salt: record.salt }),
      nodeProof: ending.state === "completed" ? (state.result?.proof ?? null) : null,
      completeness: ending.state === "completed" ? "complete" : "truncated",
      truncatedReason: ending.state === "completed" ? null : (ending.code ?? ending.state),
      moments: [...state.moments]
    }
  })

const evaluationOf = (failures: JobActorState["failures"]) => ({
  failure: failures.length > 0,
  failures,
  lowConfidence: null,
  moderation: []
})

const systemOf = (
  { job, leasedAt, routing, firstTokenAt, result, record: opened }: JobActorState,
  now: number
): SystemMetrics => ({
  queueMs: leasedAt === null ? null : leasedAt - job.acceptedAt,
  dispatchMs: leasedAt === null || routing.assignedAt === null ? null : Math.max(0, routing.assignedAt - leasedAt),
  firstTokenMs: firstTokenAt === null ? null : firstTokenAt - job.acceptedAt,
  totalMs: now - job.acceptedAt,
  retries: Math.max(0, routing.attempts.length - 1),
  gpu: result?.gpu ?? null,
  configDigest: opened.system.configDigest,
  ...(result === null || result.claim === null ? {} : { claim: result.claim })
})

/** Where the job stands, for whoever looks at it while it runs or goes on with it. Losing it loses nothing that is not written again at the end. */
export const recordProgress = (state: JobActorState): Effect.Effect<void> => {
  const { house, job, routing, moments, logs, failures, machine } = state
  state.logs = []
  const progress = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const patch = {
      state: "active",
      routing,
      evaluation: evaluationOf(failures),
      system: { ...systemOf(state, now), totalMs: null },
      moments: [...moments]
    } as const
    yield* house.logs.append(logs)
    yield* house.records.patch({ jobId: job.id, epoch: machine.epoch, patch, durable: false })
  }).pipe(Effect.tapError(() => Effect.sync(() => void (state.logs = [...logs, ...state.logs]))))
  const earlier = state.noting
  const noting = Deferred.makeUnsafe<void>()
  state.noting = noting
  const inTurn = earlier === null ? progress : Effect.andThen(Deferred.await(earlier), progress)
  return state.self.fork(
    Effect.catch(Effect.ensuring(inTurn, Deferred.succeed(noting, undefined)), ({ during }) =>
      Effect.logWarning("progress not recorded", { jobId: job.id, during })
    )
  )
}

export const settle = (state: JobActorState, ending: Ending, claimed: boolean): Effect.Effect<void> => {
  const { house, job, machine, self } = state
  const settled = Effect.gen(function* () {
    const at = yield* Clock.currentTimeMillis
    const envelope = yield* finishedEnvelope(state, ending)
    const guarded = yield* waitOut(
      house.store.finish({
        jobId: job.id,
        daemonId: claimed ? house.daemonId : null,
        epoch: machine.epoch,
        state: ending.state,
        charge: costOf(state, ending),
        usage: usageOf(state, ending),
        nodeId: machine.nodeId,
        code: ending.code,
        envelope,
        at
      })
    )
    if ((guarded._tag === "Stale" && !claimed) || state.contested) yield* waitOut(giveRowsWord(house, job.id))
    if (guarded._tag === "Done") {
      house.publisher.offer({ target: { _tag: "Topic", topic: "job" }, envelope })
      yield* Metric.update(Metric.withAttributes(Metrics.jobsFinished, { state: ending.state }), 1)
      yield* Metric.update(Metrics.totalMs, at - job.acceptedAt)
      if (ending.state === "completed") yield* warnIfSlow(state, at - job.acceptedAt)
      yield* recordSpan({
        name: "job",
        traceparent: job.traceparent,
        startedAt: job.acceptedAt,
        endedAt: at,
        code: ending.state === "completed" ? null : (ending.code ?? ending.state),
        attributes: {
          "job.id": job.id,
          "job.state": ending.state,
          "job.endpoint": job.endpoint,
          "job.model": job.model
        }
      })
    }
    return guarded
  })
  return self.fork(settled, (exit) => ({ _tag: "SettleAnswered", exit }))
}

const finishedEnvelope = ({ job, machine }: JobActorState, ending: Ending): Effect.Effect<Envelope> =>
  freshEnvelope(
    { _tag: "JobFinished", jobId: job.id, state: ending.state },
    { attempt: machine.attempt, traceparent: job.traceparent }
  )
