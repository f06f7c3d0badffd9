/** Acknowledgements of a channel, against a broker that closes the channel for any number it does not know, as the real one does. */
import { assert, it } from "@effect/vitest"
import type { Channel, ConsumeMessage } from "amqplib"
import { Effect, Schema } from "effect"
import { HeldDeliveries, TopicDeliveries } from "../../../src/layers/rabbitmq/RabbitDeliveries.ts"
import { encode } from "../../../src/layers/rabbitmq/EnvelopeCodec.ts"
import { anEnvelope } from "../contracts/LiveFactories.ts"

class StrictBroker {
  readonly unacknowledged: Array<number> = []
  readonly acked: Array<number> = []
  readonly returned: Array<number> = []
  frames = 0

  readonly ack = ({ fields: { deliveryTag } }: ConsumeMessage, multiple = false): void => {
    this.frames++
    this.acked.push(...this.settle(deliveryTag, multiple))
  }

  readonly nack = ({ fields: { deliveryTag } }: ConsumeMessage): void => {
    this.returned.push(...this.settle(deliveryTag, false))
  }

  readonly nackAll = (): void => void this.returned.push(...this.unacknowledged.splice(0))

  private settle(tag: number, multiple: boolean): ReadonlyArray<number> {
    const at = this.unacknowledged.indexOf(tag)
    assert.isAtLeast(at, 0, `unknown delivery tag ${tag}`)
    return multiple ? this.unacknowledged.splice(0, at + 1) : this.unacknowledged.splice(at, 1)
  }
}

const message = (deliveryTag: number, attempt = 0) =>
  ({ fields: { deliveryTag, redelivered: false }, content: encode(anEnvelope(attempt)) }) as ConsumeMessage

const Step = Schema.Union([
  Schema.TaggedStruct("deliver", { count: Schema.Literals([1, 3, 8]) }),
  Schema.TaggedStruct("settle", {
    at: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.999 })),
    how: Schema.Literals(["ack", "nack"])
  }),
  Schema.TaggedStruct("turn", {})
])

it.effect.prop(
  "settles each delivery as its holder said and no other, however many are told at once",
  { steps: Schema.Array(Step).check(Schema.isMinLength(4)) },
  ({ steps }) =>
    Effect.gen(function* () {
      const broker = new StrictBroker()
      const deliveries = new HeldDeliveries(broker as never as Channel, () => {})
      const held: Array<{
        readonly tag: number
        readonly ack: Effect.Effect<void>
        readonly nack: Effect.Effect<void>
      }> = []
      const acked: Array<number> = []
      const returned: Array<number> = []
      let tag = 0
      for (const step of steps) {
        if (step._tag === "turn") yield* Effect.promise(() => Promise.resolve())
        else if (step._tag === "deliver") {
          const from = tag
          for (let i = 0; i < step.count; i++) {
            broker.unacknowledged.push(++tag)
            deliveries.receive(message(tag))
          }
          deliveries.drain().deliveries.forEach(({ ack, nack }, i) => held.push({ tag: from + 1 + i, ack, nack }))
        } else {
          const [one] = held.splice(Math.floor(step.at * held.length), 1)
          if (one === undefined) continue
          yield* one[step.how]
          yield* one.ack
          yield* one.nack
          if (step.how === "ack") acked.push(one.tag)
          else returned.push(one.tag)
        }
      }
      deliveries.giveBack()
      assert.deepStrictEqual(broker.acked.toSorted(), acked.toSorted())
      assert.deepStrictEqual(broker.returned.toSorted(), [...returned, ...held.map((one) => one.tag)].toSorted())
    }),
  { arbitrary: { runs: 200 } }
)

it.effect("tells a batch that was acknowledged in one go with one frame", () =>
  Effect.gen(function* () {
    const broker = new StrictBroker()
    const deliveries = new HeldDeliveries(broker as never as Channel, () => {})
    for (let tag = 1; tag <= 50; tag++) {
      broker.unacknowledged.push(tag)
      deliveries.receive(message(tag))
    }
    for (const { ack } of deliveries.drain().deliveries) yield* ack
    yield* Effect.promise(() => Promise.resolve())
    assert.deepStrictEqual([broker.acked.length, broker.frames, deliveries.unacknowledged], [50, 1, 0])
  })
)

it.effect("does nothing for a delivery whose channel is gone", () =>
  Effect.gen(function* () {
    const broker = new StrictBroker()
    const deliveries = new HeldDeliveries(broker as never as Channel, () => {})
    broker.unacknowledged.push(1, 2)
    deliveries.receive(message(1))
    deliveries.receive(message(2))
    const [first, second] = deliveries.drain().deliveries
    yield* first!.ack
    deliveries.end()
    yield* second!.ack
    yield* second!.nack
    yield* Effect.promise(() => Promise.resolve())
    assert.deepStrictEqual([broker.acked, broker.returned], [[], []])
  })
)

it.effect("keeps the newest facts of a topic, and takes one back while there is room", () =>
  Effect.gen(function* () {
    const deliveries = new TopicDeliveries(2, () => {})
    for (let attempt = 1; attempt <= 5; attempt++) deliveries.receive(message(attempt, attempt))
    const [older, newer] = deliveries.drain().deliveries
    assert.deepStrictEqual([older!.envelope.attempt, newer!.envelope.attempt], [4, 5])
    yield* newer!.nack
    yield* older!.nack
    const again = deliveries.drain().deliveries
    assert.deepStrictEqual(
      again.map(({ envelope, redelivered }) => [envelope.attempt, redelivered]),
      [
        [4, true],
        [5, true]
      ]
    )
    yield* again[0]!.ack
    yield* again[0]!.nack
    assert.deepStrictEqual(deliveries.drain().deliveries, [])
  })
)
