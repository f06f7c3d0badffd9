/** Every deciding contract on PostgreSQL, over one client, in a schema that is migrated before anything is asked. */
import * as Layer from "effect/Layer"
import * as ApiKeys from "./PgApiKeys.ts"
import * as Audit from "./PgAudit.ts"
import * as Catalog from "./PgCatalog.ts"
import * as PgClient from "./PgClient.ts"
import * as Daemons from "./PgDaemons.ts"
import * as PgJobs from "./PgJobs.ts"
import * as Erasures from "./PgErasures.ts"
import * as Namespaces from "./PgNamespaces.ts"
import * as NetworkKeys from "./PgNetworkKeys.ts"
import * as NodeRegistry from "./PgNodeRegistry.ts"
import * as Notices from "./PgNotices.ts"
import * as RollupDays from "./PgRollupDays.ts"
import * as Rollups from "./PgRollups.ts"
import * as Receipts from "./PgReceipts.ts"
import * as Settings from "./PgSettings.ts"
import * as StateRows from "./PgStateRows.ts"
import * as SweeperStates from "./PgSweeperStates.ts"
import * as Webhooks from "./PgWebhooks.ts"

export type { PgOptions } from "./PgClient.ts"

/** Over a client that is there already; how soon a daemon is declared dead is its own matter. */
export const over = (daemons: typeof Daemons.layer) =>
  Layer.mergeAll(
    PgJobs.layer,
    Namespaces.layer,
    ApiKeys.layer,
    NodeRegistry.layer,
    Catalog.layer,
    daemons,
    Audit.layer,
    Settings.layer,
    StateRows.layer,
    SweeperStates.layer,
    Webhooks.layer,
    Notices.layer,
    Rollups.layer,
    RollupDays.layer,
    Erasures.layer,
    Receipts.layer,
    NetworkKeys.layer
  )

export const layer = (options: PgClient.PgOptions) => Layer.provide(over(Daemons.layer), PgClient.layer(options))
