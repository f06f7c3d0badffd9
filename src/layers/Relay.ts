/**
 * The short way of pieces from the daemon with a job's actor to daemons with readers of it. Best effort and unbuffered: what is lost, or was said
 * before somebody listened, is read from the traces. Nothing of it is ever stored.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { DaemonId, JobId } from "../schemas/Ids.ts"
import type { TokenEvent } from "../schemas/TokenEvent.ts"
import type { Outage } from "./Outage.ts"

export interface RelayedPieces {
  readonly jobId: JobId
  /** Of the owner that sends: readers drop pieces of an older one than they have seen. */
  readonly epoch: number
  /** Gap-free and ascending. */
  readonly events: ReadonlyArray<TokenEvent>
}

export interface Receiver {
  /** Waits for at least one; when they are not taken in time the oldest are dropped. */
  readonly take: Effect.Effect<ReadonlyArray<RelayedPieces>, Outage>
}

export interface Driver {
  /** Reaches the daemon if it receives at this moment. Batches of one sender for one job arrive in order. */
  readonly send: (to: DaemonId, pieces: RelayedPieces) => Effect.Effect<void, Outage>
  /** What is sent to this daemon from now on, until the scope closes. */
  readonly receive: (daemonId: DaemonId) => Effect.Effect<Receiver, Outage, Scope.Scope>
}

export class Relay extends Context.Service<Relay, Driver>()("resultity/layers/Relay") {}

/** Batches that may wait to be taken. */
export const RELAYED_MAX = 4096

export const make = (driver: Driver): Relay["Service"] =>
  Relay.of({
    ...driver,
    send: (to, pieces) => (pieces.events.length === 0 ? Effect.void : driver.send(to, pieces))
  })
