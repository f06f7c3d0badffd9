/** Every command, in the order in which the help lists them. */
import type { Command } from "./Command.ts"
import { actorCommands } from "./commands/Actors.ts"
import { archiveCommands } from "./commands/Archives.ts"
import { creditCommands } from "./commands/CreditCommands.ts"
import { daemonCommands } from "./commands/Daemons.ts"
import { incidentCommands } from "./commands/Incidents.ts"
import { erasureCommands } from "./commands/Erasures.ts"
import { jobCommands } from "./commands/Jobs.ts"
import { keyCommands } from "./commands/Keys.ts"
import { laneCommands } from "./commands/Lanes.ts"
import { ledgerCommands } from "./commands/LedgerCommands.ts"
import { namespaceCommands } from "./commands/Namespaces.ts"
import { nodeCommands } from "./commands/Nodes.ts"
import { qualityCommands } from "./commands/Quality.ts"
import { ratingCommands } from "./commands/Ratings.ts"
import { recordCommands } from "./commands/Records.ts"
import { receiptCommands } from "./commands/Receipts.ts"
import { rollupCommands } from "./commands/Rollups.ts"
import { settingCommands } from "./commands/SettingCommands.ts"
import { snapshotCommands } from "./commands/Snapshots.ts"
import { sweeperCommands } from "./commands/Sweepers.ts"
import { webhookCommands } from "./commands/Webhooks.ts"
import { workCommands } from "./commands/Works.ts"

export const COMMANDS: ReadonlyArray<Command> = [
  ...jobCommands,
  ...recordCommands,
  ...erasureCommands,
  ...nodeCommands,
  ...namespaceCommands,
  ...keyCommands,
  ...creditCommands,
  ...ledgerCommands,
  ...rollupCommands,
  ...sweeperCommands,
  ...archiveCommands,
  ...snapshotCommands,
  ...workCommands,
  ...receiptCommands,
  ...daemonCommands,
  ...actorCommands,
  ...laneCommands,
  ...incidentCommands,
  ...ratingCommands,
  ...webhookCommands,
  ...qualityCommands,
  ...settingCommands
]
