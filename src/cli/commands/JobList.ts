/** `jobs list`: one page, or with `--all` every page, shown as it comes and never held as a whole. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Command, Input } from "../Command.ts"
import { at, Control, type Query } from "../Control.ts"
import { Output } from "../Output.ts"
import { document, reading } from "../Show.ts"
import { page } from "../Table.ts"
import { COLUMNS, FILTERS, filtersOf, JobLine } from "./JobLines.ts"

const PAGE_MAX = 100

const readPage = reading(Schema.Struct({ data: Schema.Array(Schema.Json), nextCursor: Schema.NullOr(Schema.String) }))
const readLines = reading(Schema.Array(JobLine))

const queryOf = (input: Input): Query => {
  const { flags } = input
  const cursor = flags.get("cursor")
  return {
    ...filtersOf(input),
    ...(cursor === undefined ? {} : { cursor }),
    ...(flags.has("limit") || flags.has("all") ? { limit: flags.get("limit") ?? String(PAGE_MAX) } : {})
  }
}

const onePage = Effect.fnUntraced(function* (input: Input) {
  const out = yield* Output
  const answer = yield* (yield* Control).get(at("jobs"), queryOf(input))
  if (input.json) return yield* document(answer)
  const { data, nextCursor } = yield* readPage(answer)
  if (data.length === 0) return yield* out.write("No jobs.\n")
  yield* out.write(page(COLUMNS, yield* readLines(data)).text)
  if (nextCursor !== null) yield* out.note(`There are more: --cursor ${nextCursor}, or --all`)
})

/** One document, written piece by piece: a fleet has more jobs than fit in memory. */
const allPages = Effect.fnUntraced(function* (input: Input) {
  const out = yield* Output
  const control = yield* Control
  const filters = queryOf(input)
  let query: Query = filters
  let widths: ReadonlyArray<number> | undefined
  let shown = 0
  if (input.json) yield* out.write('{"data":[')
  while (true) {
    const { data, nextCursor } = yield* readPage(yield* control.get(at("jobs"), query))
    if (input.json) {
      const text = data.map((line) => JSON.stringify(line)).join(",")
      yield* out.write(shown > 0 && text !== "" ? `,${text}` : text)
    } else if (data.length > 0) {
      const next = page(COLUMNS, yield* readLines(data), widths)
      widths = next.widths
      yield* out.write(next.text)
    }
    shown += data.length
    if (nextCursor === null) break
    query = { ...filters, cursor: nextCursor }
  }
  if (input.json) yield* out.write('],"nextCursor":null}\n')
  else if (shown === 0) yield* out.write("No jobs.\n")
})

const isLimit = (text: string): string | null =>
  /^\d{1,3}$/.test(text) && Number(text) >= 1 && Number(text) <= PAGE_MAX ? null : `is a number from 1 to ${PAGE_MAX}`

export const jobList: Command = {
  path: ["jobs", "list"],
  args: [],
  flags: [
    ...FILTERS,
    { name: "limit", value: "N", help: `jobs on a page, up to ${PAGE_MAX}; 20`, check: isLimit },
    { name: "cursor", value: "CURSOR", help: "go on where a page ended, with the same filters" },
    { name: "all", help: "every page" }
  ],
  summary: "jobs of all namespaces, newest first",
  notes: "TOKENS are prompt+output. A cursor of this listing is of no use anywhere else.",
  examples: [
    "resultity jobs list --status failed --from 2026-11-25",
    "resultity jobs list --namespace ns_01j0example --model llama-3.1-8b --limit 50",
    "resultity jobs list --all --json | jq -r '.data[] | [.jobId, .cost] | @tsv'"
  ],
  run: (input) => (input.flags.has("all") ? allPages(input) : onePage(input))
}
