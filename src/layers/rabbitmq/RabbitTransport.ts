/**
 * Transport over RabbitMQ 4. One connection to publish and another to consume, so that a broker that takes nothing for a while still delivers. Both come
 * back by themselves; while they are away, every call is an Outage at once and nothing waits in memory.
 *
 * `depths` counts what the broker tells without its management: what is ready in a lane. What is held is known only where nobody else consumes.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { laneName } from "../../schemas/Job.ts"
import type { Outage } from "../Outage.ts"
import { type Driver, type LaneDepth, make as makeFront, Transport } from "../Transport.ts"
import { LIMITS } from "./RabbitConfirms.ts"
import { CHANNELS_MAX, ConsumeLinks, make as makeConsumeLink } from "./ConsumeLinks.ts"
import { type ConsumerHouse, make as makeConsumer, type RabbitConsumer } from "./RabbitConsumer.ts"
import { isMissing, outageOf, type TopologyDrift } from "./RabbitErrors.ts"
import * as RabbitPublisher from "./RabbitPublisher.ts"
import { PREFIX, RabbitTopology } from "./RabbitTopology.ts"

export { TopologyDrift } from "./RabbitErrors.ts"

export interface RabbitOptions {
  /** `amqp://` or `amqps://`, with user, password and virtual host. */
  readonly url: Redacted.Redacted
  /** Of every exchange and queue; daemons of one cluster share it. */
  readonly prefix?: string
  /** What the broker's list of connections shows. */
  readonly applicationName?: string
  /** How long a daemon that starts waits for a broker that is not there yet. */
  readonly startMs?: number
  /** A publish that is not confirmed by then failed, and its connection counts as half-open. */
  readonly confirmMs?: number
  /** Publishes under way at once. */
  readonly unconfirmedMax?: number
  /** Consumers of one connection; more than the broker allows channels would be refused. */
  readonly channelsMax?: number
}

const START_MS = 60_000
/** Leaves room for the longest name of a kind within the protocol's 255 bytes. */
const PREFIXES = /^[A-Za-z0-9_-]{1,40}$/

class RabbitDriver {
  private readonly house: ConsumerHouse
  private readonly consumers = new Set<RabbitConsumer>()

  constructor(house: ConsumerHouse) {
    this.house = house
  }

  readonly publish: Driver["publish"] = (target, envelope) => this.house.publisher.publish(target, envelope)

  readonly consume: Driver["consume"] = (source, prefetch) =>
    Effect.gen({ self: this }, function* () {
      const consumer = yield* makeConsumer(this.house, source, prefetch)
      this.consumers.add(consumer)
      yield* Effect.addFinalizer(() => Effect.sync(() => void this.consumers.delete(consumer)))
      return consumer
    })

  /** One question a lane: the protocol knows no other. */
  readonly depths: Driver["depths"] = Effect.gen({ self: this }, function* () {
    const own = new Map<string, Array<RabbitConsumer>>()
    for (const consumer of this.consumers) {
      if (consumer.source._tag !== "Lane") continue
      const name = laneName(consumer.source.lane)
      own.set(name, [...(own.get(name) ?? []), consumer])
    }
    const depths: Array<LaneDepth> = []
    for (const [name, queue] of this.house.topology.lanes) {
      const depth = yield* this.depth(name, queue.name, own.get(name) ?? [])
      if (depth !== null) depths.push(depth)
    }
    return depths.sort((a, b) => (a.name < b.name ? -1 : 1))
  })

  /** Both connections: who cannot publish is as lame as who cannot consume. */
  readonly ping: Driver["ping"] = Effect.gen({ self: this }, function* () {
    yield* this.house.publisher.connected
    const { connection, parts } = yield* this.house.links.first.current("ping")
    yield* parts.control.use("ping", (channel) => connection.ask("ping", () => channel.prefetch(1)))
  })

  /** Null when the lane is gone: it expired, or the broker was wiped. */
  private depth(
    name: string,
    queue: string,
    own: ReadonlyArray<RabbitConsumer>
  ): Effect.Effect<LaneDepth | null, Outage> {
    return Effect.gen({ self: this }, function* () {
      const { parts } = yield* this.house.links.first.current("depths")
      const asked = parts.control.use("depths", (channel) =>
        Effect.tryPromise({ try: () => channel.checkQueue(queue), catch: (cause) => outageOf("depths", cause) })
      )
      return yield* asked.pipe(
        Effect.map(({ messageCount: ready, consumerCount: consumers }) => {
          const held = own.map(({ unacknowledged }) => unacknowledged).filter((count) => count !== null)
          // What others hold is not told; when nobody else consumes, there are no others.
          const unacknowledged = held.length === consumers ? held.reduce((sum, count) => sum + count, 0) : null
          return { name, ready, unacknowledged, consumers }
        }),
        Effect.catchIf(
          ({ cause }) => isMissing(cause),
          () => Effect.sync(() => (this.house.topology.forgetLane(name), null))
        )
      )
    })
  }
}

/** Connects, waits for the broker for a bounded time, and declares what does not depend on who asks. */
export const make = (
  options: RabbitOptions
): Effect.Effect<Transport["Service"], Outage | TopologyDrift, Scope.Scope> =>
  Effect.gen(function* () {
    const { url, prefix = PREFIX, applicationName = "resultity", startMs = START_MS } = options
    if (!URL.canParse(Redacted.value(url))) return yield* Effect.die(new Error("the URL of RabbitMQ is no URL"))
    if (!PREFIXES.test(prefix)) return yield* Effect.die(new Error(`${prefix} is no prefix for names on RabbitMQ`))
    const limits = {
      ...LIMITS,
      confirmMs: options.confirmMs ?? LIMITS.confirmMs,
      unconfirmedMax: options.unconfirmedMax ?? LIMITS.unconfirmedMax
    }
    const topology = new RabbitTopology(prefix)
    const publisher = yield* RabbitPublisher.make({ url, name: applicationName, limits }, topology)
    const consuming = { url, name: `${applicationName} consume` }
    const link = yield* makeConsumeLink(consuming)
    const links = new ConsumeLinks(link, consuming, options.channelsMax ?? CHANNELS_MAX, yield* Effect.scope)
    yield* Effect.all([publisher.ready(startMs), link.ready(startMs)], { concurrency: 2, discard: true })
    return makeFront(new RabbitDriver({ links, topology, publisher }))
  })

export const layer = (options: RabbitOptions): Layer.Layer<Transport, Outage | TopologyDrift> =>
  Layer.effect(Transport, make(options))
