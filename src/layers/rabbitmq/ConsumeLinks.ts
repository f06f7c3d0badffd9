/**
 * The connections of all consumers of a transport: one, until it has as many channels as a connection may have, then another. A consumer stays with its
 * connection for life; a connection stays until the transport is closed.
 */
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { Outage } from "../Outage.ts"
import { ANSWER_MS, type ConnectionOptions } from "./RabbitConnection.ts"
import { RabbitControl } from "./RabbitControl.ts"
import { outageOf, waitForOperator } from "./RabbitErrors.ts"
import { make as makeLink, type RabbitLink } from "./RabbitLink.ts"

export interface ConsumeParts {
  readonly control: RabbitControl
}

export type ConsumeLink = RabbitLink<ConsumeParts>

/** The broker allows 2047 by default, and some are ours for questions. */
export const CHANNELS_MAX = 2000
const CONNECTIONS_MAX = 8

interface Counted {
  readonly link: ConsumeLink
  consumers: number
}

export class ConsumeLinks {
  /** Also for questions. */
  readonly first: ConsumeLink
  private readonly options: ConnectionOptions
  private readonly channelsMax: number
  private readonly scope: Scope.Scope
  private readonly turn = Semaphore.makeUnsafe(1)
  private readonly links: Array<Counted>

  constructor(first: ConsumeLink, options: ConnectionOptions, channelsMax: number, scope: Scope.Scope) {
    this.first = first
    this.options = options
    this.channelsMax = channelsMax
    this.scope = scope
    this.links = [{ link: first, consumers: 0 }]
  }

  /** A connection with room for one more consumer, which it keeps until the scope closes. */
  readonly reserve: Effect.Effect<ConsumeLink, Outage, Scope.Scope> = Effect.suspend(() =>
    Effect.map(
      Effect.acquireRelease(
        Semaphore.withPermit(
          this.turn,
          Effect.tap(this.withRoom, (counted) => Effect.sync(() => void counted.consumers++))
        ),
        (counted) => Effect.sync(() => void counted.consumers--),
        { interruptible: true }
      ),
      ({ link }) => link
    )
  )

  private readonly withRoom: Effect.Effect<Counted, Outage> = Effect.suspend(() => {
    const found = this.links.find(({ consumers }) => consumers < this.channelsMax)
    if (found !== undefined) return Effect.succeed(found)
    if (this.links.length >= CONNECTIONS_MAX) {
      const most = CONNECTIONS_MAX * this.channelsMax
      return Effect.fail(outageOf("consume", new Error(`${most} consumers are as many as one daemon may have`)))
    }
    return this.another
  })

  private readonly another = Effect.gen({ self: this }, function* () {
    const link = yield* Scope.provide(make(this.options), this.scope)
    const counted = { link, consumers: 0 }
    this.links.push(counted)
    yield* waitForOperator("consume")(link.ready(ANSWER_MS))
    return counted
  })
}

export const make = (options: ConnectionOptions): Effect.Effect<ConsumeLink, never, Scope.Scope> =>
  makeLink<ConsumeParts>(options, (connection) => Effect.sync(() => ({ control: new RabbitControl(connection) })))
