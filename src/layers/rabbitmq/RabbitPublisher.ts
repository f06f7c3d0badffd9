/**
 * The publishing side: a connection of its own, so that a broker that takes nothing for a while still delivers. A queue that lasts is declared before the
 * first message to it, once for each connection, and again when the broker says that nobody gets a message: it may have been wiped meanwhile.
 */
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { Envelope } from "../../schemas/Envelope.ts"
import type { Outage } from "../Outage.ts"
import type { Target } from "../Transport.ts"
import { CONTENT_TYPE, encode } from "./EnvelopeCodec.ts"
import { type ConfirmLimits, make as makeConfirms, type Message, RabbitConfirms } from "./RabbitConfirms.ts"
import { RabbitControl } from "./RabbitControl.ts"
import { outageOf, type TopologyDrift, waitForOperator } from "./RabbitErrors.ts"
import { make as makeLink, type RabbitLink, type Session } from "./RabbitLink.ts"
import type { Queue, RabbitTopology, Route } from "./RabbitTopology.ts"

interface PublishParts {
  readonly confirms: RabbitConfirms
  readonly control: RabbitControl
  /** Queues that are there, as far as this connection knows. */
  readonly declared: Set<string>
}

/** Names remembered as declared; past that, all are declared anew. */
const DECLARED_MAX = 10_000

export class RabbitPublisher {
  private readonly link: RabbitLink<PublishParts>
  private readonly topology: RabbitTopology

  constructor(link: RabbitLink<PublishParts>, topology: RabbitTopology) {
    this.link = link
    this.topology = topology
  }

  ready(startMs: number): Effect.Effect<void, Outage | TopologyDrift> {
    return this.link.ready(startMs)
  }

  /** That there is a connection; whether the broker takes messages now is another question. */
  get connected(): Effect.Effect<void, Outage> {
    return Effect.asVoid(this.link.current("ping"))
  }

  publish(target: Target, envelope: Envelope): Effect.Effect<void, Outage> {
    return Effect.suspend(() => this.send(this.topology.route(target), encode(envelope), envelope.id))
  }

  /** What is no envelope, as it came. */
  publishUnreadable(content: Buffer, reason: string, from: string): Effect.Effect<void, Outage> {
    return Effect.suspend(() => this.send(this.topology.routeUnreadable(reason, from), content, undefined))
  }

  private send(route: Route, content: Buffer, messageId: string | undefined): Effect.Effect<void, Outage> {
    const { exchange, key, persistent, mandatory, queue, headers } = route
    const about = messageId === undefined ? {} : { messageId }
    const options = { persistent, mandatory, headers: headers ?? {}, contentType: CONTENT_TYPE, ...about }
    const message: Message = { exchange, key, content, options }
    return Effect.flatMap(this.link.current("publish"), (session) => {
      if (queue === null) return this.toWhoListens(session, message)
      if (!session.parts.declared.has(queue.name)) return this.declareAndPublish(session, queue, message)
      return Effect.flatMap(session.parts.confirms.publish(message), (routed) =>
        routed === "routed" ? Effect.void : this.declareAndPublish(session, queue, message)
      )
    })
  }

  private toWhoListens({ parts }: Session<PublishParts>, message: Message): Effect.Effect<void, Outage> {
    return Effect.flatMap(parts.confirms.publish(message), (routed) =>
      routed === "routed"
        ? Effect.void
        : Effect.fail(outageOf("publish", new Error(`nobody consumes the inbox of ${message.key}`)))
    )
  }

  private declareAndPublish(session: Session<PublishParts>, queue: Queue, message: Message) {
    session.parts.declared.delete(queue.name)
    return Effect.flatMap(
      Effect.andThen(this.ensure(session, queue), session.parts.confirms.publish(message)),
      (routed) =>
        routed === "routed"
          ? Effect.void
          : Effect.fail(outageOf("publish", new Error(`${queue.name} was declared and gets nothing`)))
    )
  }

  /** Who comes while somebody declares the same finds it done. */
  private ensure({ parts }: Session<PublishParts>, queue: Queue): Effect.Effect<void, Outage> {
    const { declared, control } = parts
    const work = control.use("declare", (channel) => {
      if (declared.has(queue.name)) return Effect.void
      return Effect.tap(this.topology.declare(channel, queue), () => {
        if (declared.size >= DECLARED_MAX) declared.clear()
        return Effect.sync(() => void declared.add(queue.name))
      })
    })
    return waitForOperator("publish")(work)
  }
}

export interface PublisherOptions {
  readonly url: Redacted.Redacted
  readonly name: string
  readonly limits: ConfirmLimits
}

export const make = (
  options: PublisherOptions,
  topology: RabbitTopology
): Effect.Effect<RabbitPublisher, never, Scope.Scope> =>
  Effect.map(
    makeLink<PublishParts>({ url: options.url, name: `${options.name} publish` }, (connection) =>
      Effect.gen(function* () {
        const control = new RabbitControl(connection)
        yield* control.use("declare", (channel) => topology.declareBase(channel))
        const confirms = yield* makeConfirms(connection, options.limits)
        return { confirms, control, declared: new Set([topology.parked.name, topology.unreadable.name]) }
      })
    ),
    (link) => new RabbitPublisher(link, topology)
  )
