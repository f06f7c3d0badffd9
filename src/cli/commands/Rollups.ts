/** `rollups`: how far they are, and days that leave the deciding store for the archive and come back. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { gets, posts } from "../Ask.ts"
import { argument, type Command, type Input, REASON, reasonOf } from "../Command.ts"
import { at, Control } from "../Control.ts"
import { Output } from "../Output.ts"
import { counted, instant } from "../Plain.ts"
import { document, reading, show } from "../Show.ts"
import { type Column, facts, table } from "../Table.ts"

const Day = Schema.Struct({ day: Schema.String, rows: Schema.Finite, segments: Schema.Array(Schema.String) })
const Listed = Day.pipe(Schema.fieldsAssign({ state: Schema.String }))
const Hours = Schema.Struct({ credits: Schema.Finite, jobs: Schema.Finite, accounts: Schema.Finite })

const COLUMNS: ReadonlyArray<Column<typeof Listed.Type>> = [
  { title: "DAY", of: ({ day }) => day },
  { title: "STATE", of: ({ state }) => state },
  { title: "ROWS", of: ({ rows }) => rows, right: true },
  { title: "SEGMENTS", of: ({ segments }) => segments.join(",") }
]

const List = Schema.Struct({
  closedUntil: Hours,
  waiting: Schema.Struct({ credits: Schema.Finite, jobs: Schema.Finite }),
  data: Schema.Array(Listed)
})

const showList = show(List, ({ closedUntil, waiting, data }) => {
  const head = facts([
    ["credits", `closed until ${instant(closedUntil.credits)}, ${waiting.credits} to take`],
    ["jobs", `closed until ${instant(closedUntil.jobs)}, ${waiting.jobs} to take`],
    ["accounts", `closed until ${instant(closedUntil.accounts)}`]
  ])
  return data.length === 0 ? `${head}\nNo rows.\n` : `${head}\n${table(COLUMNS, data)}`
})

const readMoved = reading(Schema.Struct({ data: Schema.Array(Day), more: Schema.Boolean }))

const line = ({ day, rows, segments }: typeof Day.Type): string =>
  `${day}: ${counted(rows, "row")} in ${segments.join(", ")}\n`

/** A week at a time, until nothing is left. */
const archive = Effect.fnUntraced(function* (input: Input) {
  const { write } = yield* Output
  const control = yield* Control
  const moved: Array<typeof Day.Type> = []
  let more = true
  while (more) {
    const order = { before: input.flags.get("before") ?? "", reason: reasonOf(input) }
    const answer = yield* readMoved(yield* control.post(at("rollups", "archive"), order))
    moved.push(...answer.data)
    if (!input.json) yield* write(answer.data.map(line).join(""))
    more = answer.more
  }
  if (input.json) return yield* document({ data: moved, more: false })
  return yield* write(
    moved.length === 0 ? "No closed day before that holds rows.\n" : `${counted(moved.length, "day")} archived.\n`
  )
})

const showRestored = show(Day, ({ day, rows }) => `${day} is back: ${counted(rows, "row")}, the same as before.\n`)

const dayFault = (text: string): string | null => (/^\d{4}-\d{2}-\d{2}$/.test(text) ? null : "is a day like 2026-11-30")

export const rollupCommands: ReadonlyArray<Command> = [
  {
    path: ["rollups", "list"],
    args: [],
    flags: [
      { name: "from", value: "DAY", help: "31 days ago", check: dayFault },
      { name: "to", value: "DAY", help: "without the end; now", check: dayFault }
    ],
    summary: "how far the rollups are, and which days are here or archived",
    examples: ["resultity rollups list", "resultity rollups list --from 2026-01-01 --to 2026-12-31"],
    run: gets(
      () => at("rollups"),
      showList,
      ({ flags }) => Object.fromEntries([...flags].filter(([name]) => name === "from" || name === "to"))
    )
  },
  {
    path: ["rollups", "archive"],
    args: [],
    flags: [
      {
        name: "before",
        value: "DAY",
        help: "only days before this one",
        needed: "it says which days leave",
        check: dayFault
      },
      REASON
    ],
    summary: "moves closed days out of the store, into the archive",
    notes: "Each is verified in the archive before its rows are dropped. Invoices over such a day need it back first.",
    examples: ["resultity rollups archive --before 2026-01-01 --reason 'last year'"],
    run: archive
  },
  {
    path: ["rollups", "restore"],
    args: [{ name: "DAY", help: "as `rollups list` shows it" }],
    flags: [REASON],
    summary: "brings an archived day back, the same rows as before",
    examples: ["resultity rollups restore 2025-11-30 --reason 'an invoice of November'"],
    run: posts((input) => at("rollups", argument(input, 0), "restore"), showRestored)
  }
]
