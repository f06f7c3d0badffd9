/**
 * The part of the Transport suite about what goes wrong: consumers, daemons and the broker that die at any point. Whatever
 * happens, what was confirmed is either acknowledged once or still there.
 */
import { assert, type Vitest } from "@effect/vitest"
import { Effect, Exit, Fiber, Schema, Scope } from "effect"
import { type Delivery, type Source, type Target, Transport } from "../../../src/layers/Transport.ts"
import type { Envelope } from "../../../src/schemas/Envelope.ts"
import { aDaemon, anEnvelope } from "./LiveFactories.ts"
import {
  ackAll,
  collect,
  envelopes,
  idOf,
  idsOf,
  lane,
  mortal,
  onceBack,
  publishAll,
  type TransportFaults
} from "./TransportProbes.ts"

export const transportUnderFaults = <R>(it: Vitest.MethodsNonLive<Transport | R>, faults: TransportFaults<R>): void => {
  const Who = Schema.Literals([0, 1])
  const Step = Schema.Union([
    Schema.TaggedStruct("publish", { count: Schema.Literals([1, 2, 5]) }),
    Schema.TaggedStruct("ack", { who: Who, newest: Schema.Boolean }),
    Schema.TaggedStruct("nack", { who: Who, newest: Schema.Boolean }),
    Schema.TaggedStruct("crash", { who: Who }),
    Schema.TaggedStruct("turn", {})
  ])
  it.effect.prop(
    "loses nothing and acknowledges nothing twice, and keeps the order of what was never redelivered",
    { steps: Schema.Array(Step).check(Schema.isMinLength(3)) },
    ({ steps }) =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const target = lane()
        const published: Array<Envelope> = []
        const acked = new Set<string>()
        /** A consumer that takes whatever comes, until it crashes. */
        const taker = Effect.fnUntraced(function* (prefetch: number) {
          const consumer = yield* mortal(transport, target, prefetch)
          const held: Array<Delivery> = []
          let newest = -1
          const taking = Effect.map(consumer.take, (taken) => {
            for (const delivery of taken) {
              assert.isFalse(acked.has(idOf(delivery)), "delivered after it was acknowledged")
              if (delivery.redelivered) continue
              assert.isAbove(delivery.envelope.attempt, newest, "out of order")
              newest = delivery.envelope.attempt
            }
            held.push(...taken)
            assert.isAtMost(held.length, prefetch)
          })
          const fiber = yield* Effect.forkChild(Effect.forever(taking), { startImmediately: true })
          return { held, die: Effect.andThen(Fiber.interrupt(fiber), consumer.die), fiber }
        })
        const takers = [yield* taker(2), yield* taker(3)]
        for (const step of steps) {
          if (step._tag === "publish") {
            for (let i = 0; i < step.count; i++) {
              const envelope = anEnvelope(published.length)
              yield* transport.publish(target, envelope)
              published.push(envelope)
            }
          } else if (step._tag === "crash") {
            yield* takers[step.who]!.die
            takers[step.who] = yield* taker(2)
          } else if (step._tag === "turn") yield* Effect.yieldNow
          else {
            const { held } = takers[step.who]!
            const delivery = step.newest ? held.pop() : held.shift()
            if (delivery === undefined) continue
            // Written down first: after it, a taker may be handed the next before this line is done.
            if (step._tag === "ack") acked.add(idOf(delivery))
            yield* step._tag === "ack" ? delivery.ack : delivery.nack
          }
          for (const { fiber } of takers) {
            const exit = fiber.pollUnsafe()
            if (exit !== undefined) return yield* exit
          }
        }
        for (const { die } of takers) yield* die
        const last = anEnvelope(published.length)
        yield* transport.publish(target, last)

        const left = published.filter(({ id }) => !acked.has(id))
        const rest = yield* collect(yield* transport.consume(target, 1000), left.length + 1)
        assert.deepStrictEqual(rest.map(idOf).toSorted(), idsOf([...left, last]).toSorted())
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 100 } }
  )

  it.effect.skipIf(faults.connect === undefined)(
    "gives back what a daemon held when its connections die, and its inbox is gone",
    () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const target = lane()
        const inbox: Target & Source = { _tag: "Inbox", daemonId: aDaemon() }
        const sent = envelopes(2)
        yield* publishAll(transport, target, sent)
        const scope = yield* Scope.fork(yield* Effect.scope)
        const other = yield* faults.connect!.pipe(Scope.provide(scope))
        const theirs = yield* other.consume(target, 2)
        yield* other.consume(inbox, 10)
        const [held] = yield* collect(theirs, 2)
        yield* transport.publish(inbox, anEnvelope())
        yield* Scope.close(scope, Exit.void)

        yield* held!.ack
        const deliveries = yield* collect(yield* transport.consume(target, 10), 2)
        assert.deepStrictEqual(
          deliveries.map((d) => [idOf(d), d.redelivered]),
          sent.map(({ id }) => [id, true])
        )
        assert.strictEqual((yield* Effect.flip(transport.publish(inbox, anEnvelope())))._tag, "Outage")
        assert.strictEqual((yield* Effect.flip(theirs.take))._tag, "Outage")
      })
  )

  it.effect.skipIf(faults.outage === undefined)(
    "fails with an Outage while the broker is out, and goes on with nothing lost when it is back",
    () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const target = lane()
        const [a, b, c] = envelopes(3)
        yield* publishAll(transport, target, [a!, b!])
        const consumer = yield* transport.consume(target, 2)
        const [heldA] = yield* collect(consumer, 2)
        const waiting = yield* Effect.forkChild(Effect.flip(consumer.take), { startImmediately: true })
        yield* faults.outage!(true)
        const failures = yield* Effect.all(
          [
            Fiber.join(waiting),
            Effect.flip(transport.publish(target, anEnvelope())),
            Effect.flip(Effect.scoped(transport.consume(target, 1))),
            Effect.flip(transport.ping)
          ],
          { concurrency: 1 }
        ).pipe(Effect.ensuring(faults.outage!(false)))

        assert.deepStrictEqual([...new Set(failures.map(({ _tag }) => _tag))], ["Outage"])
        yield* onceBack(transport.publish(target, c!))
        yield* heldA!.ack
        const again = { take: onceBack(consumer.take) }
        const first = yield* collect(again, 2)
        assert.deepStrictEqual(
          first.map((d) => [idOf(d), d.redelivered]),
          [
            [a!.id, true],
            [b!.id, true]
          ]
        )
        yield* ackAll(first)
        assert.deepStrictEqual((yield* collect(again, 1)).map(idOf), [c!.id])
      })
  )

  it.effect.skipIf(faults.wipe === undefined)("has lost every message when it was wiped, and consumers go on", () =>
    Effect.gen(function* () {
      const transport = yield* Transport
      const [consumed, unconsumed] = [lane(), lane()]
      yield* publishAll(transport, consumed, envelopes(3))
      yield* publishAll(transport, unconsumed, envelopes(3))
      const consumer = yield* transport.consume(consumed, 2)
      const [held] = yield* collect(consumer, 2)

      yield* faults.wipe!

      yield* held!.nack
      const sent = anEnvelope()
      yield* onceBack(transport.publish(consumed, sent))
      yield* onceBack(transport.publish(unconsumed, sent))
      assert.deepStrictEqual((yield* collect({ take: onceBack(consumer.take) }, 1)).map(idOf), [sent.id])
      assert.deepStrictEqual((yield* collect(yield* transport.consume(unconsumed, 5), 1)).map(idOf), [sent.id])
    })
  )
}
