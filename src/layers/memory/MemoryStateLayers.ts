/**
 * The deciding contracts in memory over one state. `layer` brings a fresh state with it; `over` shares a state that a test keeps while daemons
 * come and go.
 */
import * as Layer from "effect/Layer"
import * as MemoryApiKeys from "./MemoryApiKeys.ts"
import * as MemoryAudit from "./MemoryAudit.ts"
import * as MemoryCatalog from "./MemoryCatalog.ts"
import * as MemoryCreditLedger from "./MemoryCreditLedger.ts"
import * as MemoryDaemons from "./MemoryDaemons.ts"
import * as MemoryErasures from "./MemoryErasures.ts"
import * as MemoryJobRowRetention from "./MemoryJobRowRetention.ts"
import * as MemoryJobStore from "./MemoryJobStore.ts"
import * as MemoryJobSurvey from "./MemoryJobSurvey.ts"
import * as MemoryModeration from "./MemoryModeration.ts"
import * as MemoryNamespaces from "./MemoryNamespaces.ts"
import * as MemoryNetworkKeys from "./MemoryNetworkKeys.ts"
import * as MemoryNodeRegistry from "./MemoryNodeRegistry.ts"
import * as MemoryNotices from "./MemoryNotices.ts"
import * as MemoryOutbox from "./MemoryOutbox.ts"
import * as MemoryRollupDays from "./MemoryRollupDays.ts"
import * as MemoryRollups from "./MemoryRollups.ts"
import * as MemoryReceipts from "./MemoryReceipts.ts"
import * as MemorySettings from "./MemorySettings.ts"
import * as MemoryState from "./MemoryState.ts"
import * as MemorySweeperStates from "./MemorySweeperStates.ts"
import * as MemoryWebhooks from "./MemoryWebhooks.ts"

const stores = Layer.mergeAll(
  MemoryJobStore.layer,
  MemoryJobSurvey.layer,
  MemoryJobRowRetention.layer,
  MemoryOutbox.layer,
  MemoryCreditLedger.layer,
  MemoryNamespaces.layer,
  MemoryApiKeys.layer,
  MemoryNodeRegistry.layer,
  MemoryCatalog.layer,
  MemoryDaemons.layer,
  MemoryAudit.layer,
  MemorySettings.layer,
  MemorySweeperStates.layer,
  MemoryWebhooks.layer,
  MemoryNotices.layer,
  MemoryRollups.layer,
  MemoryRollupDays.layer,
  MemoryErasures.layer,
  MemoryReceipts.layer,
  MemoryNetworkKeys.layer
)

/** With what reads the settings beside them. */
export const contracts = Layer.provideMerge(MemoryModeration.layer, stores)

export const layer = Layer.provideMerge(contracts, MemoryState.layer)

/** Fresh each time, as a new daemon's own copies (`Settings.current`) are; only the state lasts. */
export const over = (state: MemoryState.State) =>
  Layer.provideMerge(Layer.fresh(contracts), Layer.succeed(MemoryState.MemoryState, state))
