/** What this process was started with: read once, checked before anything starts, never changed. */
import * as Context from "effect/Context"
import type * as Redacted from "effect/Redacted"
import type { DaemonId } from "../schemas/Ids.ts"
import type { Environment } from "../schemas/Job.ts"

export class DaemonConfig extends Context.Service<
  DaemonConfig,
  {
    readonly daemonId: DaemonId
    readonly dataFolder: string
    readonly host: string
    readonly port: number
    readonly controlHost: string
    readonly controlPort: number
    /** null: the control listener answers loopback without a key. */
    readonly controlKey: Redacted.Redacted | null
    /** Gateways, by address or range, whose X-Forwarded-For is believed. */
    readonly trustedProxies: ReadonlyArray<string>
    /** Environment of nodes that connect here. */
    readonly environment: Environment
    readonly drainMs: number
    /**
     * Without a heartbeat for so long it fences itself, because other daemons may have declared it dead by then. null: the data folder is its
     * alone, nobody can, and it waits the outage out.
     */
    readonly silenceMaxMs: number | null
    /** Deliveries of one lane that may wait in this daemon for a slot. */
    readonly lanePrefetch: number
  }
>()("resultity/layers/DaemonConfig") {}
