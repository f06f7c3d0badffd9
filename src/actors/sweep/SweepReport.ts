/** What one pass of a sweeper did, or would do. */
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"

export interface SweepReport {
  readonly name: string
  readonly dryRun: boolean
  /** Rows taken, or that would be taken. */
  readonly swept: number
  readonly detail: Schema.JsonObject
}

/** Somebody who looks on while a pass goes on, and may want no more of it: then it ends with the batch that is under way. */
export interface Onlooker {
  /** Rows that were taken until now, after each batch. */
  readonly told: (swept: number) => Effect.Effect<void>
  isGone: boolean
}
