/**
 * Which incarnations of the daemon live. A daemon that was declared dead stays dead: every later claim or settlement in
 * its name is refused, so a hung process that wakes up can do no harm.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { DaemonId } from "../schemas/Ids.ts"
import type { Outage } from "./Outage.ts"

export interface DaemonRow {
  readonly id: DaemonId
  readonly startedAt: number
  readonly beatAt: number
  readonly state: "live" | "left" | "dead"
}

export interface Driver {
  /** Afterwards this incarnation is live. The embedded back ends also declare every earlier one dead: the data folder has one owner. */
  readonly join: (id: DaemonId, at: number) => Effect.Effect<void, Outage>
  /** False when this incarnation was declared dead: it must stop acting at once. */
  readonly beat: (id: DaemonId, at: number) => Effect.Effect<boolean, Outage>
  /** An orderly end. */
  readonly leave: (id: DaemonId, at: number) => Effect.Effect<void, Outage>
  /**
   * Declares dead whoever did not beat since `before`, and whoever is seen to be gone without waiting (a back end that can tell); returns those
   * that died by this call. Never the judge itself: who asks is alive, whatever a clock that jumped says of its last beat.
   */
  readonly bury: (before: number, judge?: DaemonId) => Effect.Effect<ReadonlyArray<DaemonId>, Outage>
  /** The time, in ms, by the one clock that every daemon of this store can ask. */
  readonly time: Effect.Effect<number, Outage>
  readonly list: Effect.Effect<ReadonlyArray<DaemonRow>, Outage>
}

export class Daemons extends Context.Service<Daemons, Driver>()("resultity/layers/Daemons") {}

export const make = (driver: Driver): Daemons["Service"] =>
  Daemons.of({
    ...driver,
    join: Effect.fn("Daemons.join")(driver.join),
    bury: Effect.fn("Daemons.bury")(driver.bury)
  })
