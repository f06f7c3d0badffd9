/** `works`: what takes longer than a request waits, in the daemon that was asked. */
import * as Schema from "effect/Schema"
import { gets, posts } from "../Ask.ts"
import { argument, type Command, OPTIONAL_REASON } from "../Command.ts"
import { at } from "../Control.ts"
import { instant } from "../Plain.ts"
import { show } from "../Show.ts"
import { Work } from "../snapshot/Follow.ts"
import { lineOf } from "../snapshot/Progress.ts"
import { type Column, table } from "../Table.ts"

const COLUMNS: ReadonlyArray<Column<typeof Work.Type>> = [
  { title: "WORK", of: ({ id }) => id },
  { title: "KIND", of: ({ kind }) => kind },
  { title: "STATE", of: ({ state }) => state },
  { title: "STARTED", of: ({ startedAt }) => instant(startedAt) },
  { title: "ENDED", of: ({ endedAt }) => instant(endedAt) },
  { title: "PROGRESS", of: ({ progress, perSecond, leftMs }) => lineOf({ ...progress, perSecond, leftMs }) },
  { title: "BY", of: ({ by }) => by, max: 32 },
  { title: "ERROR", of: ({ error }) => error, max: 60 }
]

const showWorks = show(Schema.Struct({ data: Schema.Array(Work) }), ({ data }) =>
  data.length === 0 ? "No long work.\n" : table(COLUMNS, data)
)
const showOne = show(Schema.Struct({ work: Work }), ({ work: { id, state } }) => `${id} is ${state}.\n`)

export const workCommands: ReadonlyArray<Command> = [
  {
    path: ["works", "list"],
    args: [],
    flags: [],
    summary: "long work of this daemon: what runs, how far it is, and what came of the last",
    notes: "A daemon knows its own work only, and forgets it when it ends; rates are since the start.",
    examples: ["resultity works list"],
    run: gets(() => at("works"), showWorks)
  },
  {
    path: ["works", "cancel"],
    args: [{ name: "WORK", help: "its id" }],
    flags: [OPTIONAL_REASON],
    summary: "ends a work that runs; of one that is over nothing changes",
    examples: ["resultity works cancel work_01j0example"],
    run: posts((input) => at("works", argument(input, 0), "cancel"), showOne)
  }
]
