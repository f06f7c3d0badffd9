/** What one pass of a sweeper did, or would do. */
import type * as Schema from "effect/Schema"

export interface SweepReport {
  readonly name: string
  readonly dryRun: boolean
  /** Rows taken, or that would be taken. */
  readonly swept: number
  readonly detail: Schema.JsonObject
}
