/**
 * One consumer, on a channel of its own, so that what goes wrong with one is nobody else's concern. A lost channel is told once, by an Outage to whoever
 * takes; the next take opens another. So the taker learns that what it held has gone back.
 */
import type { Channel, ConsumeMessage } from "amqplib"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Metrics from "../Metrics.ts"
import { type Outage, waitOut } from "../Outage.ts"
import type { Consumer, Delivery, Source } from "../Transport.ts"
import type { ConsumeLink, ConsumeLinks } from "./ConsumeLinks.ts"
import type { RabbitConnection } from "./RabbitConnection.ts"
import { closeQuietly, openChannel } from "./RabbitControl.ts"
import { type Deliveries, HeldDeliveries, TopicDeliveries, type Unreadable } from "./RabbitDeliveries.ts"
import { outageOf, waitForOperator } from "./RabbitErrors.ts"
import type { RabbitPublisher } from "./RabbitPublisher.ts"
import type { Queue, RabbitTopology } from "./RabbitTopology.ts"

export interface ConsumerHouse {
  readonly links: ConsumeLinks
  readonly topology: RabbitTopology
  readonly publisher: RabbitPublisher
}

/** A farewell that takes longer ends the connection, and the broker takes everything back; so a daemon with many consumers does not wait for each. */
const FAREWELL_MS = 2_000

/** Of a channel: why it is over, once it is. */
interface Life {
  endedBy: unknown
}

/** One channel of a consumer, from its opening to its end. */
interface Attachment {
  readonly connection: RabbitConnection
  readonly channel: Channel
  readonly queue: Queue
  readonly deliveries: Deliveries
  readonly consumerTag: string
  readonly life: Life
}

export class RabbitConsumer implements Consumer {
  readonly source: Source
  private readonly house: ConsumerHouse
  private readonly link: ConsumeLink
  private readonly prefetch: number
  private readonly scope: Scope.Scope
  private readonly turn = Semaphore.makeUnsafe(1)
  /** Opened when a take that waits has something to find out. */
  private readonly latch = Latch.makeUnsafe(false)
  private isWaking = false
  private attachment: Attachment | null = null
  /** attached: gets deliveries. cut: lost, and not told yet. told: opens again with the next take. ended: its scope is closed. */
  private state: "attached" | "cut" | "told" | "ended" = "told"
  private cutBecause: unknown

  constructor(house: ConsumerHouse, link: ConsumeLink, source: Source, prefetch: number, scope: Scope.Scope) {
    this.house = house
    this.link = link
    this.source = source
    this.prefetch = prefetch
    this.scope = scope
  }

  /** Delivered to this consumer and not acknowledged; null while it has no channel. */
  get unacknowledged(): number | null {
    return this.attachment?.deliveries.unacknowledged ?? null
  }

  readonly take: Effect.Effect<ReadonlyArray<Delivery>, Outage> = Effect.suspend(() => {
    switch (this.state) {
      case "ended":
        return Effect.fail(outageOf("take", new Error("the consumer has ended")))
      case "cut":
        this.state = "told"
        return Effect.fail(outageOf("take", this.cutBecause))
      case "told":
        return Effect.andThen(this.attach, this.take)
      case "attached":
        return this.drain()
    }
  })

  private drain(): Effect.Effect<ReadonlyArray<Delivery>, Outage> {
    this.latch.closeUnsafe()
    const { deliveries = [], unreadable = [] } = this.attachment?.deliveries.drain() ?? {}
    const parked = Effect.forEach(unreadable, (one) => this.park(one), { discard: true })
    if (deliveries.length > 0) return unreadable.length > 0 ? Effect.as(parked, deliveries) : Effect.succeed(deliveries)
    const again = Effect.andThen(this.latch.await, this.take)
    return unreadable.length > 0 ? Effect.andThen(parked, again) : again
  }

  /** Opens the channel if there is none. */
  readonly attach: Effect.Effect<void, Outage> = Effect.suspend(() =>
    Semaphore.withPermit(
      this.turn,
      Effect.suspend(() => (this.state === "told" ? this.open : Effect.void))
    )
  )

  private readonly open: Effect.Effect<void, Outage> = Effect.gen({ self: this }, function* () {
    const { connection } = yield* this.link.current("consume")
    const life: Life = { endedBy: null }
    const channel = yield* openChannel(
      connection,
      () => connection.model.createChannel(),
      (cause) => this.cut(life, cause ?? new Error("the channel was closed"))
    )
    const attachment = yield* Effect.onExit(this.start(connection, channel, life), (exit) =>
      Effect.sync(() => {
        if (Exit.isFailure(exit)) closeQuietly(channel)
      })
    )
    if (life.endedBy !== null) return yield* outageOf("consume", life.endedBy)
    if (this.state === "ended") return closeQuietly(channel)
    this.attachment = attachment
    this.state = "attached"
  })

  private readonly start = Effect.fnUntraced(function* (
    this: RabbitConsumer,
    connection: RabbitConnection,
    channel: Channel,
    life: Life
  ) {
    const { topology } = this.house
    const queue = topology.source(this.source, this.prefetch)
    const arrived = () => this.wake()
    const deliveries = queue.isTopic
      ? new TopicDeliveries(this.prefetch, arrived)
      : new HeldDeliveries(channel, arrived)
    yield* connection.answered("consume", topology.declare(channel, queue)).pipe(waitForOperator("consume"))
    const deliver = (message: ConsumeMessage | null) => {
      if (message !== null) return deliveries.receive(message)
      this.cut(life, new Error(`the broker ended the consumer of ${queue.name}`))
      // The channel lives, and what it delivered is still its own.
      closeQuietly(channel)
    }
    const { consumerTag } = yield* connection.ask("consume", async () => {
      if (!queue.isTopic) await channel.prefetch(this.prefetch)
      return channel.consume(queue.name, deliver, { noAck: queue.isTopic, exclusive: queue.isPrivate })
    })
    return { connection, channel, queue, deliveries, consumerTag, life }
  })

  /** Who waits goes on when the driver is through with what it read, which is often several deliveries; not in the middle of it. */
  private wake(): void {
    if (this.isWaking) return
    this.isWaking = true
    queueMicrotask(() => {
      this.isWaking = false
      this.latch.openUnsafe()
    })
  }

  private cut(life: Life, cause: unknown): void {
    life.endedBy ??= cause
    const { attachment } = this
    if (attachment?.life !== life) return
    this.attachment = null
    attachment.deliveries.end()
    this.cutBecause = cause
    if (this.state === "attached") this.state = "cut"
    this.wake()
  }

  /** Stops deliveries, then gives back what is held, so that the next consumer finds it first and in the old order. */
  readonly end: Effect.Effect<void> = Effect.suspend(() => {
    const { attachment } = this
    this.state = "ended"
    this.attachment = null
    this.wake()
    if (attachment === null) return Effect.void
    const { connection, channel, queue, deliveries, consumerTag } = attachment
    if (connection.lostBecause !== undefined) return Effect.sync(() => deliveries.end())
    const farewell = Effect.tryPromise(async () => {
      await channel.cancel(consumerTag)
      deliveries.giveBack()
      // Auto-delete would do, but in its own time: until then senders would believe that somebody listens.
      if (queue.isPrivate) await channel.deleteQueue(queue.name)
      await channel.close()
    })
    const hung = Effect.sync(() => connection.drop(new Error(`RabbitMQ did not answer in ${FAREWELL_MS} ms`)))
    return Effect.ignore(Effect.timeoutOrElse(farewell, { duration: FAREWELL_MS, orElse: () => hung })).pipe(
      Effect.andThen(Effect.sync(() => deliveries.end()))
    )
  })

  /** Kept for an operator, then acknowledged; of a topic every listener has a copy, so there it is only counted. */
  private park({ content, reason, ack }: Unreadable): Effect.Effect<void> {
    const { _tag } = this.source
    const from = this.house.topology.source(this.source, this.prefetch).name
    const about = { source: _tag, bytes: content.length, reason }
    const counted = Effect.andThen(
      Effect.logWarning("a message is no envelope", about),
      Metric.update(Metrics.messagesUnreadable, 1)
    )
    if (_tag === "Topic") return counted
    const kept = waitOut(this.house.publisher.publishUnreadable(content, reason, from))
    return Effect.andThen(counted, Effect.asVoid(Effect.forkIn(Effect.andThen(kept, ack), this.scope)))
  }
}

export const make = (
  house: ConsumerHouse,
  source: Source,
  prefetch: number
): Effect.Effect<RabbitConsumer, Outage, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const link = yield* house.links.reserve
    const consumer = new RabbitConsumer(house, link, source, prefetch, scope)
    yield* Effect.addFinalizer(() => consumer.end)
    yield* consumer.attach
    return consumer
  })
