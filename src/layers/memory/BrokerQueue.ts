/**
 * One queue of the memory broker, as a quorum queue behaves: messages are pushed to consumers in turn, as far as their
 * prefetch goes, and stay the consumer's until acknowledged. What comes back goes before everything that was never delivered,
 * in its old order, marked redelivered.
 *
 * A sweeper's queue has a single active consumer: the one that came first is served, the others wait for its end.
 */
import * as Effect from "effect/Effect"
import type { Envelope } from "../../schemas/Envelope.ts"
import type { Delivery } from "../Transport.ts"
import { BrokerConsumer } from "./BrokerConsumer.ts"
import { Fifo } from "./Fifo.ts"

interface Message {
  /** Its place among all that were ever published to this queue. */
  readonly seq: number
  readonly envelope: Envelope
  redelivered: boolean
}

/** A message in the hands of one consumer. Once closed, ack and nack come too late. */
class HeldDelivery implements Delivery {
  readonly message: Message
  readonly envelope: Envelope
  readonly redelivered: boolean
  readonly ack: Effect.Effect<void>
  readonly nack: Effect.Effect<void>
  open = true

  constructor(message: Message, settle: (delivery: HeldDelivery, acknowledged: boolean) => void) {
    this.message = message
    this.envelope = message.envelope
    this.redelivered = message.redelivered
    this.ack = Effect.sync(() => settle(this, true))
    this.nack = Effect.sync(() => settle(this, false))
  }
}

export class QueueConsumer extends BrokerConsumer<HeldDelivery> {
  queue: BrokerQueue | undefined = undefined
  private readonly held = new Set<HeldDelivery>()
  private readonly settle = (delivery: HeldDelivery, acknowledged: boolean): void => {
    if (!delivery.open) return
    delivery.open = false
    this.held.delete(delivery)
    this.queue?.settled(this, delivery.message, acknowledged)
  }

  get unacknowledged(): number {
    return this.held.size
  }

  get hasRoom(): boolean {
    return this.held.size < this.prefetch
  }

  receive(message: Message): void {
    const delivery = new HeldDelivery(message, this.settle)
    this.held.add(delivery)
    this.push(delivery)
  }

  /** Closes every delivery, taken or not, and gives its messages up. */
  surrender(): ReadonlyArray<Message> {
    const messages = Array.from(this.held, (delivery) => {
      delivery.open = false
      return delivery.message
    })
    this.held.clear()
    this.drain()
    return messages
  }
}

export type QueueKind = "Lane" | "Inbox" | "Sweeper" | "Parked"

export class BrokerQueue {
  readonly name: string
  readonly kind: QueueKind
  private readonly messagesMax: number
  private readonly singleActive: boolean
  private readonly fresh = new Fifo<Message>()
  /** What came back, last to be delivered first, so that taking the next is a pop. */
  private readonly returned: Array<Message> = []
  /** In the order they came. */
  private readonly consumers = new Set<QueueConsumer>()
  /** Those that may be served now, in the order of their turns. */
  private readonly turns = new Set<QueueConsumer>()
  private nextSeq = 0
  private held = 0

  constructor(name: string, kind: QueueKind, messagesMax: number) {
    this.name = name
    this.kind = kind
    this.messagesMax = messagesMax
    this.singleActive = kind === "Sweeper"
  }

  get ready(): number {
    return this.fresh.size + this.returned.length
  }

  get unacknowledged(): number {
    return this.held
  }

  get consumerCount(): number {
    return this.consumers.size
  }

  get isIdle(): boolean {
    return this.ready === 0 && this.consumers.size === 0
  }

  /** False when the queue is full; then nothing was stored. */
  publish(envelope: Envelope): boolean {
    if (this.ready + this.held >= this.messagesMax) return false
    this.fresh.push({ seq: this.nextSeq++, envelope, redelivered: false })
    this.serve()
    return true
  }

  attach(consumer: QueueConsumer): void {
    consumer.queue = this
    this.consumers.add(consumer)
    this.giveTurn(consumer)
    this.serve()
  }

  /** Takes back what the consumer held. Serves nobody yet: others may be about to leave too, so call `serve` afterwards. */
  detach(consumer: QueueConsumer): void {
    this.consumers.delete(consumer)
    this.turns.delete(consumer)
    consumer.queue = undefined
    for (const message of consumer.surrender()) {
      this.held--
      this.putBack(message)
    }
    const [next] = this.consumers
    if (this.singleActive && next !== undefined) this.giveTurn(next)
  }

  /** Gives out what can be given out, one message a turn. */
  serve(): void {
    while (this.ready > 0) {
      const [consumer] = this.turns
      if (consumer === undefined) return
      const message = this.returned.pop() ?? this.fresh.shift()
      if (message === undefined) return
      this.held++
      consumer.receive(message)
      // To the end of the round, or out of it.
      this.turns.delete(consumer)
      this.giveTurn(consumer)
    }
  }

  settled(consumer: QueueConsumer, message: Message, acknowledged: boolean): void {
    this.held--
    if (!acknowledged) this.putBack(message)
    this.giveTurn(consumer)
    this.serve()
  }

  wipe(): void {
    this.fresh.clear()
    this.returned.length = 0
    this.held = 0
    for (const consumer of this.consumers) {
      consumer.surrender()
      this.giveTurn(consumer)
    }
  }

  private giveTurn(consumer: QueueConsumer): void {
    if (!consumer.hasRoom) return
    const [first] = this.consumers
    if (!this.singleActive || first === consumer) this.turns.add(consumer)
  }

  private putBack(message: Message): void {
    message.redelivered = true
    let from = 0
    let to = this.returned.length
    while (from < to) {
      const middle = (from + to) >> 1
      if ((this.returned[middle] as Message).seq > message.seq) from = middle + 1
      else to = middle
    }
    this.returned.splice(from, 0, message)
  }
}
