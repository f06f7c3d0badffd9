/**
 * Where each sweeper stands, and who may sweep. Leading takes a new epoch; a save with an older one is refused, so a leader that
 * was paused and overtaken cannot move the watermark back.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { DaemonId } from "../schemas/Ids.ts"
import type { Outage } from "./Outage.ts"

export interface SweeperState {
  readonly name: string
  readonly leader: DaemonId | null
  readonly epoch: number
  readonly watermark: Schema.Json
  readonly sweptAt: number | null
  /** Rows taken since the beginning. */
  readonly swept: number
  readonly lastError: string | null
}

export interface Pass {
  readonly watermark: Schema.Json
  readonly swept: number
  readonly error: string | null
  readonly at: number
}

export interface Driver {
  /** Afterwards this daemon leads with the returned state's epoch, one above the last. */
  readonly lead: (name: string, daemonId: DaemonId) => Effect.Effect<SweeperState, Outage>
  /** False, and no change, when `epoch` is not the newest. `swept` is added. */
  readonly save: (name: string, epoch: number, pass: Pass) => Effect.Effect<boolean, Outage>
  /** By name. */
  readonly list: Effect.Effect<ReadonlyArray<SweeperState>, Outage>
}

export class SweeperStates extends Context.Service<SweeperStates, Driver>()("resultity/layers/SweeperStates") {}

export const make = (driver: Driver): SweeperStates["Service"] => SweeperStates.of(driver)
