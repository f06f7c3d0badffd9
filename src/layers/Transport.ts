/**
 * What carries messages between actors: the shape of a broker, whichever one stands behind.
 *
 * `publish` returns after the broker confirmed; a failure means unknown, so the sender publishes again and the receiver must take a
 * repeat for what it is. A delivery that was not acknowledged comes back when its consumer ends; one lane is in order until then.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Envelope } from "../schemas/Envelope.ts"
import type { DaemonId } from "../schemas/Ids.ts"
import type { Lane } from "../schemas/Job.ts"
import type { Outage } from "./Outage.ts"
import { traced } from "./Traced.ts"

export type Topic = "job" | "node" | "lane" | "incident"

/**
 * Lane and Sweeper last until acknowledged, with or without a consumer. An Inbox exists while its daemon consumes it. A Topic reaches who
 * listens at that moment. Parked keeps what could not be decoded.
 */
export type Target =
  | { readonly _tag: "Lane"; readonly lane: Lane }
  | { readonly _tag: "Inbox"; readonly daemonId: DaemonId }
  | { readonly _tag: "Topic"; readonly topic: Topic }
  | { readonly _tag: "Sweeper"; readonly name: string }
  | { readonly _tag: "Parked"; readonly reason: string }

/** Sweeper: one active consumer at a time, the next takes over when it ends. */
export type Source = Exclude<Target, { readonly _tag: "Parked" }> | { readonly _tag: "Parked" }

export interface Delivery {
  readonly envelope: Envelope
  /** True when it was delivered before and came back. */
  readonly redelivered: boolean
  /** Done with it. Without effect after the consumer's end: the delivery has gone back by then. */
  readonly ack: Effect.Effect<void>
  /** Put it back for somebody else, or later. */
  readonly nack: Effect.Effect<void>
}

export interface Consumer {
  /** Waits for at least one delivery; never holds more than `prefetch` unacknowledged ones (Topic: drops the oldest instead). */
  readonly take: Effect.Effect<ReadonlyArray<Delivery>, Outage>
}

export interface LaneDepth {
  readonly name: string
  readonly ready: number
  /** null: more than what this daemon holds is not known. */
  readonly unacknowledged: number | null
  readonly consumers: number
}

export interface Driver {
  /** Afterwards the broker has it. To an Inbox nobody consumes: an Outage. */
  readonly publish: (target: Target, envelope: Envelope) => Effect.Effect<void, Outage>
  /** Consumes until the scope closes; then what was not acknowledged goes back, marked redelivered. */
  readonly consume: (source: Source, prefetch: number) => Effect.Effect<Consumer, Outage, Scope.Scope>
  /** Depth of each declared lane, by name. */
  readonly depths: Effect.Effect<ReadonlyArray<LaneDepth>, Outage>
  /** Answers when the broker does. */
  readonly ping: Effect.Effect<void, Outage>
}

export class Transport extends Context.Service<Transport, Driver>()("resultity/layers/Transport") {}

/** Largest prefetch; more would be a queue in the daemon's memory. */
export const PREFETCH_MAX = 1000

export const make = (driver: Driver): Transport["Service"] =>
  Transport.of({
    ...driver,
    publish: traced("Transport.publish", driver.publish),
    consume: (source, prefetch) =>
      Number.isInteger(prefetch) && prefetch >= 1 && prefetch <= PREFETCH_MAX
        ? driver.consume(source, prefetch)
        : Effect.die(new Error(`prefetch ${prefetch} is not within 1 to ${PREFETCH_MAX}`))
  })
