/** What goes wrong between a daemon and RabbitMQ: connections that are cut or hang, a broker that takes nothing, queues that vanish, a late start. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { Outage } from "../../../src/layers/Outage.ts"
import { messageOf } from "../../../src/layers/rabbitmq/RabbitErrors.ts"
import type { Source, Target } from "../../../src/layers/Transport.ts"
import { aDaemon, anEnvelope } from "../contracts/LiveFactories.ts"
import { collect, envelopes, idOf, idsOf, lane, mortal, onceBack, publishAll } from "../contracts/TransportProbes.ts"
import { Proxy } from "./Proxy.ts"
import { RabbitRig, withRabbit } from "./RabbitRig.ts"

const proxied = (rig: RabbitRig) =>
  Effect.acquireRelease(
    Effect.promise(() => Proxy.open(rig.url)),
    ({ proxy }) => Effect.promise(() => proxy.close())
  )

const because = ({ cause }: Outage) => messageOf(cause)

withRabbit("outages of RabbitMQ", () => {
  const rig = new RabbitRig()

  it.live("fails a publish within its time when the broker is silent, and publishes again on a new connection", () =>
    Effect.gen(function* () {
      const { proxy, url } = yield* proxied(rig)
      const transport = yield* rig.connect({ url, confirmMs: 300 })
      const target = lane()
      yield* transport.publish(target, anEnvelope())
      proxy.hang()
      const failures = yield* Effect.forEach(
        envelopes(20),
        (envelope) => Effect.flip(transport.publish(target, envelope)),
        { concurrency: 20 }
      )
      assert.deepStrictEqual([...new Set(failures.map(because))], ["RabbitMQ did not confirm in 300 ms"])
      assert.include(because(yield* Effect.flip(transport.publish(target, anEnvelope()))), "did not confirm")
      proxy.pass()
      yield* onceBack(transport.publish(target, anEnvelope()))
    })
  )

  it.live("settles nothing with an acknowledgement of a connection that is gone", () =>
    Effect.gen(function* () {
      const { proxy, url } = yield* proxied(rig)
      const transport = yield* rig.connect({ url })
      const target = lane()
      const sent = envelopes(2)
      yield* publishAll(transport, target, sent)
      const consumer = yield* mortal(transport, target, 2)
      const before = yield* collect(consumer, 2)
      proxy.cut()
      assert.strictEqual((yield* Effect.flip(consumer.take))._tag, "Outage")
      proxy.pass()
      const again = yield* collect({ take: onceBack(consumer.take) }, 2)
      assert.deepStrictEqual(again.map(idOf), idsOf(sent))

      // The same numbers mean other deliveries by now.
      for (const { ack } of before) yield* ack
      yield* again[0]!.ack
      yield* consumer.die
      const left = yield* collect(yield* transport.consume(target, 10), 1)
      assert.deepStrictEqual(left.map(idOf), [sent[1]!.id])
    })
  )

  it.live("fails what nobody gets, and nothing that was published beside it", () =>
    Effect.gen(function* () {
      const transport = yield* rig.connect()
      const gone: Target = { _tag: "Inbox", daemonId: aDaemon() }
      const here: Target & Source = { _tag: "Inbox", daemonId: aDaemon() }
      const consumer = yield* transport.consume(here, 100)
      const sent = envelopes(50)
      const outcomes = yield* Effect.forEach(
        sent.flatMap((envelope) => [gone, here].map((target) => ({ target, envelope }))),
        ({ target, envelope }) => Effect.result(transport.publish(target, envelope)),
        { concurrency: 100 }
      )
      assert.deepStrictEqual(
        outcomes.map(({ _tag }) => _tag),
        sent.flatMap(() => ["Failure", "Success"] as const)
      )
      assert.deepStrictEqual((yield* collect(consumer, 50)).map(idOf).toSorted(), idsOf(sent).toSorted())
    })
  )

  it.live("fails publishes at once while the broker takes nothing, and delivers all the same", () =>
    Effect.gen(function* () {
      const { proxy, url } = yield* proxied(rig)
      const transport = yield* rig.connect({ url })
      const other = yield* rig.connect()
      const target = lane()
      const consumer = yield* transport.consume(target, 10)
      yield* transport.publish(target, anEnvelope())
      yield* collect(consumer, 1)
      proxy.block("low on disk")
      const failure = yield* Effect.retry(Effect.flip(transport.publish(target, anEnvelope())), { times: 3 })
      assert.include(because(failure), "takes no messages for now: low on disk")
      const sent = anEnvelope()
      yield* other.publish(target, sent)
      assert.deepStrictEqual((yield* collect(consumer, 1)).map(idOf), [sent.id])
      proxy.unblock()
      yield* onceBack(transport.publish(target, anEnvelope()))
    })
  )

  it.live("declares a lane again when its queue vanished under a living connection", () =>
    Effect.gen(function* () {
      const transport = yield* rig.connect()
      const target = lane()
      yield* transport.publish(target, anEnvelope())
      yield* Effect.promise(() => rig.shell((channel) => channel.deleteQueue(rig.queueOf(target))))
      const sent = envelopes(20)
      yield* Effect.forEach(sent, (envelope) => transport.publish(target, envelope), { concurrency: 20 })
      const found = yield* collect(yield* transport.consume(target, 100), 20)
      assert.deepStrictEqual(found.map(idOf).toSorted(), idsOf(sent).toSorted())
    })
  )

  it.live("tells the taker once when the broker ends its consumer, then consumes again", () =>
    Effect.gen(function* () {
      const transport = yield* rig.connect()
      const target = lane()
      const consumer = yield* transport.consume(target, 5)
      const waiting = yield* Effect.forkChild(Effect.flip(consumer.take), { startImmediately: true })
      yield* Effect.promise(() => rig.shell((channel) => channel.deleteQueue(rig.queueOf(target))))
      assert.include(because(yield* Fiber.join(waiting)), "the broker ended the consumer")
      const again = yield* Effect.forkChild(consumer.take, { startImmediately: true })
      const sent = anEnvelope()
      yield* transport.publish(target, sent)
      assert.deepStrictEqual((yield* Fiber.join(again)).map(idOf), [sent.id])
    })
  )

  it.live("forgets the depth of a lane that is gone, and counts what is held where nobody else consumes", () =>
    Effect.gen(function* () {
      const transport = yield* rig.connect()
      const [gone, here] = [lane(), lane()]
      yield* transport.publish(gone, anEnvelope())
      const consumer = yield* transport.consume(here, 1)
      yield* transport.publish(here, anEnvelope())
      yield* collect(consumer, 1)
      yield* Effect.promise(() => rig.shell((channel) => channel.deleteQueue(rig.queueOf(gone))))
      const counts = Effect.map(transport.depths, (depths) =>
        depths.map(({ ready, unacknowledged, consumers }) => [ready, unacknowledged, consumers])
      )
      assert.deepStrictEqual(yield* counts, [[0, 1, 1]])
      const other = yield* rig.connect()
      yield* other.consume(here, 1)
      assert.deepStrictEqual(yield* counts, [[0, null, 2]])
    })
  )

  it.live("lets a silent broker delay the end of many consumers once", () =>
    Effect.gen(function* () {
      const { proxy, url } = yield* proxied(rig)
      const transport = yield* rig.connect({ url })
      const consumers = yield* Effect.forEach(Array.from({ length: 30 }, lane), (target) =>
        mortal(transport, target, 1)
      )
      proxy.hang()
      yield* Effect.forEach(consumers, ({ die }) => die, { discard: true })
      proxy.pass()
      yield* onceBack(transport.ping)
    })
  )

  it.live("starts when the broker comes up a little later", () =>
    Effect.gen(function* () {
      const { proxy, url } = yield* proxied(rig)
      proxy.cut()
      const starting = yield* Effect.forkChild(rig.connect({ url, startMs: 30_000 }))
      yield* Effect.promise(() => proxy.refused)
      proxy.pass()
      yield* (yield* Fiber.join(starting)).ping
    })
  )

  it.live("says what stood in the way when the broker does not come up in time", () =>
    Effect.gen(function* () {
      const failure = yield* Effect.flip(rig.connect({ url: "amqp://nobody@127.0.0.1:1", startMs: 200 }))
      assert.match(because(failure), /^no connection to RabbitMQ within 200 ms: .*ECONNREFUSED/)
    })
  )
})
