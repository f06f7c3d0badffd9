/**
 * The public keys that this network has signed with, for good: a receipt names its key, and whoever checks one of long ago finds it here. Also which
 * daemon signs with which, because they should agree.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { DaemonId } from "../schemas/Ids.ts"
import type { Outage } from "./Outage.ts"

export interface KnownKey {
  readonly id: string
  /** Ed25519, raw, hexadecimal. */
  readonly publicKey: string
  /** When a daemon first said that it signs with it. */
  readonly since: number
  /** Living daemons that do. */
  readonly daemons: number
}

export interface Driver {
  /** Afterwards the key is known, and is the one of this daemon. */
  readonly use: (daemonId: DaemonId, key: Pick<KnownKey, "id" | "publicKey">, at: number) => Effect.Effect<void, Outage>
  /** Oldest first. */
  readonly list: Effect.Effect<ReadonlyArray<KnownKey>, Outage>
}

export class NetworkKeys extends Context.Service<NetworkKeys, Driver>()("resultity/layers/NetworkKeys") {}

export const make = (driver: Driver): NetworkKeys["Service"] => NetworkKeys.of(driver)
