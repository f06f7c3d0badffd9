/** Lanes on RabbitMQ: many messages with a consumer that dies, what is no envelope, names of any length, queues that are not what we declare. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Logger, Redacted } from "effect"
import type { Outage } from "../../../src/layers/Outage.ts"
import { messageOf } from "../../../src/layers/rabbitmq/RabbitErrors.ts"
import { REASON } from "../../../src/layers/rabbitmq/RabbitTopology.ts"
import * as RabbitTransport from "../../../src/layers/rabbitmq/RabbitTransport.ts"
import type { Consumer, Source, Target, Transport } from "../../../src/layers/Transport.ts"
import { laneName } from "../../../src/schemas/Job.ts"
import { aLane, anEnvelope } from "../contracts/LiveFactories.ts"
import { collect, depthOnceReady, envelopes, idOf, idsOf, lane, onceBack } from "../contracts/TransportProbes.ts"
import { Proxy } from "./Proxy.ts"
import { RabbitRig, withRabbit } from "./RabbitRig.ts"

const MANY = 10_000

withRabbit("lanes on RabbitMQ", () => {
  const rig = new RabbitRig()

  it.live("hands out every message at least once when one of three consumers dies on the way", () =>
    Effect.gen(function* () {
      const { proxy, url } = yield* Effect.promise(() => Proxy.open(rig.url))
      const target = { _tag: "Lane", lane: aLane() } as const
      const transports = [yield* rig.connect(), yield* rig.connect(), yield* rig.connect({ url })]
      const handled = new Set<string>()
      const done = yield* Deferred.make<void>()
      const half = yield* Deferred.make<void>()
      const handle = Effect.fnUntraced(function* ({ take }: Consumer) {
        for (const delivery of yield* take) {
          handled.add(idOf(delivery))
          yield* delivery.ack
          if (handled.size === MANY / 2) yield* Deferred.succeed(half, undefined)
          if (handled.size === MANY) yield* Deferred.succeed(done, undefined)
        }
      })
      const consuming = Effect.fnUntraced(function* (transport: Transport["Service"]) {
        const consumer = yield* transport.consume(target, 64)
        return yield* Effect.forever(handle(consumer))
      }, Effect.scoped)
      for (const transport of transports) yield* Effect.forkScoped(Effect.ignore(consuming(transport)))
      const sent = envelopes(MANY)
      yield* Effect.forkScoped(
        Effect.forEach(sent, (envelope) => transports[0]!.publish(target, envelope), {
          concurrency: 256,
          discard: true
        })
      )
      yield* Deferred.await(half)
      yield* Effect.promise(() => proxy.close())
      yield* Deferred.await(done)
      assert.deepStrictEqual([...handled].toSorted(), idsOf(sent).toSorted())
      yield* depthOnceReady(transports[0]!, laneName(target.lane), 0)
    })
  )

  it.live("takes what is no envelope out of the lane, keeps it with the reason, and says nothing of its text", () =>
    Effect.gen(function* () {
      const transport = yield* rig.connect()
      const target = lane()
      const sent = anEnvelope()
      const texts = ["a secret", JSON.stringify({ ...sent, message: { _tag: "Unheard", text: "a secret" } })]
      yield* transport.publish(target, sent)
      yield* Effect.promise(() =>
        rig.shell(async (channel) => {
          for (const text of texts) channel.sendToQueue(rig.queueOf(target), Buffer.from(text))
        })
      )
      const last = anEnvelope()
      yield* transport.publish(target, last)
      const logged: Array<string> = []
      const log = Logger.make(({ message }) => void logged.push(JSON.stringify(message)))
      const consumer = yield* transport.consume(target, 10)
      const found = yield* collect(consumer, 2).pipe(Effect.provide(Logger.layer([log])))
      assert.deepStrictEqual(found.map(idOf), [sent.id, last.id])

      const kept = yield* onceBack(
        Effect.tryPromise({
          try: () => rig.shell((channel) => unread(channel, rig.topology.unreadable.name, 2)),
          catch: () => ({ _tag: "Outage" }) as Outage
        })
      )
      assert.deepStrictEqual(kept, [
        ["a secret", "not JSON"],
        [texts[1]!, "not an envelope (message)"]
      ])
      assert.strictEqual(logged.length, 2)
      assert.notInclude(logged.join(), "secret")
    })
  )

  it.live("keeps the reason with what an actor parked", () =>
    Effect.gen(function* () {
      const transport = yield* rig.connect()
      yield* transport.publish({ _tag: "Parked", reason: "not a job" }, anEnvelope())
      const [kept] = yield* Effect.promise(() => rig.shell((channel) => unread(channel, rig.topology.parked.name, 1)))
      assert.strictEqual(kept![1], "not a job")
    })
  )

  it.live("carries lanes whose names are longer than the protocol's", () =>
    Effect.gen(function* () {
      const transport = yield* rig.connect()
      const model = "é".repeat(100)
      const [a, b] = ["a", "b"].map((end) => ({ _tag: "Lane", lane: { ...aLane(), model: `${model}${end}` } }) as const)
      const [toA, toB] = [anEnvelope(), anEnvelope()]
      yield* transport.publish(a!, toA)
      yield* transport.publish(b!, toB)
      yield* depthOnceReady(transport, laneName(a!.lane), 1)
      assert.deepStrictEqual((yield* collect(yield* transport.consume(a!, 5), 1)).map(idOf), [toA.id])
      assert.deepStrictEqual((yield* collect(yield* transport.consume(b!, 5), 1)).map(idOf), [toB.id])
    })
  )

  it.live("opens another connection when the first has as many consumers as it may", () =>
    Effect.gen(function* () {
      const transport = yield* rig.connect({ channelsMax: 2 })
      const targets = Array.from({ length: 5 }, lane)
      const consumers = yield* Effect.forEach(targets, (target) => transport.consume(target, 5), { concurrency: 5 })
      for (const [at, target] of targets.entries()) {
        const sent = anEnvelope()
        yield* transport.publish(target, sent)
        assert.deepStrictEqual((yield* collect(consumers[at]!, 1)).map(idOf), [sent.id])
      }
      const failures = yield* Effect.forEach(Array.from({ length: 14 }, lane), (target) =>
        Effect.result(transport.consume(target, 5))
      )
      assert.deepStrictEqual(
        failures.map(({ _tag }) => _tag === "Failure"),
        failures.map((_, at) => at >= 11)
      )
    })
  )

  it.live("waits at a lane that is not what we declare, names it and what to do, and serves the others", () =>
    Effect.gen(function* () {
      const [odd, other]: ReadonlyArray<Target & Source> = [lane(), lane()]
      const queue = rig.queueOf(odd!)
      yield* Effect.promise(() => rig.shell((channel) => channel.assertQueue(queue, { durable: true })))
      const transport = yield* rig.connect()
      const failures = [
        yield* Effect.flip(transport.publish(odd!, anEnvelope())),
        yield* Effect.flip(Effect.scoped(transport.consume(odd!, 1)))
      ]
      for (const { cause } of failures) {
        assert.include(messageOf(cause), queue)
        assert.match(messageOf(cause), /Delete .* or choose another prefix/)
      }
      yield* transport.publish(other!, anEnvelope())
      yield* Effect.promise(() => rig.shell((channel) => channel.deleteQueue(queue)))
      yield* transport.publish(odd!, anEnvelope())
    })
  )

  it.live("does not start where a queue of every daemon is not what we declare", () =>
    Effect.gen(function* () {
      const prefix = `${rig.prefix}-odd`
      const queue = `${prefix}.parked`
      yield* Effect.promise(() => rig.shell((channel) => channel.assertQueue(queue, { durable: true })))
      const starting = Effect.scoped(RabbitTransport.make({ url: Redacted.make(rig.url), prefix }))
      const failure = yield* Effect.flip(starting)
      assert.strictEqual(failure._tag, "TopologyDrift")
      assert.include(failure.message, queue)
      yield* Effect.promise(() =>
        rig.shell(async (channel) => {
          await channel.deleteQueue(queue)
          for (const kind of ["jobs", "actors", "events", "sweepers", "parked"])
            await channel.deleteExchange(`${prefix}.${kind}`)
        })
      )
    })
  )
})

/** Text and reason of so many messages, which are gone afterwards. Fails when there are fewer, and leaves them. */
const unread = async (
  channel: Parameters<Parameters<RabbitRig["shell"]>[0]>[0],
  queue: string,
  count: number
): Promise<ReadonlyArray<readonly [string, unknown]>> => {
  const { messageCount } = await channel.checkQueue(queue)
  if (messageCount < count) throw new Error(`${messageCount} of ${count} are there`)
  const found: Array<readonly [string, unknown]> = []
  while (found.length < count) {
    const message = await channel.get(queue, { noAck: true })
    if (message !== false) found.push([message.content.toString(), message.properties.headers?.[REASON]])
  }
  return found
}
