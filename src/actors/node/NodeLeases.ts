/**
 * The slots of a node that are leased, compared at each heartbeat with what is known to run there. A release that an outage swallowed or a death
 * prevented, and a lease whose taker never heard of it, are found here and need not run out. A lease that may be used is never freed: the session's
 * daemon, the deciding row and the job's actor speak for it in this order, and one that was taken again meanwhile is not the one that was judged.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { SeenLease } from "../../layers/Leases.ts"
import * as Metrics from "../../layers/Metrics.ts"
import type { Outage } from "../../layers/Outage.ts"
import { leaseStanding } from "../../policies/LeaseStanding.ts"
import { attemptOfLease, leaseTokenOf, type JobId, type LeaseToken } from "../../schemas/Ids.ts"
import { report, type NodeActorState, type OpenLease } from "./NodeActorState.ts"

/** Leases looked at in one heartbeat; those beyond have a later one. */
const LOOK_MAX = 64
/** So many heartbeats, and at least so long, an attempt that nobody has claimed may keep its slot: a job may be on its way between two daemons. */
const OPEN_BEATS = 2
const OPEN_MS = 5000

/** One look at a time, beside the mailbox. An outage ends it: the next heartbeat looks again. */
export const lookAtLeases = (state: NodeActorState): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (state.lookingAtLeases || state.session === null) return Effect.void
    state.lookingAtLeases = true
    return state.self.fork(
      look(state).pipe(
        Effect.catch(untilNextBeat),
        Effect.ensuring(Effect.sync(() => void (state.lookingAtLeases = false)))
      )
    )
  })

const untilNextBeat = ({ during }: Outage) => Effect.logDebug("slots not compared", { during })

const look = (state: NodeActorState): Effect.Effect<void, Outage> =>
  Effect.gen(function* () {
    const { house, nodeId, session } = state
    if (session === null) return
    const now = yield* Clock.currentTimeMillis
    const query = { nodeId, sessionId: session.id, known: tokensInUse(state), max: LOOK_MAX, now }
    const strangers = yield* house.leases.strangers(query)
    const judged = yield* Effect.forEach(strangers, (seen) => judge(state, seen), { concurrency: 8 })
    yield* free(
      state,
      judged.flatMap(({ seen, standing }) => (standing === "over" ? [seen] : []))
    )
    const open = judged.flatMap(({ seen, standing }) => (standing === "open" ? [aged(state, seen, now)] : []))
    state.openLeases = new Map(open.map((lease) => [lease.token, lease]))
    yield* free(
      state,
      open.filter((lease) => isOverdue(lease, now) && !isAsked(state, lease))
    )
  })

/** The presence was lost, and the leases perhaps with it: what runs takes its slots again before others are sent to them. */
export const leaseAgain = (state: NodeActorState): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { house, nodeId } = state
    const tokens = [...tokensInUse(state)]
    if (tokens.length === 0) return
    const now = yield* Clock.currentTimeMillis
    const { settings } = yield* house.settings.current
    const expiresAt = now + settings.executionMs + settings.graceMs + settings.acceptMs
    const taken = Effect.forEach(
      tokens,
      (token) => {
        const named = attemptOfLease(token)
        return named === null ? Effect.void : house.leases.take({ token, nodeId, jobId: named.jobId, expiresAt }, now)
      },
      { discard: true, concurrency: 8 }
    )
    yield* state.self.fork(Effect.catch(taken, untilNextBeat))
  })

/** Of attempts that use a slot, or may: one that is done uses none, and its job has given it back or will. */
const tokensInUse = ({ attempts, held, awaited }: NodeActorState): ReadonlySet<LeaseToken> => {
  const used = new Set<LeaseToken>()
  const add = (jobId: JobId, attempt: number) => void used.add(leaseTokenOf(jobId, attempt))
  for (const [jobId, { attempt, done }] of attempts) if (!done) add(jobId, attempt)
  for (const [jobId, { attempt, done }] of held) if (!done) add(jobId, attempt)
  for (const [jobId, attempt] of awaited) add(jobId, attempt)
  return used
}

const judge = ({ house, nodeId }: NodeActorState, seen: SeenLease) =>
  Effect.gen(function* () {
    const named = attemptOfLease(seen.token)
    if (named === null) return { seen, standing: "live" as const }
    const row = yield* house.store.get(named.jobId)
    return { seen, standing: leaseStanding(row, nodeId, named.attempt) }
  })

const aged = ({ openLeases }: NodeActorState, seen: SeenLease, now: number): OpenLease => {
  const before = openLeases.get(seen.token)
  return before?.expiresAt === seen.expiresAt
    ? { ...before, beats: before.beats + 1 }
    : { ...seen, since: now, beats: 0 }
}

const isOverdue = ({ since, beats }: OpenLease, now: number) => beats >= OPEN_BEATS && now - since >= OPEN_MS

/** A job that is here says itself, for as long as it takes, whether it is about to use the slot. */
const isAsked = (state: NodeActorState, { token, expiresAt }: OpenLease): boolean => {
  const named = attemptOfLease(token)
  const { nodeId } = state
  return named !== null && report(state, named.jobId, { _tag: "LeaseDoubted", nodeId, token, expiresAt })
}

/** The job does not want it. */
export const leaseUnwanted = (state: NodeActorState, seen: SeenLease): Effect.Effect<void> =>
  state.self.fork(Effect.catch(free(state, [seen]), untilNextBeat))

const free = ({ house, nodeId, session }: NodeActorState, seen: ReadonlyArray<SeenLease>) =>
  Effect.gen(function* () {
    if (seen.length === 0 || session === null) return
    const slots = yield* house.leases.releaseUnchanged(nodeId, session.id, seen)
    if (slots === 0) return
    yield* Metric.update(Metrics.slotsRecovered, slots)
    yield* Effect.logInfo("slots that nothing used are free again", { nodeId, slots })
  })
