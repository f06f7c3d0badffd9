/**
 * Everything a broker holds, in memory and as plain data: queues by name, listeners by topic, consumers in the order they
 * came. It is the executable description of what we ask of RabbitMQ; faults and confirms are `MemoryBroker`'s.
 */
import { laneName } from "../../schemas/Job.ts"
import type { Envelope } from "../../schemas/Envelope.ts"
import type { LaneDepth, Source, Target, Topic } from "../Transport.ts"
import { BrokerQueue, QueueConsumer, type QueueKind } from "./BrokerQueue.ts"
import { TopicConsumer } from "./TopicConsumer.ts"

export interface BrokerLimits {
  /** Messages of one queue, delivered or not; more are refused. */
  readonly messagesMax: number
  /** Queues at a time. Idle ones make room. */
  readonly queuesMax: number
}

export type AnyConsumer = QueueConsumer | TopicConsumer

/** Why it did not happen; undefined when it did. */
type Refused = string | undefined

const queueName = (source: Exclude<Source, { readonly _tag: "Topic" }>): string => {
  switch (source._tag) {
    case "Lane":
      return laneName(source.lane)
    case "Inbox":
      return `inbox.${source.daemonId}`
    case "Sweeper":
      return `sweeper.${source.name}`
    case "Parked":
      return "parked"
  }
}

export class BrokerState {
  private readonly limits: BrokerLimits
  private readonly queues = new Map<string, BrokerQueue>()
  private readonly topics = new Map<Topic, Set<TopicConsumer>>()
  readonly consumers = new Set<AnyConsumer>()

  constructor(limits: BrokerLimits) {
    this.limits = limits
  }

  publish(target: Target, envelope: Envelope): Refused {
    if (target._tag === "Topic") {
      for (const consumer of this.topics.get(target.topic) ?? []) consumer.offer(envelope)
      return undefined
    }
    const name = queueName(target)
    if (target._tag === "Inbox" && !this.queues.has(name)) return `nobody consumes ${name}`
    const queue = this.queueFor(name, target._tag)
    if (queue === undefined) return `more than ${this.limits.queuesMax} queues`
    return queue.publish(envelope) ? undefined : `${name} is full`
  }

  /** A new consumer, attached. */
  consume(connection: string, source: Source, prefetch: number): AnyConsumer | string {
    const consumer =
      source._tag === "Topic"
        ? new TopicConsumer(connection, source, prefetch)
        : new QueueConsumer(connection, source, prefetch)
    const refused = this.attach(consumer)
    if (refused !== undefined) return refused
    this.consumers.add(consumer)
    return consumer
  }

  attach(consumer: AnyConsumer): Refused {
    const refused = consumer instanceof TopicConsumer ? this.attachTopic(consumer) : this.attachQueue(consumer)
    if (refused === undefined) consumer.state = "attached"
    return refused
  }

  /** Detaches all of them before anybody is served, so that nothing goes from one that is leaving to another. */
  detach(consumers: ReadonlyArray<AnyConsumer>, state: "cut" | "ended"): void {
    const left = new Set<BrokerQueue>()
    for (const consumer of consumers) {
      if (consumer instanceof TopicConsumer) this.detachTopic(consumer)
      else {
        if (consumer.queue !== undefined) left.add(consumer.queue)
        this.detachQueue(consumer)
      }
      consumer.state = state
      if (state === "ended") this.consumers.delete(consumer)
      consumer.latch.openUnsafe()
    }
    for (const queue of left) queue.serve()
  }

  depths(): ReadonlyArray<LaneDepth> {
    return Array.from(this.queues.values())
      .filter(({ kind }) => kind === "Lane")
      .map((queue) => ({
        name: queue.name,
        ready: queue.ready,
        unacknowledged: queue.unacknowledged,
        consumers: queue.consumerCount
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Loses all messages and every queue that nobody consumes. */
  wipe(): void {
    for (const [name, queue] of this.queues) {
      queue.wipe()
      if (queue.isIdle) this.queues.delete(name)
    }
    for (const consumers of this.topics.values()) for (const consumer of consumers) consumer.forget()
  }

  private queueFor(name: string, kind: QueueKind): BrokerQueue | undefined {
    const known = this.queues.get(name)
    if (known !== undefined) return known
    if (this.queues.size >= this.limits.queuesMax) this.dropIdle()
    if (this.queues.size >= this.limits.queuesMax) return undefined
    const queue = new BrokerQueue(name, kind, this.limits.messagesMax)
    this.queues.set(name, queue)
    return queue
  }

  private dropIdle(): void {
    for (const [name, queue] of this.queues) if (queue.isIdle) this.queues.delete(name)
  }

  private attachTopic(consumer: TopicConsumer): Refused {
    if (consumer.source._tag !== "Topic") return "not a topic"
    const listeners = this.topics.get(consumer.source.topic)
    if (listeners === undefined) this.topics.set(consumer.source.topic, new Set([consumer]))
    else listeners.add(consumer)
    return undefined
  }

  private detachTopic(consumer: TopicConsumer): void {
    if (consumer.source._tag === "Topic") this.topics.get(consumer.source.topic)?.delete(consumer)
    consumer.forget()
  }

  private attachQueue(consumer: QueueConsumer): Refused {
    const { source } = consumer
    if (source._tag === "Topic") return "a topic has no queue"
    const name = queueName(source)
    if (source._tag === "Inbox" && this.queues.has(name)) return `${name} is consumed by another`
    const queue = this.queueFor(name, source._tag)
    if (queue === undefined) return `more than ${this.limits.queuesMax} queues`
    queue.attach(consumer)
    return undefined
  }

  private detachQueue(consumer: QueueConsumer): void {
    const { queue, source } = consumer
    if (queue === undefined) return
    queue.detach(consumer)
    // An inbox is its consumer's: it goes with it, and so do its messages.
    if (source._tag === "Inbox") this.queues.delete(queue.name)
  }
}
