/**
 * One listener of a topic: the newest facts, at most `prefetch` of them; when a new one comes while as many wait, the oldest
 * is dropped. A fact is its listener's once taken, so `ack` has nothing left to do; `nack` puts it back while there is room.
 */
import * as Effect from "effect/Effect"
import type { Envelope } from "../../schemas/Envelope.ts"
import type { Delivery } from "../Transport.ts"
import { BrokerConsumer } from "./BrokerConsumer.ts"

export class TopicConsumer extends BrokerConsumer {
  /** Rises with each loss of the channel: what was taken before cannot be put back after. */
  private generation = 0

  get unacknowledged(): number {
    return this.buffer.length
  }

  offer(envelope: Envelope): void {
    if (this.buffer.length >= this.prefetch) this.buffer.shift()
    this.push(this.delivery(envelope, false))
  }

  /** Forgets what waits. */
  forget(): void {
    this.generation++
    this.drain()
  }

  private delivery(envelope: Envelope, redelivered: boolean): Delivery {
    const { generation } = this
    let isTaken = true
    const putBack = () => {
      if (!isTaken || generation !== this.generation || this.buffer.length >= this.prefetch) return
      isTaken = false
      this.buffer.unshift(this.delivery(envelope, true))
      this.latch.openUnsafe()
    }
    return { envelope, redelivered, ack: Effect.sync(() => void (isTaken = false)), nack: Effect.sync(putBack) }
  }
}
