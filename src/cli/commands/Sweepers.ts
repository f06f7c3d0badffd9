/** `sweepers` and `sweep`: the background upkeep, where each stands, and one pass by hand. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { gets, posts } from "../Ask.ts"
import { argument, type Command, type Input, OPTIONAL_REASON, reasonOf } from "../Command.ts"
import { at, Control } from "../Control.ts"
import { instant } from "../Plain.ts"
import { show } from "../Show.ts"
import { follow, NO_WAIT } from "../snapshot/Follow.ts"
import { type Column, facts, table } from "../Table.ts"

const Sweeper = Schema.Struct({
  name: Schema.String,
  leader: Schema.NullOr(Schema.String),
  leads: Schema.Boolean,
  everyMs: Schema.Finite,
  sweptAt: Schema.NullOr(Schema.Finite),
  swept: Schema.Finite,
  lastError: Schema.NullOr(Schema.String)
})

const COLUMNS: ReadonlyArray<Column<typeof Sweeper.Type>> = [
  { title: "SWEEPER", of: ({ name }) => name },
  { title: "LEADER", of: ({ leader, leads }) => (leads ? `${leader ?? ""} (here)` : leader) },
  { title: "EVERY MS", of: ({ everyMs }) => everyMs, right: true },
  { title: "LAST PASS", of: ({ sweptAt }) => instant(sweptAt) },
  { title: "SWEPT", of: ({ swept }) => swept, right: true },
  { title: "LAST ERROR", of: ({ lastError }) => lastError, max: 60 }
]

const showSweepers = show(Schema.Struct({ data: Schema.Array(Sweeper) }), ({ data }) =>
  data.length === 0 ? "No sweepers.\n" : table(COLUMNS, data)
)

const Report = Schema.Struct({
  name: Schema.String,
  dryRun: Schema.Boolean,
  swept: Schema.Finite,
  detail: Schema.Record(Schema.String, Schema.Json)
})

const showReport = show(Report, ({ name, dryRun, swept, detail }) => {
  const details = Object.entries(detail).map(
    ([what, value]) => [what, typeof value === "string" ? value : JSON.stringify(value)] as const
  )
  const head = `${name} ${dryRun ? "would take" : "took"} ${swept}.\n`
  return details.length === 0 ? head : `${head}${facts(details)}`
})

const pathOf = (input: Input) => at("sweepers", argument(input, 0), "sweep")

const countOnly = posts(
  pathOf,
  showReport,
  () => ({}),
  () => ({ dry_run: "true" })
)

const sweepNow = (input: Input) =>
  Effect.gen(function* () {
    const order = { reason: reasonOf(input) }
    const begun = yield* (yield* Control).post(pathOf(input), order, { background: "true" })
    const made = yield* follow(input, begun)
    if (made !== null) yield* showReport(input, made)
  })

export const sweeperCommands: ReadonlyArray<Command> = [
  {
    path: ["sweepers"],
    args: [],
    flags: [],
    summary: "the sweepers, who leads them, and how their last pass went",
    examples: ["resultity sweepers", "resultity sweepers --json | jq '.data[] | select(.lastError != null)'"],
    run: gets(() => at("sweepers"), showSweepers)
  },
  {
    path: ["sweep"],
    args: [{ name: "NAME", help: "the sweeper, as `sweepers` lists it" }],
    flags: [{ name: "dry-run", help: "only count what a pass would take" }, NO_WAIT, OPTIONAL_REASON],
    summary: "one pass of a sweeper, now",
    notes:
      "Done by the daemon that leads it, as long work: ctrl-C leaves it running, `works cancel` ends it with the batch that is\n" +
      "under way. It fails while a pass of the same sweeper goes on.",
    examples: ["resultity sweep retention --dry-run", "resultity sweep retention --reason 'disk is filling up'"],
    run: (input) => (input.flags.has("dry-run") ? countOnly(input) : sweepNow(input))
  }
]
