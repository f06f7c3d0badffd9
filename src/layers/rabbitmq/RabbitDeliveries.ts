/**
 * What one channel delivered to one consumer. Acknowledgements are the channel's: once it is gone they do nothing, because the broker has taken the
 * deliveries back and may have given them to somebody else under the same numbers of another channel.
 */
import type { Channel, ConsumeMessage, Message } from "amqplib"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Envelope } from "../../schemas/Envelope.ts"
import type { Delivery } from "../Transport.ts"
import { decode } from "./EnvelopeCodec.ts"

/** A delivery that holds no envelope, and why. */
export interface Unreadable {
  readonly content: Buffer
  readonly reason: string
  /** The broker may forget it. */
  readonly ack: Effect.Effect<void>
}

export interface Drained {
  readonly deliveries: ReadonlyArray<Delivery>
  readonly unreadable: ReadonlyArray<Unreadable>
}

export interface Deliveries {
  /** All that came and was not taken yet, oldest first. */
  readonly drain: () => Drained
  readonly receive: (message: ConsumeMessage) => void
  /** Delivered and not acknowledged, taken or not. */
  readonly unacknowledged: number
  /** Gives back what is not acknowledged, while the channel still lives. */
  readonly giveBack: () => void
  /** The channel is gone. */
  readonly end: () => void
}

const drainAll = <M extends { readonly content: Buffer }>(
  messages: ReadonlyArray<M>,
  toDelivery: (message: M, envelope: Envelope) => Delivery,
  toAck: (message: M) => Effect.Effect<void>
): Drained => {
  const deliveries: Array<Delivery> = []
  const unreadable: Array<Unreadable> = []
  for (const message of messages) {
    const decoded = decode(message.content)
    if (Result.isSuccess(decoded)) deliveries.push(toDelivery(message, decoded.success))
    else unreadable.push({ content: message.content, reason: decoded.failure, ack: toAck(message) })
  }
  return { deliveries, unreadable }
}

/** Of a queue: each is the consumer's until acknowledged. The broker's prefetch bounds how many there are. */
export class HeldDeliveries implements Deliveries {
  private readonly channel: Channel
  private readonly arrived: () => void
  /** Delivered and not settled, oldest first. */
  private readonly open = new Set<number>()
  /** Acknowledged within this turn and not told to the broker yet. */
  private acked: Array<number> = []
  private buffer: Array<ConsumeMessage> = []

  constructor(channel: Channel, arrived: () => void) {
    this.channel = channel
    this.arrived = arrived
  }

  get unacknowledged(): number {
    return this.open.size
  }

  receive(message: ConsumeMessage): void {
    this.open.add(message.fields.deliveryTag)
    this.buffer.push(message)
    this.arrived()
  }

  drain(): Drained {
    const { buffer } = this
    this.buffer = []
    const acking = (tag: number) => Effect.sync(() => this.ack(tag))
    return drainAll(
      buffer,
      ({ fields: { deliveryTag, redelivered } }, envelope) => ({
        envelope,
        redelivered,
        ack: acking(deliveryTag),
        nack: Effect.sync(() => this.nack(deliveryTag))
      }),
      ({ fields }) => acking(fields.deliveryTag)
    )
  }

  giveBack(): void {
    this.flush()
    if (this.open.size > 0) this.channel.nackAll(true)
    this.end()
  }

  end(): void {
    this.open.clear()
    this.acked = []
    this.buffer = []
  }

  private ack(tag: number): void {
    if (!this.open.delete(tag)) return
    this.acked.push(tag)
    if (this.acked.length === 1) queueMicrotask(() => this.flush())
  }

  private nack(tag: number): void {
    if (this.open.delete(tag)) this.tell(() => this.channel.nack(tagged(tag), false, true))
  }

  /** All that is older than what is still open goes in one frame, which is one step for the broker too. */
  private flush(): void {
    const { acked } = this
    if (acked.length === 0) return
    this.acked = []
    const [oldest = Number.POSITIVE_INFINITY] = this.open
    let upTo = 0
    for (const tag of acked) if (tag < oldest) upTo = Math.max(upTo, tag)
    this.tell(() => {
      if (upTo > 0) this.channel.ack(tagged(upTo), true)
      for (const tag of acked) if (tag > oldest) this.channel.ack(tagged(tag))
    })
  }

  private tell(say: () => void): void {
    try {
      say()
    } catch {
      // The driver is closing the channel, because of a frame that it did not expect: everything goes back.
      this.end()
    }
  }
}

/** The driver reads nothing else of a message, and holding on to its content would keep it in memory. */
const tagged = (deliveryTag: number): Message => ({ fields: { deliveryTag } }) as Message

/** Of a topic: the newest facts, at most so many; the oldest make room. They are the listener's, so there is nothing to acknowledge. */
export class TopicDeliveries implements Deliveries {
  readonly unacknowledged = 0
  private readonly max: number
  private readonly arrived: () => void
  private buffer: Array<{ readonly content: Buffer; readonly redelivered: boolean }> = []
  private isOpen = true

  constructor(max: number, arrived: () => void) {
    this.max = max
    this.arrived = arrived
  }

  receive({ content }: ConsumeMessage): void {
    if (this.buffer.length >= this.max) this.buffer.shift()
    this.buffer.push({ content, redelivered: false })
    this.arrived()
  }

  drain(): Drained {
    const { buffer } = this
    this.buffer = []
    return drainAll(
      buffer,
      ({ content, redelivered }, envelope) => this.delivery(content, redelivered, envelope),
      () => Effect.void
    )
  }

  giveBack(): void {
    this.end()
  }

  end(): void {
    this.isOpen = false
    this.buffer = []
  }

  private delivery(content: Buffer, redelivered: boolean, envelope: Envelope): Delivery {
    let isTaken = true
    const putBack = () => {
      if (!isTaken || !this.isOpen || this.buffer.length >= this.max) return
      isTaken = false
      this.buffer.unshift({ content, redelivered: true })
      this.arrived()
    }
    return { envelope, redelivered, ack: Effect.sync(() => void (isTaken = false)), nack: Effect.sync(putBack) }
  }
}
