/** Every command, in the order in which the help lists them. */
import type { Command } from "./Command.ts"
import { actorCommands } from "./commands/Actors.ts"
import { archiveCommands } from "./commands/Archives.ts"
import { creditCommands } from "./commands/CreditCommands.ts"
import { daemonCommands } from "./commands/Daemons.ts"
import { jobCommands } from "./commands/Jobs.ts"
import { keyCommands } from "./commands/Keys.ts"
import { laneCommands } from "./commands/Lanes.ts"
import { namespaceCommands } from "./commands/Namespaces.ts"
import { nodeCommands } from "./commands/Nodes.ts"
import { receiptCommands } from "./commands/Receipts.ts"
import { settingCommands } from "./commands/SettingCommands.ts"
import { sweeperCommands } from "./commands/Sweepers.ts"
import { webhookCommands } from "./commands/Webhooks.ts"

export const COMMANDS: ReadonlyArray<Command> = [
  ...jobCommands,
  ...nodeCommands,
  ...namespaceCommands,
  ...keyCommands,
  ...creditCommands,
  ...sweeperCommands,
  ...archiveCommands,
  ...receiptCommands,
  ...daemonCommands,
  ...actorCommands,
  ...laneCommands,
  ...webhookCommands,
  ...settingCommands
]
