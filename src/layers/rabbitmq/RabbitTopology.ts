/**
 * Every exchange and queue, with its arguments and its name under the prefix: the one place that says what stands in the broker. All of it is declared by
 * whoever needs it first, again and again, so nothing has to be set up and a wiped broker comes back by itself.
 *
 * A declaration must be the same in every daemon of a cluster, so a changed argument here is drift for queues that exist: delete them on upgrade.
 */
import { createHash, randomBytes } from "node:crypto"
import type { Channel, Options } from "amqplib"
import * as Effect from "effect/Effect"
import { laneName } from "../../schemas/Job.ts"
import type { Outage } from "../Outage.ts"
import type { Source, Target } from "../Transport.ts"
import { explained, isDrift, messageOf, TopologyDrift } from "./RabbitErrors.ts"

export const PREFIX = "resultity"

/**
 * A lane that nobody consumes, declares or asks for so long is removed, with what waits in it. That is longer than any repair of a cluster's daemons, and
 * no message is the only copy of anything: what is lost with a lane is published again from the store.
 */
const LANE_EXPIRES_MS = 24 * 3_600_000
/** Deliveries are held while their jobs wait for a slot, and a candidacy while its sweeper leads; the broker's default would take them back after 30 min. */
const CONSUMER_TIMEOUT_MS = 24 * 3_600_000
/** More mail than a daemon reads in seconds; the sender is told. */
const INBOX_MAX = 10_000
/** The oldest go first. Nobody takes these by routine: they wait for an operator. */
const PARKED_MAX = 100_000
/** The protocol's bound on names is 255 bytes; the prefix and a kind come before. */
const NAME_MAX = 180

/** Lanes known at a time. The oldest are forgotten first, and known again with their next message. */
const LANES_MAX = 10_000

export interface Queue {
  readonly name: string
  readonly options: Options.AssertQueue
  readonly exchange: string
  readonly key: string
  /** Goes with its consumer. */
  readonly isPrivate: boolean
  /** No acknowledgements: what was pushed is the listener's. */
  readonly isTopic: boolean
}

export interface Route {
  readonly exchange: string
  readonly key: string
  readonly persistent: boolean
  /** The broker must say when nobody gets it. */
  readonly mandatory: boolean
  /** Made by the publisher, when it lasts without a consumer. */
  readonly queue: Queue | null
  readonly headers: Readonly<Record<string, string>> | null
}

/** Where a parked message's reason stands. */
export const REASON = "x-parked-reason"
const FROM = "x-parked-from"

/** The same for the same text, and never longer than the protocol allows. */
const short = (text: string): string =>
  text.length <= NAME_MAX
    ? text
    : `${text.slice(0, NAME_MAX - 33)}~${createHash("sha256").update(text).digest("hex").slice(0, 32)}`

/** Survives the broker, without a limit on deliveries: attempts are counted in the store, and the broker's count punishes whole prefetch groups. */
const lasting = (more: Readonly<Record<string, unknown>>): Options.AssertQueue => ({
  durable: true,
  arguments: { "x-queue-type": "quorum", "x-delivery-limit": -1, ...more }
})

const passing = (more: Readonly<Record<string, unknown>>): Options.AssertQueue => ({
  durable: false,
  exclusive: true,
  autoDelete: true,
  arguments: { "x-queue-type": "classic", ...more }
})

const unheard = { persistent: false, mandatory: true, queue: null, headers: null }

export class RabbitTopology {
  private readonly prefix: string
  private readonly known = new Map<string, Queue>()
  readonly parked: Queue
  readonly unreadable: Queue

  constructor(prefix: string = PREFIX) {
    this.prefix = prefix
    const options = lasting({ "x-max-length": PARKED_MAX, "x-overflow": "drop-head" })
    this.parked = this.queue("parked", "parked", "parked", options)
    this.unreadable = this.queue("parked", "unreadable", "parked.unreadable", options)
  }

  /** Where a message to the target goes. */
  route(target: Target): Route {
    switch (target._tag) {
      case "Inbox":
        return { ...unheard, exchange: `${this.prefix}.actors`, key: target.daemonId }
      case "Topic":
        return { ...unheard, exchange: `${this.prefix}.events`, key: target.topic, mandatory: false }
      case "Parked":
        return { ...this.lastingRoute(this.parked), headers: { [REASON]: target.reason.slice(0, NAME_MAX) } }
      case "Lane":
      case "Sweeper":
        return this.lastingRoute(this.source(target, 1))
    }
  }

  /** Where that goes which is no envelope at all. */
  routeUnreadable(reason: string, from: string): Route {
    return { ...this.lastingRoute(this.unreadable), headers: { [REASON]: reason, [FROM]: from } }
  }

  /** The queue that a new consumer of the source reads. Private ones get a name of their own: the last one of a broken connection may still be there. */
  source(source: Source, prefetch: number): Queue {
    switch (source._tag) {
      case "Lane":
        return this.lane(laneName(source.lane))
      case "Sweeper": {
        const options = lasting({ "x-single-active-consumer": true, "x-consumer-timeout": CONSUMER_TIMEOUT_MS })
        return this.queue("sweepers", short(source.name), `sweeper.${short(source.name)}`, options)
      }
      case "Inbox":
        return this.ownQueue("actors", source.daemonId, "inbox", {
          "x-max-length": INBOX_MAX,
          "x-overflow": "reject-publish"
        })
      case "Topic":
        return this.ownQueue("events", source.topic, "topic", { "x-max-length": prefetch, "x-overflow": "drop-head" })
      case "Parked":
        return this.parked
    }
  }

  private lane(name: string): Queue {
    const known = this.known.get(name)
    if (known !== undefined) return known
    const options = lasting({ "x-expires": LANE_EXPIRES_MS, "x-consumer-timeout": CONSUMER_TIMEOUT_MS })
    const queue = this.queue("jobs", short(name), short(name), options)
    const [oldest] = this.known.keys()
    if (this.known.size >= LANES_MAX && oldest !== undefined) this.known.delete(oldest)
    this.known.set(name, queue)
    return queue
  }

  /** Lanes that somebody here published to or consumed, by name. */
  get lanes(): ReadonlyMap<string, Queue> {
    return this.known
  }

  /** Until somebody publishes to it or consumes it again. */
  forgetLane(name: string): void {
    this.known.delete(name)
  }

  /** What does not depend on who asks: exchanges, and the queues for what nobody could use. */
  declareBase(channel: Channel): Effect.Effect<void, TopologyDrift | Outage> {
    const exchanges = this.exchanges.map(([name, type]) => declareExchange(channel, name, type))
    const queues = [this.parked, this.unreadable].map((queue) => declareQueue(channel, queue))
    return Effect.all([...exchanges, ...queues], { discard: true })
  }

  /** The queue and what leads to it. */
  declare(channel: Channel, queue: Queue): Effect.Effect<void, TopologyDrift | Outage> {
    const type = this.exchanges.find(([name]) => name === queue.exchange)?.[1] ?? "direct"
    return Effect.andThen(declareExchange(channel, queue.exchange, type), declareQueue(channel, queue))
  }

  get exchanges(): ReadonlyArray<readonly [name: string, type: "direct" | "topic"]> {
    const { prefix } = this
    return [
      [`${prefix}.jobs`, "direct"],
      [`${prefix}.actors`, "direct"],
      [`${prefix}.events`, "topic"],
      [`${prefix}.sweepers`, "direct"],
      [`${prefix}.parked`, "direct"]
    ]
  }

  private queue(exchange: string, key: string, name: string, options: Options.AssertQueue): Queue {
    const { prefix } = this
    return {
      name: `${prefix}.${name}`,
      options,
      exchange: `${prefix}.${exchange}`,
      key,
      isPrivate: false,
      isTopic: false
    }
  }

  private ownQueue(exchange: string, key: string, kind: string, more: Readonly<Record<string, unknown>>): Queue {
    const queue = this.queue(exchange, key, `${kind}.${key}.${randomBytes(8).toString("hex")}`, passing(more))
    return { ...queue, isPrivate: true, isTopic: kind === "topic" }
  }

  private lastingRoute(queue: Queue): Route {
    return { exchange: queue.exchange, key: queue.key, persistent: true, mandatory: true, queue, headers: null }
  }
}

const declaring = (name: string, declare: () => Promise<unknown>): Effect.Effect<void, TopologyDrift | Outage> => {
  const refused = (cause: unknown): Effect.Effect<never, TopologyDrift | Outage> =>
    isDrift(cause) ? Effect.fail(new TopologyDrift({ name, said: messageOf(cause) })) : explained("declare", cause)
  const declared = Effect.tryPromise({ try: declare, catch: (cause) => ({ cause }) })
  return Effect.asVoid(Effect.catch(declared, ({ cause }) => refused(cause)))
}

const declareExchange = (channel: Channel, name: string, type: "direct" | "topic") =>
  declaring(name, () => channel.assertExchange(name, type, { durable: true }))

const declareQueue = (channel: Channel, { name, options, exchange, key }: Queue) =>
  declaring(name, async () => {
    await channel.assertQueue(name, options)
    await channel.bindQueue(name, exchange, key)
  })
