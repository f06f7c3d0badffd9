/**
 * The channel on which a connection declares and asks. The broker closes a channel for any question that it does not like, so nothing else lives on this
 * one, and it is opened again with the next question.
 */
import type { Channel } from "amqplib"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { Outage } from "../Outage.ts"
import type { RabbitConnection } from "./RabbitConnection.ts"

/** A channel whose end is told, maybe twice: with the reason, when there is one, and after the fact. Its listeners are there before anything can fail. */
export const openChannel = <C extends Channel>(
  connection: RabbitConnection,
  create: () => Promise<C>,
  onEnd: (cause: Error | undefined) => void
): Effect.Effect<C, Outage> =>
  connection.ask("channel", (signal) =>
    create().then((channel) => {
      if (signal.aborted) closeQuietly(channel)
      channel.on("error", onEnd)
      channel.on("close", () => onEnd(connection.lostBecause))
      return channel
    })
  )

/** For a channel that nobody uses. It may be gone already, which is what was wanted. */
export const closeQuietly = (channel: Channel): void => void channel.close().catch(() => undefined)

export class RabbitControl {
  private readonly connection: RabbitConnection
  private readonly turn = Semaphore.makeUnsafe(1)
  private channel: Channel | null = null

  constructor(connection: RabbitConnection) {
    this.connection = connection
  }

  /** One at a time, as the protocol wants it. */
  use<A, E>(during: string, work: (channel: Channel) => Effect.Effect<A, E>): Effect.Effect<A, E | Outage> {
    return Semaphore.withPermit(
      this.turn,
      this.connection.answered(
        during,
        Effect.flatMap(
          Effect.suspend(() => (this.channel === null ? this.open() : Effect.succeed(this.channel))),
          work
        )
      )
    )
  }

  private open(): Effect.Effect<Channel, Outage> {
    const { connection } = this
    const opened = openChannel(
      connection,
      () => connection.model.createChannel(),
      () => void (this.channel = null)
    )
    return Effect.tap(opened, (channel) => Effect.sync(() => void (this.channel = channel)))
  }
}
