/** What the Transport suites have in common: consumers that can die, and waiting for deliveries instead of timing them. */
import { assert } from "@effect/vitest"
import { Effect, Exit, Schedule, Scope } from "effect"
import type { Outage } from "../../../src/layers/Outage.ts"
import type { Consumer, Delivery, Source, Target, Transport } from "../../../src/layers/Transport.ts"
import type { Envelope } from "../../../src/schemas/Envelope.ts"
import { aLane, anEnvelope } from "./LiveFactories.ts"

/** What a back end can be made to do; a test that needs more is left out. */
export interface TransportFaults<R> {
  /** Another daemon on the same broker, whose connections die with the scope. */
  readonly connect?: Effect.Effect<Transport["Service"], Outage, R | Scope.Scope>
  readonly outage?: (on: boolean) => Effect.Effect<void, never, R>
  /** Loses all messages; consumers find their queues declared anew. */
  readonly wipe?: Effect.Effect<void, never, R>
}

export const lane = (): Target & Source => ({ _tag: "Lane", lane: aLane() })
export const idOf = ({ envelope }: Delivery) => envelope.id
export const idsOf = (items: ReadonlyArray<Envelope>) => items.map(({ id }) => id)
export const envelopes = (count: number) => Array.from({ length: count }, (_, i) => anEnvelope(i))

export const publishAll = (transport: Transport["Service"], target: Target, items: ReadonlyArray<Envelope>) =>
  Effect.forEach(items, (envelope) => transport.publish(target, envelope), { discard: true })

/** Exactly so many deliveries, in the order they came. */
export const collect = Effect.fnUntraced(function* (consumer: Consumer, count: number) {
  const deliveries: Array<Delivery> = []
  while (deliveries.length < count) deliveries.push(...(yield* consumer.take))
  assert.strictEqual(deliveries.length, count)
  return deliveries
})

export const ackAll = (deliveries: ReadonlyArray<Delivery>) =>
  Effect.forEach(deliveries, ({ ack }) => ack, { discard: true })

/** A consumer whose scope is in the test's hands. */
export const mortal = Effect.fnUntraced(function* (transport: Transport["Service"], source: Source, prefetch: number) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const consumer = yield* transport.consume(source, prefetch).pipe(Scope.provide(scope))
  return { ...consumer, die: Scope.close(scope, Exit.void) }
})

/** Once the broker is back: by trying again, because it answers in its own time. */
export const onceBack = <A, R>(effect: Effect.Effect<A, Outage, R>) =>
  Effect.retry(effect, Schedule.spaced("20 millis"))

/** The lane's depth, once that many are ready: a broker may count a little later than it confirms. */
export const depthOnceReady = (transport: Transport["Service"], name: string, ready: number) =>
  Effect.retry(
    Effect.flatMap(transport.depths, (depths) => {
      const depth = depths.find((one) => one.name === name)
      return depth?.ready === ready ? Effect.succeed(depth) : Effect.fail(depth)
    }),
    Schedule.spaced("20 millis").pipe(Schedule.upTo({ times: 250 }))
  )
