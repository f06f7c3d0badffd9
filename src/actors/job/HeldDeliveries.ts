/**
 * The one delivery of each job that waits here for its claim. A job that is delivered again while its actor waits (its channel was lost, or it was
 * published twice) is held by the newer delivery from then on: the older one may be dead without anybody being told. A job that came here without a
 * delivery, from another daemon, holds the first that comes.
 */
import * as Effect from "effect/Effect"
import type { JobId } from "../../schemas/Ids.ts"
import type { Delivery } from "../../layers/Transport.ts"

/** What a job's actor holds until its claim: acknowledged when the row is claimed or over, given back when somebody else should act. */
export interface Hold extends Pick<Delivery, "ack" | "nack"> {
  /** A newer delivery took the place of the one the actor began with. */
  readonly isRenewed: boolean
}

class HeldDelivery implements Hold {
  isDone = false
  isRenewed = false
  private current: Delivery | null
  private readonly onDone: (isGivenBack: boolean) => void

  constructor(delivery: Delivery | null, onDone: (isGivenBack: boolean) => void) {
    this.current = delivery
    this.onDone = onDone
  }

  readonly ack = Effect.suspend(() => this.done(false)?.ack ?? Effect.void)
  readonly nack = Effect.suspend(() => this.done(true)?.nack ?? Effect.void)

  /** The older one is done with: whatever it stood for, the newer one stands for. */
  renew(delivery: Delivery): Effect.Effect<void> {
    const older = this.current
    this.current = delivery
    this.isRenewed = true
    return older?.ack ?? Effect.void
  }

  private done(isGivenBack: boolean): Delivery | null {
    this.isDone = true
    this.onDone(isGivenBack)
    return this.current
  }
}

export class HeldDeliveries {
  private readonly held = new Map<JobId, HeldDelivery>()
  /** Their actors gave them back and are on their way out. */
  private readonly leaving = new Set<JobId>()
  private readonly hasActor: (jobId: JobId) => boolean

  constructor(hasActor: (jobId: JobId) => boolean) {
    this.hasActor = hasActor
  }

  /**
   * Starts an actor with the delivery. Where there is one already (`there`), it holds the delivery from now on if it still waits for its claim;
   * where one has just given its own back, it goes back as well, to come again when the actor is gone; otherwise it is done with.
   */
  start<E>(
    jobId: JobId,
    delivery: Delivery | null,
    start: (hold: Hold) => Effect.Effect<"started" | "there", E>
  ): Effect.Effect<"started" | "there", E> {
    return Effect.suspend(() => {
      for (const left of this.leaving) if (!this.hasActor(left)) this.leaving.delete(left)
      const before = this.held.get(jobId)
      const mine: HeldDelivery = new HeldDelivery(delivery, (isGivenBack) => {
        if (this.held.get(jobId) === mine) this.held.delete(jobId)
        if (isGivenBack) this.leaving.add(jobId)
      })
      this.held.set(jobId, mine)
      return Effect.flatMap(start(mine), (what) => {
        if (what === "started") {
          this.leaving.delete(jobId)
          return Effect.succeed(what)
        }
        if (before === undefined || before.isDone)
          return Effect.as(this.leaving.has(jobId) ? mine.nack : mine.ack, what)
        this.held.set(jobId, before)
        return Effect.as(delivery === null ? Effect.void : before.renew(delivery), what)
      })
    })
  }
}
