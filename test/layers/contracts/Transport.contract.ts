/**
 * What every Transport must do, whatever it is made of. Nothing is timed: a test waits for a delivery, and that something does not
 * arrive is shown by what arrives instead. Names are fresh, because a broker may still hold the last run's queues.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, type Layer } from "effect"
import type { Outage } from "../../../src/layers/Outage.ts"
import { type Delivery, type Source, type Target, Transport } from "../../../src/layers/Transport.ts"
import { laneName } from "../../../src/schemas/Job.ts"
import { aDaemon, aLane, aName, anEnvelope } from "./LiveFactories.ts"
import { transportUnderFaults } from "./TransportFaults.contract.ts"
import {
  ackAll,
  collect,
  depthOnceReady,
  envelopes,
  idOf,
  idsOf,
  lane,
  mortal,
  publishAll,
  type TransportFaults
} from "./TransportProbes.ts"

export const transportContract = <R = never>(
  backEnd: string,
  over: Layer.Layer<Transport | R, Outage>,
  faults: TransportFaults<R> = {}
) =>
  layer(over, { excludeTestServices: true })(`Transport on ${backEnd}`, (it) => {
    it.effect("delivers a lane in the order of publishing, for the first time", () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const target = lane()
        const sent = envelopes(50)
        yield* publishAll(transport, target, sent)

        const deliveries = yield* collect(yield* transport.consume(target, 100), 50)

        assert.deepStrictEqual(
          deliveries.map(({ envelope }) => envelope),
          sent
        )
        assert.isTrue(deliveries.every(({ redelivered }) => !redelivered))
      })
    )

    it.effect("delivers to a consumer that waits", () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const target = lane()
        const consumer = yield* transport.consume(target, 1)
        const waiting = yield* Effect.forkChild(consumer.take, { startImmediately: true })
        const sent = anEnvelope()
        yield* transport.publish(target, sent)
        assert.deepStrictEqual((yield* Fiber.join(waiting)).map(idOf), [sent.id])
      })
    )

    it.effect("has stored what it confirmed, also when nobody consumed the lane yet", () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const target = { _tag: "Lane", lane: aLane() } as const
        const sent = envelopes(3)
        yield* Effect.scoped(publishAll(transport, target, sent))

        yield* depthOnceReady(transport, laneName(target.lane), 3)
        const deliveries = yield* collect(yield* transport.consume(target, 10), 3)
        assert.deepStrictEqual(deliveries.map(idOf), idsOf(sent))
      })
    )

    it.effect("keeps lanes apart", () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const [a, b] = [lane(), lane()]
        const [toA, toB] = [anEnvelope(), anEnvelope()]
        yield* transport.publish(a, toA)
        yield* transport.publish(b, toB)
        assert.deepStrictEqual((yield* collect(yield* transport.consume(b, 10), 1)).map(idOf), [toB.id])
        assert.deepStrictEqual((yield* collect(yield* transport.consume(a, 10), 1)).map(idOf), [toA.id])
      })
    )

    it.effect("never has more deliveries out than the prefetch, and goes on with each acknowledgement", () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const target = lane()
        const sent = envelopes(20)
        yield* publishAll(transport, target, sent)
        const consumer = yield* transport.consume(target, 3)
        const held: Array<Delivery> = []
        const seen: Array<string> = []
        while (seen.length < sent.length) {
          const taken = yield* consumer.take
          held.push(...taken)
          seen.push(...taken.map(idOf))
          assert.isAtMost(held.length, 3)
          yield* held.shift()!.ack
        }
        assert.deepStrictEqual(seen, idsOf(sent))
      })
    )

    it.effect("gives back what a consumer held when it ends, first and marked, in the old order", () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const target = lane()
        const sent = envelopes(4)
        yield* publishAll(transport, target, sent)
        const first = yield* mortal(transport, target, 2)
        yield* collect(first, 2)
        yield* first.die

        const deliveries = yield* collect(yield* transport.consume(target, 10), 4)

        assert.deepStrictEqual(deliveries.map(idOf), idsOf(sent))
        assert.deepStrictEqual(
          deliveries.map(({ redelivered }) => redelivered),
          [true, true, false, false]
        )
      })
    )

    it.effect(
      "does not deliver again what was acknowledged, and an acknowledgement counts for its own delivery only",
      () =>
        Effect.gen(function* () {
          const transport = yield* Transport
          const target = lane()
          const [a, b, c] = [anEnvelope(), anEnvelope(), anEnvelope()]
          yield* publishAll(transport, target, [a, b])
          const first = yield* mortal(transport, target, 2)
          const [heldA] = yield* collect(first, 2)
          yield* heldA!.ack
          yield* heldA!.ack
          yield* heldA!.nack
          yield* first.die
          yield* transport.publish(target, c)

          assert.deepStrictEqual((yield* collect(yield* transport.consume(target, 10), 2)).map(idOf), [b.id, c.id])
        })
    )

    it.effect("ignores an acknowledgement that comes after the consumer's end", () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const target = lane()
        const sent = anEnvelope()
        yield* transport.publish(target, sent)
        const first = yield* mortal(transport, target, 1)
        const [held] = yield* collect(first, 1)
        yield* first.die
        yield* held!.ack
        yield* held!.nack

        const second = yield* mortal(transport, target, 1)
        const [again] = yield* collect(second, 1)
        assert.deepStrictEqual([again!.envelope.id, again!.redelivered], [sent.id, true])
        yield* held!.ack
        yield* second.die
        assert.deepStrictEqual((yield* collect(yield* transport.consume(target, 1), 1)).map(idOf), [sent.id])
      })
    )

    it.effect("puts what was declined before everything that was never delivered", () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const target = lane()
        const sent = envelopes(3)
        yield* publishAll(transport, target, sent)
        const consumer = yield* transport.consume(target, 1)
        const [first] = yield* collect(consumer, 1)
        yield* first!.nack

        const [again] = yield* collect(consumer, 1)

        assert.deepStrictEqual([again!.envelope.id, again!.redelivered], [sent[0]!.id, true])
        yield* again!.ack
        assert.deepStrictEqual((yield* collect(consumer, 1)).map(idOf), [sent[1]!.id])
      })
    )

    it.effect("shares a lane between two consumers, each within its prefetch, nothing twice", () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const target = lane()
        const a = yield* transport.consume(target, 5)
        const b = yield* transport.consume(target, 5)
        const sent = envelopes(20)
        yield* publishAll(transport, target, sent)

        const deliveries = [...(yield* collect(a, 5)), ...(yield* collect(b, 5))]

        assert.deepStrictEqual(deliveries.map(idOf).toSorted(), idsOf(sent.slice(0, 10)).toSorted())
        yield* ackAll(deliveries)
        const rest = [...(yield* collect(a, 5)), ...(yield* collect(b, 5))]
        assert.deepStrictEqual(rest.map(idOf).toSorted(), idsOf(sent.slice(10)).toSorted())
      })
    )

    it.effect("tells a topic to everybody who listens, and to nobody afterwards", () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const topic: Target & Source = { _tag: "Topic", topic: "incident" }
        const [early, late] = [anEnvelope(), anEnvelope()]
        const a = yield* transport.consume(topic, 10)
        yield* transport.publish(topic, early)
        const b = yield* transport.consume(topic, 10)
        yield* transport.publish(topic, late)

        assert.deepStrictEqual((yield* collect(b, 1)).map(idOf), [late.id])
        assert.deepStrictEqual((yield* collect(a, 2)).map(idOf), [early.id, late.id])
      })
    )

    it.effect("takes a fact of a topic that nobody listens to, and keeps topics apart", () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        yield* transport.publish({ _tag: "Topic", topic: "lane" }, anEnvelope())
        const listener = yield* transport.consume({ _tag: "Topic", topic: "node" }, 10)
        yield* transport.publish({ _tag: "Topic", topic: "job" }, anEnvelope())
        const fact = anEnvelope()
        yield* transport.publish({ _tag: "Topic", topic: "node" }, fact)
        assert.deepStrictEqual((yield* collect(listener, 1)).map(idOf), [fact.id])
      })
    )

    it.effect(
      "shows a listener that fell behind the newest facts, in order and no more than its prefetch at once",
      () =>
        Effect.gen(function* () {
          const transport = yield* Transport
          const topic: Target & Source = { _tag: "Topic", topic: "incident" }
          const listener = yield* transport.consume(topic, 4)
          const sent = envelopes(40)
          yield* publishAll(transport, topic, sent)
          const seen: Array<number> = []
          while (seen.at(-1) !== sent.length - 1) {
            const taken = yield* listener.take
            assert.isAtMost(taken.length, 4)
            seen.push(...taken.map(({ envelope }) => envelope.attempt))
            yield* ackAll(taken)
          }
          assert.deepStrictEqual(
            seen,
            seen.toSorted((a, b) => a - b)
          )
        })
    )

    it.effect("reaches a daemon by its inbox, while that daemon consumes it", () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const inbox: Target & Source = { _tag: "Inbox", daemonId: aDaemon() }
        assert.strictEqual((yield* Effect.flip(transport.publish(inbox, anEnvelope())))._tag, "Outage")

        const owner = yield* mortal(transport, inbox, 10)
        const sent = anEnvelope()
        yield* transport.publish(inbox, sent)
        assert.deepStrictEqual((yield* collect(owner, 1)).map(idOf), [sent.id])

        yield* owner.die
        assert.strictEqual((yield* Effect.flip(transport.publish(inbox, anEnvelope())))._tag, "Outage")
      })
    )

    it.effect("lets one consumer lead a sweeper and hands over when it ends", () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const sweeper: Target & Source = { _tag: "Sweeper", name: aName() }
        const sent = envelopes(3)
        const leader = yield* mortal(transport, sweeper, 1)
        const heir = yield* transport.consume(sweeper, 1)
        const waiting = yield* Effect.forkChild(heir.take, { startImmediately: true })
        yield* publishAll(transport, sweeper, sent)
        for (const { id } of sent.slice(0, 2)) {
          const [delivery] = yield* collect(leader, 1)
          assert.strictEqual(delivery!.envelope.id, id)
          yield* delivery!.ack
        }
        yield* collect(leader, 1)
        yield* leader.die

        const [inherited] = yield* Fiber.join(waiting)
        assert.deepStrictEqual([inherited!.envelope.id, inherited!.redelivered], [sent[2]!.id, true])
      })
    )

    it.effect("keeps what is parked until somebody takes it", () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const sent = anEnvelope()
        yield* transport.publish({ _tag: "Parked", reason: "not an envelope" }, sent)
        const consumer = yield* transport.consume({ _tag: "Parked" }, 10)
        let found = false
        while (!found) {
          const taken = yield* consumer.take
          found = taken.some((delivery) => idOf(delivery) === sent.id)
          yield* ackAll(taken)
        }
      })
    )

    it.effect("answers a ping", () => Effect.flatMap(Transport, ({ ping }) => ping))

    transportUnderFaults(it, faults)
  })
