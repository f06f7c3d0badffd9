/**
 * Gives waiting jobs their slots. What it owns: the jobs of this daemon that have no slot yet, in the order of `policies/FairShare`. It wakes
 * when a job comes or a slot frees, never on a timer. A crash loses the waiting room; the jobs' actors are asked to say again what they want.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { ActorContext, ActorSpec, Behavior } from "../../kernel/Actor.ts"
import * as Metrics from "../../layers/Metrics.ts"
import { waitOut, type Outage } from "../../layers/Outage.ts"
import { defaultRiseMs, FairShare, type WaitingJob } from "../../policies/FairShare.ts"
import { DISPATCHER, jobAddress } from "../../schemas/Address.ts"
import { laneName, laneOf } from "../../schemas/Job.ts"
import { leaseTokenOf, type DaemonId, type JobId, type LeaseToken, type NodeId } from "../../schemas/Ids.ts"
import type { DispatchAnswer, DispatchMessage, Wanting } from "./DispatchMessages.ts"
import { choose, type DispatchHouse } from "./NodeChoice.ts"

/** Jobs that may wait here; more stay with their lanes. */
export const WAITING_MAX = 100_000

interface Waiting extends WaitingJob {
  readonly wanting: Wanting
  /** Where an outage left open whether its slot was taken. */
  doubted: NodeId | null
}

interface DispatcherState {
  readonly house: DispatchHouse
  readonly self: ActorContext<DispatchMessage>
  readonly room: FairShare<Waiting>
  /** Pools for which no node was found since the last capacity, with their model. */
  readonly blocked: Map<string, string>
  /** The latest grants, in case a job stops wanting its slot while the answer is on its way to it. */
  readonly granted: Map<JobId, Grant>
}

interface Grant {
  readonly nodeId: NodeId
  readonly token: LeaseToken
}

/** An answer is handled within moments; a grant older than this many others has arrived. */
const GRANTED_MAX = 4096

export const spec = (house: DispatchHouse): ActorSpec<DispatchMessage, DispatcherState> => ({
  address: DISPATCHER,
  kind: "dispatcher",
  behavior: behavior(house),
  mailbox: { capacityMax: WAITING_MAX, whenFull: "refuse" },
  restart: "permanent"
})

const behavior = (house: DispatchHouse): Behavior<DispatchMessage, DispatcherState> => ({
  init: (self) =>
    Effect.gen(function* () {
      yield* self.fork(listen(house, self))
      if (self.restarts > 0) yield* askEverybody(house)
      const room = new FairShare<Waiting>({ max: WAITING_MAX, riseMs: defaultRiseMs })
      return { house, self, room, blocked: new Map(), granted: new Map() }
    }),
  receive: (state, message) => Effect.as(receive(state, message), state)
})

const receive = (state: DispatcherState, message: DispatchMessage): Effect.Effect<void> => {
  switch (message._tag) {
    case "Want":
      return onWant(state, message.wanting)
    case "Forget":
      return onForget(state, message.jobId)
    case "Took":
      return Effect.sync(() => void state.granted.delete(message.jobId))
    case "Unreachable":
      return onUnreachable(state, message.daemonId)
    case "Capacity":
      return onCapacity(state, message)
    case "Again":
      return Effect.suspend(() => {
        state.blocked.clear()
        return serve(state)
      })
  }
}

/** Looked at again afterwards: its nodes may be the only ones. */
const onUnreachable = ({ house, self }: DispatcherState, daemonId: DaemonId) =>
  Effect.gen(function* () {
    house.avoided.set(daemonId, (yield* Clock.currentTimeMillis) + AVOIDED_MS)
    yield* self.after("avoided", AVOIDED_MS, { _tag: "Again" })
  })

const AVOIDED_MS = 3000

const onForget = (state: DispatcherState, jobId: JobId) =>
  Effect.suspend(() => {
    const { room, granted } = state
    const grant = granted.get(jobId)
    granted.delete(jobId)
    const waiting = room.remove(jobId)
    if (waiting !== undefined) return giveBackDoubted(state, waiting)
    return grant === undefined ? Effect.void : giveBack(state, grant)
  })

/** Once: later it may have been taken again. What an outage keeps from coming back is found by the node's daemon, at heartbeats of the node. */
const giveBack = ({ house, self }: DispatcherState, { nodeId, token }: Grant): Effect.Effect<void> =>
  self.fork(
    Effect.catch(house.leases.release(nodeId, token), ({ during }) =>
      Effect.logDebug("a slot waits for its node's next heartbeats", { nodeId, during })
    )
  )

const giveBackDoubted = (state: DispatcherState, { doubted, wanting }: Waiting): Effect.Effect<void> =>
  doubted === null
    ? Effect.void
    : giveBack(state, { nodeId: doubted, token: leaseTokenOf(wanting.job.id, wanting.attempt) })

/** One wake-up is handled before the next is taken, so wake-ups merge instead of queueing. */
const listen = (house: DispatchHouse, self: ActorContext<DispatchMessage>) => {
  const once = Effect.scoped(
    Effect.gen(function* () {
      const capacity = yield* house.leases.capacity
      self.self.tellUnsafe({ _tag: "Again" })
      while (true) {
        const models = yield* capacity.take
        yield* Effect.callback<void>((resume) => {
          const done = () => resume(Effect.void)
          if (!self.self.tellUnsafe({ _tag: "Capacity", models, done })) done()
        })
      }
    })
  )
  return waitOut(once)
}

const askEverybody = (house: DispatchHouse) =>
  Effect.map(house.registry.list, (refs) => {
    for (const { address } of refs) {
      if (!address.startsWith("job/")) continue
      const found = house.registry.find<DispatchAnswer>(address)
      if (found._tag === "Some") found.value.tellUnsafe({ _tag: "DispatcherRestarted" })
    }
  })

/** Who asks again (another attempt, a new prefix) replaces what it asked before. */
const onWant = (state: DispatcherState, wanting: Wanting) =>
  Effect.gen(function* () {
    const { job } = wanting
    const earlier = state.room.remove(job.id)
    state.granted.delete(job.id)
    const since = earlier?.since ?? job.acceptedAt
    const { id: jobId, namespaceId, priority } = job
    const pool = poolOf(wanting)
    const added = state.room.add({
      jobId,
      namespaceId,
      weight: wanting.weight,
      priority,
      lane: laneName(laneOf(job)),
      pool,
      since,
      wanting,
      doubted: earlier?.wanting.attempt === wanting.attempt ? earlier.doubted : null
    })
    if (added === "full") return void answer(state, wanting, { _tag: "RoomFull" })
    if (!state.blocked.has(pool)) yield* serve(state)
  })

/** Jobs that the same nodes can serve. */
const poolOf = ({ job, mustContinue, tried }: Wanting): string =>
  JSON.stringify([job.environment, job.model, job.endpoint, job.constraints, mustContinue, [...tried].toSorted()])

const onCapacity = (state: DispatcherState, { models, done }: Extract<DispatchMessage, { _tag: "Capacity" }>) =>
  Effect.suspend(() => {
    for (const [pool, model] of state.blocked) if (models.has(model)) state.blocked.delete(pool)
    return serve(state)
  }).pipe(Effect.ensuring(Effect.sync(done)))

/** Serves until nobody who waits can be served; while the leases are out, again soon. */
const serve = (state: DispatcherState): Effect.Effect<void> =>
  Effect.gen(function* () {
    while (true) {
      const now = yield* Clock.currentTimeMillis
      const waiting = state.room.next((pool) => !state.blocked.has(pool), now)
      if (waiting === undefined) return
      yield* place(state, waiting, now).pipe(
        Effect.catchTag("Outage", ({ during }) =>
          Effect.gen(function* () {
            yield* Effect.logWarning("dispatch waits for the leases", { during })
            putBack(state, waiting, now)
            yield* state.self.after("again", OUTAGE_PAUSE_MS, { _tag: "Again" })
          })
        )
      )
    }
  })

const OUTAGE_PAUSE_MS = 250

const putBack = (state: DispatcherState, waiting: Waiting, now: number) => {
  state.room.putBack(waiting, now)
  state.blocked.set(waiting.pool, waiting.wanting.job.model)
}

const place = (state: DispatcherState, waiting: Waiting, now: number): Effect.Effect<void, Outage> =>
  Effect.gen(function* () {
    const { house } = state
    const { wanting } = waiting
    const { job, attempt, leaseMs } = wanting
    const token = leaseTokenOf(job.id, attempt)
    if (waiting.doubted !== null) yield* house.leases.release(waiting.doubted, token)
    const trying = (nodeId: NodeId | null) => void (waiting.doubted = nodeId)
    trying(null)
    const choice = yield* choose(house, wanting, { token, expiresAt: now + leaseMs, trying }, now)
    if (choice._tag === "None") return putBack(state, waiting, now)
    const { decision } = choice
    if (choice._tag === "Never") return void answer(state, wanting, { _tag: "Unservable", code: choice.code, decision })
    if (
      answer(state, wanting, {
        _tag: "Leased",
        nodeId: choice.nodeId,
        lease: token,
        decision,
        daemonId: choice.daemonId
      })
    ) {
      remember(state, job.id, { nodeId: choice.nodeId, token })
      if (attempt === 1) yield* Metric.update(Metrics.queueMs, now - job.acceptedAt)
      return
    }
    yield* giveBack(state, { nodeId: choice.nodeId, token })
  })

const remember = ({ granted }: DispatcherState, jobId: JobId, grant: Grant): void => {
  granted.set(jobId, grant)
  if (granted.size <= GRANTED_MAX) return
  for (const oldest of granted.keys()) return void granted.delete(oldest)
}

const answer = ({ house }: DispatcherState, { job }: Wanting, message: DispatchAnswer): boolean => {
  const found = house.registry.find<DispatchAnswer>(jobAddress(job.id))
  return found._tag === "Some" && found.value.tellUnsafe(message)
}
