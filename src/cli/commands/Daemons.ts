/** `daemons`: who shares the installation. */
import * as Schema from "effect/Schema"
import { gets } from "../Ask.ts"
import type { Command } from "../Command.ts"
import { at } from "../Control.ts"
import { instant } from "../Plain.ts"
import { show } from "../Show.ts"
import { type Column, table } from "../Table.ts"

const Daemon = Schema.Struct({
  id: Schema.String,
  state: Schema.Literals(["live", "left", "dead"]),
  startedAt: Schema.Finite,
  beatAt: Schema.Finite,
  here: Schema.Boolean
})

const COLUMNS: ReadonlyArray<Column<typeof Daemon.Type>> = [
  { title: "DAEMON", of: ({ id, here }) => (here ? `${id} (here)` : id) },
  { title: "STATE", of: ({ state }) => state },
  { title: "STARTED", of: ({ startedAt }) => instant(startedAt) },
  { title: "LAST BEAT", of: ({ beatAt }) => instant(beatAt) }
]

const showDaemons = show(Schema.Struct({ data: Schema.Array(Daemon) }), ({ data }) => table(COLUMNS, data))

export const daemonCommands: ReadonlyArray<Command> = [
  {
    path: ["daemons"],
    args: [],
    flags: [],
    summary: "the daemons that share the installation: those that live, and the last of the others",
    examples: ["resultity daemons"],
    run: gets(() => at("daemons"), showDaemons)
  }
]
