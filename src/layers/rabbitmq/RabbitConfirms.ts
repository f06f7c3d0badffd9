/**
 * Publishes on one channel with confirms, many at a time: nobody waits for another's confirm. What is under way is bounded, and so is what waits for room
 * there. A publish that was not confirmed failed as unknown: the broker may have it.
 *
 * A confirm that never comes means a half-open connection, which is dropped. While the broker says that it takes nothing, it is not waited for.
 */
import type { ConfirmChannel, Options } from "amqplib"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Outage } from "../Outage.ts"
import type { RabbitConnection } from "./RabbitConnection.ts"
import { openChannel } from "./RabbitControl.ts"
import { explained, outageOf } from "./RabbitErrors.ts"

export interface ConfirmLimits {
  /** Then the connection counts as half-open. */
  readonly confirmMs: number
  /** Published and not confirmed. */
  readonly unconfirmedMax: number
  /** Waiting to be published; more are refused. */
  readonly waitingMax: number
}

export const LIMITS: ConfirmLimits = { confirmMs: 10_000, unconfirmedMax: 1024, waitingMax: 16_384 }

export type Routed = "routed" | "unroutable"

export interface Message {
  readonly exchange: string
  readonly key: string
  readonly content: Buffer
  readonly options: Options.Publish
}

interface Publish {
  readonly message: Message
  readonly resume: (outcome: Effect.Effect<Routed, Outage>) => void
  /** The number of the look at which it was sent. */
  sentAt: number
  outcome: Routed
}

/** Looks within the confirm's time; so fine is the timeout's measure. */
const LOOKS = 10

export class RabbitConfirms {
  private readonly connection: RabbitConnection
  private readonly channel: ConfirmChannel
  private readonly limits: ConfirmLimits
  /** By correlation id, oldest first. */
  private readonly sent = new Map<string, Publish>()
  private readonly waiting = new Set<Publish>()
  /** Also counts those that nobody waits for any more. */
  private unconfirmed = 0
  private isWritable = true
  private nextId = 0
  private looks = 0

  constructor(connection: RabbitConnection, channel: ConfirmChannel, limits: ConfirmLimits) {
    this.connection = connection
    this.channel = channel
    this.limits = limits
    channel.on("return", ({ properties }) => {
      const publish = this.sent.get(String(properties.correlationId))
      if (publish !== undefined) publish.outcome = "unroutable"
    })
    channel.on("drain", () => {
      this.isWritable = true
      this.sendWaiting()
    })
  }

  /** Afterwards the broker has it, or has said that nobody gets it. */
  publish(message: Message): Effect.Effect<Routed, Outage> {
    return Effect.callback((resume) => {
      const { blocked, lostBecause } = this.connection
      if (lostBecause !== undefined) return resume(Effect.fail(outageOf("publish", lostBecause)))
      if (blocked !== null) return resume(Effect.fail(blockedOutage(blocked)))
      const publish: Publish = { message, resume, sentAt: 0, outcome: "routed" }
      if (this.hasRoom && this.waiting.size === 0) this.send(publish)
      else if (this.waiting.size < this.limits.waitingMax) this.waiting.add(publish)
      else resume(Effect.fail(outageOf("publish", new Error(`${this.waiting.size} publishes wait already`))))
      return Effect.sync(() => void this.waiting.delete(publish))
    })
  }

  /** Fails what waits, after a change of the connection that leaves it no hope. */
  readonly look = (): void => {
    const { blocked, lostBecause } = this.connection
    if (lostBecause !== undefined) this.failAll(outageOf("publish", lostBecause))
    else if (blocked !== null) this.failAll(blockedOutage(blocked))
    else this.sendWaiting()
  }

  /** Looks for a confirm that is overdue, as long as the scope lives. */
  readonly watch: Effect.Effect<never> = Effect.suspend(() => {
    const { confirmMs } = this.limits
    const once = Effect.sync(() => {
      this.looks++
      const [oldest] = this.sent.values()
      if (oldest === undefined || this.looks - oldest.sentAt <= LOOKS) return
      this.connection.drop(new Error(`RabbitMQ did not confirm in ${confirmMs} ms`))
    })
    return Effect.forever(Effect.delay(once, Math.ceil(confirmMs / LOOKS)))
  })

  private get hasRoom(): boolean {
    return this.isWritable && this.unconfirmed < this.limits.unconfirmedMax
  }

  private send(publish: Publish): void {
    const correlationId = String(this.nextId++)
    const { exchange, key, content, options } = publish.message
    publish.sentAt = this.looks
    const confirmed = (failed: unknown) => {
      this.unconfirmed--
      if (this.sent.delete(correlationId)) publish.resume(this.outcomeOf(publish, failed))
      this.sendWaiting()
    }
    try {
      this.isWritable = this.channel.publish(exchange, key, content, { ...options, correlationId }, confirmed)
      this.unconfirmed++
      this.sent.set(correlationId, publish)
    } catch (cause) {
      publish.resume(explained("publish", this.connection.lostBecause ?? cause))
    }
  }

  private outcomeOf({ outcome }: Publish, failed: unknown): Effect.Effect<Routed, Outage> {
    if (failed === null || failed === undefined) return Effect.succeed(outcome)
    return Effect.fail(outageOf("publish", this.connection.lostBecause ?? failed))
  }

  private sendWaiting(): void {
    for (const publish of this.waiting) {
      if (!this.hasRoom || this.connection.blocked !== null) return
      this.waiting.delete(publish)
      this.send(publish)
    }
  }

  private failAll(failure: Outage): void {
    const all = [...this.sent.values(), ...this.waiting]
    this.sent.clear()
    this.waiting.clear()
    for (const { resume } of all) resume(Effect.fail(failure))
  }
}

const blockedOutage = (reason: string): Outage =>
  outageOf("publish", new Error(`RabbitMQ takes no messages for now: ${reason}`))

/** On a channel of its own. When the broker closes the channel, the connection goes too: then all that was declared is declared anew. */
export const make = (
  connection: RabbitConnection,
  limits: ConfirmLimits
): Effect.Effect<RabbitConfirms, Outage, Scope.Scope> =>
  Effect.gen(function* () {
    const channel = yield* openChannel(
      connection,
      () => connection.model.createConfirmChannel(),
      (cause) => {
        if (cause !== undefined) connection.drop(cause)
        // Channels close a moment before their connection, which knows why.
        else queueMicrotask(() => connection.drop(new Error("the channel was closed")))
      }
    )
    const confirms = new RabbitConfirms(connection, channel, limits)
    const unwatch = connection.watch(confirms.look)
    yield* Effect.addFinalizer(() => Effect.sync(unwatch))
    yield* Effect.forkScoped(confirms.watch)
    return confirms
  })
