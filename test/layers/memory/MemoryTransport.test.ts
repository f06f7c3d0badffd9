/** What only this broker can be made to do: lose a confirm, cut a channel, be full; and its turns, which are exact. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { make as makeBroker, MemoryBroker } from "../../../src/layers/memory/MemoryBroker.ts"
import * as MemoryTransport from "../../../src/layers/memory/MemoryTransport.ts"
import { type Delivery, type Source, type Target, Transport } from "../../../src/layers/Transport.ts"
import { aDaemon, aLane, anEnvelope } from "../contracts/LiveFactories.ts"

const transport = MemoryTransport.layer.pipe(Layer.provideMerge(MemoryBroker.layer))
const limited = (limits: Parameters<typeof makeBroker>[0]) =>
  MemoryTransport.layer.pipe(Layer.provideMerge(Layer.effect(MemoryBroker, makeBroker(limits))))
const lane = (): Target & Source => ({ _tag: "Lane", lane: aLane() })
const numbers = (deliveries: ReadonlyArray<Delivery>) => deliveries.map(({ envelope }) => envelope.attempt)
const publish = (target: Target, ...attempts: ReadonlyArray<number>) =>
  Effect.forEach(attempts, (attempt) => Effect.flatMap(Transport, (t) => t.publish(target, anEnvelope(attempt))))

it.effect("serves the consumers of a lane in turn, and skips one that is full", () =>
  Effect.gen(function* () {
    const { consume } = yield* Transport
    const target = lane()
    const [a, b, c] = [yield* consume(target, 4), yield* consume(target, 1), yield* consume(target, 4)]
    yield* publish(target, 1, 2, 3, 4, 5, 6, 7)
    assert.deepStrictEqual(numbers(yield* a.take), [1, 4, 6])
    assert.deepStrictEqual(numbers(yield* b.take), [2])
    assert.deepStrictEqual(numbers(yield* c.take), [3, 5, 7])
  }).pipe(Effect.provide(transport))
)

it.effect("puts back in the old order what two consumers held", () =>
  Effect.gen(function* () {
    const { consume } = yield* Transport
    const target = lane()
    const scope = yield* Scope.fork(yield* Effect.scope)
    const [a, b] = [yield* Scope.provide(consume(target, 2), scope), yield* Scope.provide(consume(target, 2), scope)]
    yield* publish(target, 1, 2, 3, 4, 5)
    yield* a.take
    yield* b.take
    yield* Scope.close(scope, Exit.void)
    assert.deepStrictEqual(numbers(yield* (yield* consume(target, 9)).take), [1, 2, 3, 4, 5])
  }).pipe(Effect.provide(transport))
)

it.effect("gives nothing from one consumer to another when their daemon dies as a whole", () =>
  Effect.gen(function* () {
    const target = lane()
    const scope = yield* Scope.fork(yield* Effect.scope)
    const dying = yield* MemoryTransport.make("dying").pipe(Scope.provide(scope))
    const held = yield* dying.consume(target, 1).pipe(Scope.provide(scope))
    const sibling = yield* dying.consume(target, 1).pipe(Scope.provide(scope))
    yield* publish(target, 1, 2, 3)
    yield* held.take
    yield* sibling.take
    yield* Scope.close(scope, Exit.void)
    const again = yield* (yield* (yield* Transport).consume(target, 9)).take
    assert.deepStrictEqual(
      again.map(({ envelope, redelivered }) => [envelope.attempt, redelivered]),
      [
        [1, true],
        [2, true],
        [3, false]
      ]
    )
    assert.strictEqual((yield* Effect.flip(dying.publish(target, anEnvelope())))._tag, "Outage")
    assert.strictEqual((yield* Effect.flip(Effect.scoped(dying.consume(target, 1))))._tag, "Outage")
  }).pipe(Effect.provide(transport))
)

it.effect("stores a message whose confirm fails, and one whose confirm never comes, and not one that is lost", () =>
  Effect.gen(function* () {
    const broker = yield* MemoryBroker
    const target = lane()
    yield* broker.failNextConfirm
    assert.strictEqual((yield* Effect.flip(publish(target, 1)))._tag, "Outage")
    yield* broker.dropNextConfirm
    const unconfirmed = yield* Effect.forkChild(Effect.flip(publish(target, 2)), { startImmediately: true })
    yield* TestClock.adjust("9 seconds")
    assert.isUndefined(unconfirmed.pollUnsafe())
    yield* TestClock.adjust("1 second")
    assert.strictEqual((yield* Fiber.join(unconfirmed))._tag, "Outage")
    yield* broker.loseNextPublish
    assert.strictEqual((yield* Effect.flip(publish(target, 3)))._tag, "Outage")
    yield* publish(target, 4)
    assert.deepStrictEqual(numbers(yield* (yield* (yield* Transport).consume(target, 9)).take), [1, 2, 4])
  }).pipe(Effect.provide(transport))
)

it.effect("refuses what a full queue cannot hold, delivered messages counted, and takes it once there is room", () =>
  Effect.gen(function* () {
    const target = lane()
    yield* publish(target, 1, 2)
    const [first] = yield* (yield* (yield* Transport).consume(target, 1)).take
    assert.strictEqual((yield* Effect.flip(publish(target, 3)))._tag, "Outage")
    yield* first!.ack
    yield* publish(target, 3)
  }).pipe(Effect.provide(limited({ messagesMax: 2 })))
)

it.effect("makes room for a new lane by forgetting idle ones, and refuses it when all are in use", () =>
  Effect.gen(function* () {
    const { consume, depths } = yield* Transport
    const [idle, kept, fresh, excess] = [lane(), lane(), lane(), lane()]
    yield* Effect.scoped(consume(idle, 1))
    yield* publish(kept, 1)
    yield* publish(fresh, 1)
    assert.strictEqual((yield* Effect.flip(publish(excess, 1)))._tag, "Outage")
    assert.strictEqual((yield* depths).length, 2)
  }).pipe(Effect.provide(limited({ queuesMax: 2 })))
)

it.effect("lets nobody else consume an inbox", () =>
  Effect.gen(function* () {
    const { consume } = yield* Transport
    const inbox: Source = { _tag: "Inbox", daemonId: aDaemon() }
    yield* consume(inbox, 1)
    assert.strictEqual((yield* Effect.flip(consume(inbox, 1)))._tag, "Outage")
  }).pipe(Effect.provide(transport))
)

it.effect("tells a consumer whose channel was cut once, gives its deliveries to others, and takes it on again", () =>
  Effect.gen(function* () {
    const broker = yield* MemoryBroker
    const target = lane()
    const other = yield* MemoryTransport.make("other")
    const cut = yield* other.consume(target, 2)
    yield* publish(target, 1, 2)
    const [held] = yield* cut.take
    yield* broker.cutConsumers(({ connection, unacknowledged }) => connection === "other" && unacknowledged === 2)
    const heir = yield* (yield* Transport).consume(target, 1)
    yield* held!.ack
    const [first] = yield* heir.take
    assert.deepStrictEqual([first!.envelope.attempt, first!.redelivered], [1, true])
    assert.strictEqual((yield* Effect.flip(cut.take))._tag, "Outage")
    assert.deepStrictEqual(numbers(yield* cut.take), [2])
  }).pipe(Effect.provide(transport))
)

it.effect("makes the next consumer of a sweeper the leader when the leader's channel is cut", () =>
  Effect.gen(function* () {
    const { consume } = yield* Transport
    const sweeper: Target & Source = { _tag: "Sweeper", name: "outbox" }
    const leader = yield* consume(sweeper, 1)
    const heir = yield* consume(sweeper, 2)
    yield* publish(sweeper, 1)
    yield* leader.take
    yield* (yield* MemoryBroker).cutConsumers(({ prefetch }) => prefetch === 1)
    assert.deepStrictEqual(numbers(yield* heir.take), [1])
    yield* Effect.flip(leader.take)
    const waiting = yield* Effect.forkChild(leader.take, { startImmediately: true })
    yield* publish(sweeper, 2)
    assert.deepStrictEqual(numbers(yield* heir.take), [2])
    assert.isUndefined(waiting.pollUnsafe())
  }).pipe(Effect.provide(transport))
)

it.effect("keeps the newest facts for a listener that fell behind, and takes one back only while there is room", () =>
  Effect.gen(function* () {
    const topic: Target & Source = { _tag: "Topic", topic: "job" }
    const listener = yield* (yield* Transport).consume(topic, 2)
    yield* publish(topic, 1, 2, 3, 4)
    const taken = yield* listener.take
    assert.deepStrictEqual(numbers(taken), [3, 4])
    yield* publish(topic, 5)
    yield* taken[1]!.nack
    yield* taken[0]!.nack
    const again = yield* listener.take
    assert.deepStrictEqual(
      again.map((d) => [d.envelope.attempt, d.redelivered]),
      [
        [4, true],
        [5, false]
      ]
    )
  }).pipe(Effect.provide(transport))
)

it.effect("loses what inboxes and topics held in an outage, and serves them again after it", () =>
  Effect.gen(function* () {
    const { consume } = yield* Transport
    const broker = yield* MemoryBroker
    const inbox: Target & Source = { _tag: "Inbox", daemonId: aDaemon() }
    const topic: Target & Source = { _tag: "Topic", topic: "job" }
    const consumers = [yield* consume(inbox, 5), yield* consume(topic, 5)]
    for (const target of [inbox, topic]) yield* publish(target, 1)
    yield* broker.outage(true)
    yield* broker.outage(false)
    for (const target of [inbox, topic]) yield* publish(target, 2)
    for (const consumer of consumers) assert.deepStrictEqual(numbers(yield* consumer.take), [2])
  }).pipe(Effect.provide(transport))
)

it.effect("loses no delivery when a take is interrupted while it waits", () =>
  Effect.gen(function* () {
    const target = lane()
    const consumer = yield* (yield* Transport).consume(target, 5)
    const waiting = yield* Effect.forkChild(consumer.take, { startImmediately: true })
    yield* publish(target, 1)
    yield* Fiber.interrupt(waiting)
    assert.deepStrictEqual(numbers(yield* consumer.take), [1])
  }).pipe(Effect.provide(transport))
)
