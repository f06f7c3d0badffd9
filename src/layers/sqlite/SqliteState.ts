/** Every deciding contract on the one embedded database. */
import * as Layer from "effect/Layer"
import * as ApiKeys from "./SqliteApiKeys.ts"
import * as Audit from "./SqliteAudit.ts"
import * as Catalog from "./SqliteCatalog.ts"
import * as CreditLedger from "./SqliteCreditLedger.ts"
import * as Daemons from "./SqliteDaemons.ts"
import * as JobRowRetention from "./SqliteJobRowRetention.ts"
import * as JobStore from "./SqliteJobStore.ts"
import * as Erasures from "./SqliteErasures.ts"
import * as JobSurvey from "./SqliteJobSurvey.ts"
import * as Namespaces from "./SqliteNamespaces.ts"
import * as NetworkKeys from "./SqliteNetworkKeys.ts"
import * as NodeRegistry from "./SqliteNodeRegistry.ts"
import * as Notices from "./SqliteNotices.ts"
import * as Outbox from "./SqliteOutbox.ts"
import * as RollupDays from "./SqliteRollupDays.ts"
import * as Rollups from "./SqliteRollups.ts"
import * as Receipts from "./SqliteReceipts.ts"
import * as Settings from "./SqliteSettings.ts"
import * as StateRows from "./SqliteStateRows.ts"
import * as SweeperStates from "./SqliteSweeperStates.ts"
import * as Webhooks from "./SqliteWebhooks.ts"

export const layer = Layer.mergeAll(
  JobStore.layer,
  JobSurvey.layer,
  JobRowRetention.layer,
  Outbox.layer,
  CreditLedger.layer,
  Namespaces.layer,
  ApiKeys.layer,
  NodeRegistry.layer,
  Catalog.layer,
  Daemons.layer,
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
