/**
 * The one delivery of each job that waits here for its claim. A job that is delivered again while its actor waits (its channel was lost, or it was
 * published twice) is held by the newer delivery from then on: the older one may be dead without anybody being told.
 */
import * as Effect from "effect/Effect"
import type { JobId } from "../../schemas/Ids.ts"
import type { Delivery } from "../../layers/Transport.ts"

class HeldDelivery implements Delivery {
  isDone = false
  private current: Delivery
  private readonly forget: () => void

  constructor(delivery: Delivery, forget: () => void) {
    this.current = delivery
    this.forget = forget
  }

  get envelope() {
    return this.current.envelope
  }

  get redelivered() {
    return this.current.redelivered
  }

  readonly ack = Effect.suspend(() => this.done().ack)
  readonly nack = Effect.suspend(() => this.done().nack)

  /** The older one is done with: whatever it stood for, the newer one stands for. */
  renew(delivery: Delivery): Effect.Effect<void> {
    const older = this.current
    this.current = delivery
    return older.ack
  }

  private done(): Delivery {
    this.isDone = true
    this.forget()
    return this.current
  }
}

export class HeldDeliveries {
  private readonly held = new Map<JobId, HeldDelivery>()

  /**
   * Starts an actor with the delivery. Where there is one already (`there`), it holds the delivery from now on if it still waits for its claim;
   * otherwise the delivery is done with.
   */
  start<E>(
    jobId: JobId,
    delivery: Delivery,
    start: (delivery: Delivery) => Effect.Effect<"started" | "there", E>
  ): Effect.Effect<void, E> {
    return Effect.suspend(() => {
      const before = this.held.get(jobId)
      const mine: HeldDelivery = new HeldDelivery(delivery, () => {
        if (this.held.get(jobId) === mine) this.held.delete(jobId)
      })
      this.held.set(jobId, mine)
      return Effect.flatMap(start(mine), (what) => {
        if (what === "started") return Effect.void
        if (before === undefined || before.isDone) return mine.ack
        this.held.set(jobId, before)
        return before.renew(delivery)
      })
    })
  }
}
