/**
 * The taking side of a consumer: what was pushed to it and not taken yet, and whether its channel lives. A cut channel is
 * told once, by an Outage, and opens again with the next take; so whoever waits learns that its deliveries have gone back.
 */
import * as Latch from "effect/Latch"
import type { Delivery, Source } from "../Transport.ts"

/** attached: gets deliveries. cut: lost, and not told yet. told: opens again with the next take. ended: its scope is closed. */
export type ConsumerState = "attached" | "cut" | "told" | "ended"

export abstract class BrokerConsumer<D extends Delivery = Delivery> {
  readonly connection: string
  readonly source: Source
  readonly prefetch: number
  /** Opened when a take that waits has something to find out. */
  readonly latch = Latch.makeUnsafe(false)
  state: ConsumerState = "told"
  protected buffer: Array<D> = []

  constructor(connection: string, source: Source, prefetch: number) {
    this.connection = connection
    this.source = source
    this.prefetch = prefetch
  }

  abstract get unacknowledged(): number

  /** All that waits here, oldest first. */
  drain(): ReadonlyArray<D> {
    const drained = this.buffer
    this.buffer = []
    this.latch.closeUnsafe()
    return drained
  }

  protected push(delivery: D): void {
    this.buffer.push(delivery)
    this.latch.openUnsafe()
  }
}
