/** Publishing with confirms, against a channel that does what the test says: what is under way at once, and what each fault means to whom. */
import { assert, it } from "@effect/vitest"
import type { ConfirmChannel, Options } from "amqplib"
import { EventEmitter } from "node:events"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { RabbitConfirms } from "../../../src/layers/rabbitmq/RabbitConfirms.ts"
import { RabbitConnection } from "../../../src/layers/rabbitmq/RabbitConnection.ts"

interface Sent {
  readonly key: string
  readonly options: Options.Publish
  readonly confirm: (failed: unknown) => void
}

class ScriptedChannel extends EventEmitter {
  readonly sent: Array<Sent> = []
  isWritable = true

  publish(
    _exchange: string,
    key: string,
    _content: Buffer,
    options: Options.Publish,
    confirm: Sent["confirm"]
  ): boolean {
    this.sent.push({ key, options, confirm })
    return this.isWritable
  }
}

const limits = { confirmMs: 10_000, unconfirmedMax: 3, waitingMax: 2 }

const rig = Effect.sync(() => {
  const model = new EventEmitter()
  const socket = new AbortController()
  const connection = new RabbitConnection(model as never, socket)
  const channel = new ScriptedChannel()
  const confirms = new RabbitConfirms(connection, channel as never as ConfirmChannel, limits)
  connection.watch(confirms.look)
  const publish = (key: string) =>
    Effect.forkChild(
      Effect.result(confirms.publish({ exchange: "e", key, content: Buffer.alloc(0), options: { mandatory: true } })),
      { startImmediately: true }
    )
  return { model, socket, connection, channel, confirms, publish }
})

it.effect("has several publishes under way at once, up to the bound, and the next with each confirm", () =>
  Effect.gen(function* () {
    const { channel, publish } = yield* rig
    const fibers = yield* Effect.forEach(["a", "b", "c", "d", "e"], publish)
    assert.deepStrictEqual(
      channel.sent.map(({ key }) => key),
      ["a", "b", "c"]
    )
    channel.sent[1]!.confirm(null)
    assert.strictEqual((yield* Fiber.join(fibers[1]!))._tag, "Success")
    assert.deepStrictEqual(
      channel.sent.map(({ key }) => key),
      ["a", "b", "c", "d"]
    )
    for (const { confirm } of channel.sent.toSpliced(1, 1)) confirm(null)
    channel.sent[4]!.confirm(null)
    for (const fiber of fibers) assert.strictEqual((yield* Fiber.join(fiber))._tag, "Success")
  })
)

it.effect("refuses a publish when as many wait as may, and forgets one whose publisher went away", () =>
  Effect.gen(function* () {
    const { channel, publish } = yield* rig
    const fibers = yield* Effect.forEach(["a", "b", "c", "d", "e"], publish)
    assert.strictEqual((yield* Fiber.join(yield* publish("f")))._tag, "Failure")
    yield* Fiber.interrupt(fibers[3]!)
    channel.sent[0]!.confirm(null)
    assert.deepStrictEqual(
      channel.sent.map(({ key }) => key),
      ["a", "b", "c", "e"]
    )
  })
)

it.effect("sends nothing more while the socket is full, and goes on when it has drained", () =>
  Effect.gen(function* () {
    const { channel, publish } = yield* rig
    channel.isWritable = false
    yield* publish("a")
    yield* publish("b")
    assert.strictEqual(channel.sent.length, 1)
    channel.isWritable = true
    channel.emit("drain")
    assert.strictEqual(channel.sent.length, 2)
  })
)

it.effect("tells a message that was returned from one that arrived, and a refused one from both", () =>
  Effect.gen(function* () {
    const { channel, publish } = yield* rig
    const [returned, routed, refused] = yield* Effect.forEach(["a", "b", "c"], publish)
    channel.emit("return", { properties: { correlationId: channel.sent[0]!.options.correlationId } })
    channel.sent[0]!.confirm(null)
    channel.sent[1]!.confirm(null)
    channel.sent[2]!.confirm(new Error("message nacked"))
    assert.deepInclude(yield* Fiber.join(returned!), { success: "unroutable" })
    assert.deepInclude(yield* Fiber.join(routed!), { success: "routed" })
    assert.strictEqual((yield* Fiber.join(refused!))._tag, "Failure")
  })
)

it.effect("fails at once with the broker's reason while the broker takes nothing, and works again afterwards", () =>
  Effect.gen(function* () {
    const { model, channel, publish } = yield* rig
    const fibers = yield* Effect.forEach(["a", "b", "c", "d"], publish)
    model.emit("blocked", "low on disk")
    for (const fiber of [...fibers, yield* publish("e")]) {
      const result = yield* Fiber.join(fiber)
      assert.strictEqual(result._tag, "Failure")
      if (result._tag === "Failure") assert.include(String(result.failure.cause), "low on disk")
    }
    assert.strictEqual(channel.sent.length, 3)
    model.emit("unblocked")
    for (const { confirm } of channel.sent.slice()) confirm(null)
    const later = yield* publish("f")
    channel.sent[3]!.confirm(null)
    assert.strictEqual((yield* Fiber.join(later))._tag, "Success")
  })
)

it.effect("drops a connection that owes a confirm for too long, but not one that said it takes nothing", () =>
  Effect.gen(function* () {
    const { model, socket, connection, channel, confirms, publish } = yield* rig
    yield* Effect.forkChild(confirms.watch)
    yield* TestClock.adjust("1 hour")
    yield* publish("a")
    model.emit("blocked", "low on memory")
    yield* TestClock.adjust("1 hour")
    assert.isFalse(socket.signal.aborted)
    model.emit("unblocked")
    channel.sent[0]!.confirm(null)

    const owed = yield* publish("b")
    yield* TestClock.adjust("9 seconds")
    assert.isFalse(socket.signal.aborted)
    yield* TestClock.adjust("3 seconds")
    assert.isTrue(socket.signal.aborted)
    model.emit("close")
    const result = yield* Fiber.join(owed)
    assert.strictEqual(result._tag, "Failure")
    assert.include(String(connection.lostBecause), "did not confirm in 10000 ms")
  })
)
