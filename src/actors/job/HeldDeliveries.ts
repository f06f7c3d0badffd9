/**
 * The one delivery of each job that waits here for its claim. A job that is delivered again while its actor waits (its channel was lost, or it was
 * published twice) is held by the newer delivery from then on: the older one may be dead without anybody being told. A job that came here without a
 * delivery, from another daemon, holds the first that comes.
 */
import * as Effect from "effect/Effect"
import type { JobId } from "../../schemas/Ids.ts"
import type { Delivery } from "../../layers/Transport.ts"

/** What a job's actor holds until its claim: acknowledged when the row is claimed or over, given back when somebody else should act. */
export type Hold = Pick<Delivery, "ack" | "nack">

class HeldDelivery implements Hold {
  isDone = false
  private current: Delivery | null
  private readonly forget: () => void

  constructor(delivery: Delivery | null, forget: () => void) {
    this.current = delivery
    this.forget = forget
  }

  readonly ack = Effect.suspend(() => this.done()?.ack ?? Effect.void)
  readonly nack = Effect.suspend(() => this.done()?.nack ?? Effect.void)

  /** The older one is done with: whatever it stood for, the newer one stands for. */
  renew(delivery: Delivery): Effect.Effect<void> {
    const older = this.current
    this.current = delivery
    return older?.ack ?? Effect.void
  }

  private done(): Delivery | null {
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
    delivery: Delivery | null,
    start: (hold: Hold) => Effect.Effect<"started" | "there", E>
  ): Effect.Effect<"started" | "there", E> {
    return Effect.suspend(() => {
      const before = this.held.get(jobId)
      const mine: HeldDelivery = new HeldDelivery(delivery, () => {
        if (this.held.get(jobId) === mine) this.held.delete(jobId)
      })
      this.held.set(jobId, mine)
      return Effect.flatMap(start(mine), (what) => {
        if (what === "started") return Effect.succeed(what)
        if (before === undefined || before.isDone) return Effect.as(mine.ack, what)
        this.held.set(jobId, before)
        return Effect.as(delivery === null ? Effect.void : before.renew(delivery), what)
      })
    })
  }
}
