/**
 * A job whose slot is on a node of another daemon goes there: its text never crosses the broker, so the actor moves and not the text. Until the other
 * daemon has claimed it, the job stays here with its delivery; who claims the row first has it, whatever got lost on the way.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { DISPATCHER } from "../../schemas/Address.ts"
import { isInUse } from "../../policies/LeaseStanding.ts"
import { isTerminal, type JobRow } from "../../schemas/JobState.ts"
import type { DispatchAnswer, DispatchMessage } from "../dispatch/DispatchMessages.ts"
import type { JobActorState } from "./JobActorState.ts"
import { apply, yieldTo } from "./JobCommands.ts"
import { recordProgress } from "./Settlement.ts"

type Leased = Extract<DispatchAnswer, { _tag: "Leased" }>

/** Without an answer for so long, the row tells whether the job went over. */
const ANSWER_MAX = "2 seconds"
/** Before a slot is asked for again. */
const AGAIN_AFTER = "200 millis"

const tellDispatcher = ({ house }: JobActorState, message: DispatchMessage): void => {
  const found = house.registry.find<DispatchMessage>(DISPATCHER)
  if (found._tag === "Some") found.value.tellUnsafe(message)
}

/** What is not stored yet would be lost to the next owner, so such a job waits for its trace first. */
export const leasedElsewhere = (state: JobActorState, leased: Leased): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { house, job, machine, feed, self } = state
    const { daemonId, nodeId, lease, decision } = leased
    tellDispatcher(state, { _tag: "Took", jobId: job.id })
    if (machine.phase !== "leasing" || state.handing !== null) return yield* house.releaseUnclaimed(nodeId, lease)
    state.handing = { daemonId, nodeId, lease }
    if (state.stored < feed.events.length) return yield* takeBack(state)
    const { failures, rejections, tried, faults, epoch } = machine
    const readers = feed.readers > 0 ? [house.daemonId] : []
    const take = {
      _tag: "TakeJob",
      jobId: job.id,
      namespaceId: job.namespaceId,
      epoch,
      nodeId,
      lease,
      decision,
      past: { failures, rejections, tried, faults },
      followers: [...feed.followers, ...readers].filter((by) => by !== daemonId)
    } as const
    const sent = Effect.andThen(machine.claimed ? noted(state) : Effect.void, house.mail.send(daemonId, take))
    yield* self.fork(sent, (exit) => ({ _tag: "HandoverSent", exit }))
    yield* self.after("handover", ANSWER_MAX, { _tag: "HandoverOverdue" })
  })

/** Who goes on finds in the record what happened so far. */
const noted = (state: JobActorState) =>
  Effect.andThen(
    recordProgress(state),
    Effect.suspend(() => (state.noting === null ? Effect.void : Deferred.await(state.noting)))
  )

export const onHandoverSent = (state: JobActorState, exit: Exit.Exit<void, unknown>): Effect.Effect<void> => {
  if (state.handing === null || Exit.isSuccess(exit)) return Effect.void
  tellDispatcher(state, { _tag: "Unreachable", daemonId: state.handing.daemonId })
  return takeBack(state)
}

export const onTaken = (state: JobActorState, taken: boolean): Effect.Effect<void, unknown> =>
  Effect.suspend(() => {
    // Delivered again meanwhile, it may have been put back into the queue by who took it.
    if (taken && state.handing !== null && !state.delivery.isRenewed)
      return gone(state, apply(state, { _tag: "Stale" }))
    // An answer that comes after the waiting for it is over is a hint; a refusal may be because somebody else has the job by now.
    return state.handing === null
      ? lookAtRow(state, Effect.void)
      : lookAtRow(state, takeBack(state), (row) => giveSlotBack(state, row))
  })

/** Who declines the job does not use the slot, unless the row says that it does after all. */
const giveSlotBack = ({ handing, house }: JobActorState, row: JobRow | null = null): Effect.Effect<void> =>
  handing === null || isInUse(row, handing.nodeId, handing.lease)
    ? Effect.void
    : house.releaseUnclaimed(handing.nodeId, handing.lease)

/** The answer is late or lost. While the store is out the job stays where it is. */
export const onHandoverOverdue = (state: JobActorState): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    const { handing } = state
    if (handing === null) return
    const unreachable = Effect.sync(() => tellDispatcher(state, { _tag: "Unreachable", daemonId: handing.daemonId }))
    yield* lookAtRow(state, Effect.andThen(unreachable, takeBack(state)))
  })

const lookAtRow = (
  state: JobActorState,
  unmoved: Effect.Effect<void>,
  moved: (row: JobRow) => Effect.Effect<void> = () => Effect.void
) =>
  Effect.gen(function* () {
    const { house, job } = state
    const row = yield* Effect.catchTag(house.store.get(job.id), "Outage", () => Effect.succeed(null))
    // A later epoch of ours is a claim whose answer is still on its way.
    const isMoved =
      row !== null && (isTerminal(row.state) || (row.epoch > state.machine.epoch && row.owner !== house.daemonId))
    yield* isMoved ? Effect.andThen(moved(row), gone(state, yieldTo(state, row))) : unmoved
  })

const gone = (state: JobActorState, leave: Effect.Effect<void, unknown>) =>
  Effect.gen(function* () {
    state.handing = null
    yield* state.self.cancelAfter("handover")
    yield* leave
  })

const takeBack = (state: JobActorState): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { self } = state
    yield* giveSlotBack(state)
    state.handing = null
    yield* self.cancelAfter("handover")
    yield* self.after("want", AGAIN_AFTER, { _tag: "DispatcherRestarted" })
  })
