/**
 * Days of rollups that leave the store for cold storage, and come back. A day may leave once it is closed by every definition, with an hour closed after it. From
 * the first row that goes until the last one that is back it counts as away, so nobody reads half a day for a whole one.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { SegmentId } from "../schemas/Archive.ts"
import type { RollupRow } from "../schemas/Rollup.ts"
import type { Outage } from "./Outage.ts"

export interface AwayDay {
  /** The instant it begins at. */
  readonly day: number
  /** Its rows, in the order of the segments. */
  readonly segments: ReadonlyArray<SegmentId>
  readonly rows: number
  readonly at: number
}

export interface Driver {
  /** Days that hold rows, by age, with how many; those that are away are in `away`. */
  readonly held: (
    from: number,
    to: number
  ) => Effect.Effect<ReadonlyArray<{ readonly day: number; readonly rows: number }>, Outage>
  /** By age. */
  readonly away: (from: number, to: number) => Effect.Effect<ReadonlyArray<AwayDay>, Outage>
  /**
   * Afterwards the day is away, and at most `max` of its rows are gone; answers how many. An earlier word of the same day stands. null, and nothing changed: it is
   * not closed, has no closed hour after it, or its rows are not as many as are said to be in the segments.
   */
  readonly drop: (day: AwayDay, max: number) => Effect.Effect<number | null, Outage>
  /** Puts rows of a day back that is away. What is there stays. False, and nothing changed: it is not away. */
  readonly put: (day: number, rows: ReadonlyArray<RollupRow>) => Effect.Effect<boolean, Outage>
  /** Afterwards the day is not away any more. False, and nothing changed: it has not all of its rows, or was not away. */
  readonly settle: (day: number) => Effect.Effect<boolean, Outage>
}

export class RollupDays extends Context.Service<RollupDays, Driver>()("resultity/layers/RollupDays") {}

export const make = (driver: Driver): RollupDays["Service"] =>
  RollupDays.of({
    held: Effect.fn("RollupDays.held")(driver.held),
    away: Effect.fn("RollupDays.away")(driver.away),
    drop: Effect.fn("RollupDays.drop")(driver.drop),
    put: Effect.fn("RollupDays.put")(driver.put),
    settle: Effect.fn("RollupDays.settle")(driver.settle)
  })
