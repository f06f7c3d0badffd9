/**
 * What all actors below one root supervisor share: its clock, its chance, one dispatcher on which every actor takes its
 * turn, and one set of timers. Taken from the fiber that made the root, so a test's clock and scheduler govern them all.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import { ActorEvents } from "./ActorEvents.ts"
import { Registry } from "./Registry.ts"
import { Timers } from "./Timers.ts"

export interface Tree {
  readonly context: Context.Context<never>
  readonly clock: Clock.Clock
  readonly random: Random.Random
  readonly dispatcher: Scheduler.SchedulerDispatcher
  readonly timers: Timers
  readonly registry: Registry["Service"]
  readonly events: ActorEvents["Service"]
}

export const make = Effect.map(Effect.context<Registry | ActorEvents>(), (context): Tree => {
  const clock = Context.get(context, Clock.Clock)
  const dispatcher = Context.get(context, Scheduler.Scheduler).makeDispatcher()
  return {
    context: context as Context.Context<never>,
    clock,
    random: Context.get(context, Random.Random),
    dispatcher,
    timers: new Timers(clock, dispatcher, context as Context.Context<never>),
    registry: Context.get(context, Registry),
    events: Context.get(context, ActorEvents)
  }
})
