/**
 * A broker in memory that several simulated daemons share, with the faults of a real one on order. It forgets everything with
 * the process: the embedded default publishes again what waits, from its own store.
 *
 * An outage ends every channel: what was delivered goes back, waiting takes fail, and inboxes and topics lose what they held.
 * When it is over, consumers whose scope is still open are attached again, as a transport that reconnects does.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { Outage } from "../Outage.ts"
import type { Consumer, Delivery, Driver, Source } from "../Transport.ts"
import { type AnyConsumer, type BrokerLimits, BrokerState } from "./BrokerState.ts"

/** What a test may choose consumers by. */
export interface ConsumerFacts {
  readonly connection: string
  readonly source: Source
  readonly prefetch: number
  readonly unacknowledged: number
}

/** stored and told false; stored and never told; not stored. The sender knows none from the other. */
type ConfirmFault = "failed" | "dropped" | "lost"

export class MemoryBroker extends Context.Service<
  MemoryBroker,
  {
    /** One daemon's connections. They die with the scope. */
    readonly connect: (name?: string) => Effect.Effect<Driver, never, Scope.Scope>
    readonly outage: (on: boolean) => Effect.Effect<void>
    /** Loses all messages, delivered ones too. Consumers stay, as after a declaration anew. */
    readonly wipe: Effect.Effect<void>
    /** The next publish is stored and fails with an Outage. */
    readonly failNextConfirm: Effect.Effect<void>
    /** The next publish is stored and fails only after the confirm timeout. */
    readonly dropNextConfirm: Effect.Effect<void>
    /** The next publish is not stored and fails with an Outage. */
    readonly loseNextPublish: Effect.Effect<void>
    /** Ends the channels of these consumers: deliveries go back, and each is told by one Outage before it is attached again. */
    readonly cutConsumers: (predicate: (consumer: ConsumerFacts) => boolean) => Effect.Effect<void>
  }
>()("resultity/layers/memory/MemoryBroker") {
  static readonly layer = Layer.effect(
    MemoryBroker,
    Effect.suspend(() => make())
  )
}

export const CONFIRM_TIMEOUT = "10 seconds"
export const MESSAGES_MAX = 1_000_000
export const QUEUES_MAX = 10_000

interface Broker {
  readonly state: BrokerState
  readonly confirmFaults: Array<ConfirmFault>
  out: boolean
}

const outage = (during: string, cause: string) => new Outage({ of: "Transport", during, cause })

export const make = (limits: Partial<BrokerLimits> = {}): Effect.Effect<MemoryBroker["Service"]> =>
  Effect.sync(() => {
    const state = new BrokerState({ messagesMax: MESSAGES_MAX, queuesMax: QUEUES_MAX, ...limits })
    const broker: Broker = { state, confirmFaults: [], out: false }
    let connections = 0
    const fault = (kind: ConfirmFault) => Effect.sync(() => void broker.confirmFaults.push(kind))
    return MemoryBroker.of({
      connect: (name) => Effect.suspend(() => connect(broker, name ?? `connection-${++connections}`)),
      outage: (on) => Effect.sync(() => setOutage(broker, on)),
      wipe: Effect.sync(() => state.wipe()),
      failNextConfirm: fault("failed"),
      dropNextConfirm: fault("dropped"),
      loseNextPublish: fault("lost"),
      cutConsumers: (predicate) => Effect.sync(() => state.detach(Array.from(state.consumers).filter(predicate), "cut"))
    })
  })

const setOutage = (broker: Broker, on: boolean): void => {
  if (broker.out === on) return
  broker.out = on
  const { state } = broker
  if (on) state.detach([...state.consumers], "cut")
  else for (const consumer of state.consumers) if (state.attach(consumer) !== undefined) consumer.state = "cut"
}

const connect = Effect.fnUntraced(function* (broker: Broker, name: string) {
  const mine = new Set<AnyConsumer>()
  let closed = false
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      closed = true
      broker.state.detach([...mine], "ended")
    })
  )
  const whenUp = <A, E, R>(during: string, step: () => Effect.Effect<A, E, R>): Effect.Effect<A, E | Outage, R> =>
    Effect.suspend((): Effect.Effect<A, E | Outage, R> => {
      if (closed) return Effect.fail(outage(during, "the connection is closed"))
      return broker.out ? Effect.fail(outage(during, "the broker is out")) : step()
    })
  const driver: Driver = {
    publish: (target, envelope) => whenUp("publish", () => publish(broker, target, envelope)),
    consume: (source, prefetch) =>
      Effect.map(
        Effect.acquireRelease(
          whenUp("consume", () => {
            const consumer = broker.state.consume(name, source, prefetch)
            if (typeof consumer === "string") return Effect.fail(outage("consume", consumer))
            mine.add(consumer)
            return Effect.succeed(consumer)
          }),
          (consumer) =>
            Effect.sync(() => {
              if (mine.delete(consumer)) broker.state.detach([consumer], "ended")
            })
        ),
        (consumer): Consumer => ({ take: take(broker, consumer) })
      ),
    depths: whenUp("depths", () => Effect.sync(() => broker.state.depths())),
    ping: whenUp("ping", () => Effect.void)
  }
  return driver
})

const publish = (broker: Broker, ...message: Parameters<BrokerState["publish"]>): Effect.Effect<void, Outage> => {
  const fault = broker.confirmFaults.shift()
  const refused = fault === "lost" ? "the connection broke before the broker had it" : broker.state.publish(...message)
  if (refused !== undefined) return Effect.fail(outage("publish", refused))
  if (fault === undefined) return Effect.void
  const unknown = Effect.fail(outage("publish", "the broker did not confirm"))
  return fault === "dropped" ? Effect.delay(unknown, CONFIRM_TIMEOUT) : unknown
}

const take = (broker: Broker, consumer: AnyConsumer): Effect.Effect<ReadonlyArray<Delivery>, Outage> => {
  const once: Effect.Effect<ReadonlyArray<Delivery>, Outage> = Effect.suspend(() => {
    if (consumer.state === "ended") return Effect.fail(outage("take", "the consumer has ended"))
    if (broker.out) return Effect.fail(outage("take", "the broker is out"))
    if (consumer.state === "cut") {
      consumer.state = "told"
      return Effect.fail(outage("take", "the channel was closed"))
    }
    if (consumer.state === "told") {
      const refused = broker.state.attach(consumer)
      if (refused !== undefined) return Effect.fail(outage("take", refused))
    }
    const deliveries = consumer.drain()
    return deliveries.length > 0 ? Effect.succeed(deliveries) : again
  })
  // The latch resumes whoever waits inside the call that opens it, in the middle of the broker's work; so wait for a turn first.
  const again = consumer.latch.await.pipe(Effect.andThen(Effect.yieldNow), Effect.andThen(once))
  return once
}
