/** A prefix of its own for each test file on the broker that `RABBITMQ_URL` names, and everything under it removed when the file is done. */
import { randomBytes } from "node:crypto"
import { type Channel, type ChannelModel, connect } from "amqplib"
import { Effect, Layer, Redacted, type Scope } from "effect"
import { afterAll, describe, it } from "vitest"
import { Outage } from "../../../src/layers/Outage.ts"
import * as RabbitTransport from "../../../src/layers/rabbitmq/RabbitTransport.ts"
import { RabbitTopology } from "../../../src/layers/rabbitmq/RabbitTopology.ts"
import { type Source, type Target, Transport } from "../../../src/layers/Transport.ts"

export const { RABBITMQ_URL = "" } = process.env

/** `describe`, skipped aloud where there is no server. */
export const withRabbit = (what: string, suites: () => void): void => {
  if (RABBITMQ_URL === "") {
    console.warn(`skipped: ${what}; set RABBITMQ_URL to a RabbitMQ server`)
    // Not the suites themselves, which would count as covered.
    describe.skip(what, () => it("needs a server", () => {}))
  } else suites()
}

type Options = Omit<RabbitTransport.RabbitOptions, "url" | "prefix">

export class RabbitRig {
  readonly prefix = `test-${randomBytes(6).toString("hex")}`
  readonly topology = new RabbitTopology(this.prefix)
  readonly url = RABBITMQ_URL === "" ? "amqp://nobody@127.0.0.1:1" : RABBITMQ_URL
  /** Lasting queues that a transport of this rig may have made. */
  private readonly queues = new Set([this.topology.parked.name, this.topology.unreadable.name])
  private model: Promise<ChannelModel> | null = null

  /** To be called where a test file begins: cleans up when it ends. */
  constructor() {
    afterAll(async () => {
      await this.wipe()
      await (await this.model)?.close()
    })
  }

  /** Another daemon of the same cluster, through any URL that leads to the broker. */
  connect(options: Options & { readonly url?: string } = {}): Effect.Effect<Transport["Service"], Outage, Scope.Scope> {
    const { url = this.url, ...rest } = options
    return RabbitTransport.make({ ...rest, url: Redacted.make(url), prefix: this.prefix }).pipe(
      Effect.catchTag("TopologyDrift", Effect.die),
      Effect.map((transport) => this.noting(transport))
    )
  }

  /** Built when the URL is known. */
  layer(urlOf: () => string = () => this.url): Layer.Layer<Transport, Outage> {
    return Layer.effect(
      Transport,
      Effect.suspend(() => this.connect({ url: urlOf() }))
    )
  }

  /** As an operator with a shell would. */
  async shell<A>(work: (channel: Channel) => Promise<A>): Promise<A> {
    this.model ??= connect(this.url)
    const channel = await (await this.model).createChannel()
    channel.on("error", () => {})
    try {
      return await work(channel)
    } finally {
      await channel.close().catch(() => {})
    }
  }

  /** All queues that last, with what is in them, and all exchanges. */
  async wipe(): Promise<void> {
    if (RABBITMQ_URL === "") return
    await this.shell(async (channel) => {
      for (const queue of this.queues) await channel.deleteQueue(queue)
      for (const [exchange] of this.topology.exchanges) await channel.deleteExchange(exchange)
    })
  }

  queueOf(source: Source): string {
    return this.topology.source(source, 1).name
  }

  private note(place: Source | Target): void {
    if (place._tag === "Lane" || place._tag === "Sweeper") this.queues.add(this.queueOf(place))
  }

  private noting(transport: Transport["Service"]): Transport["Service"] {
    return Transport.of({
      ...transport,
      publish: (target, envelope) => {
        this.note(target)
        return transport.publish(target, envelope)
      },
      consume: (source, prefetch) => {
        this.note(source)
        return transport.consume(source, prefetch)
      }
    })
  }
}
