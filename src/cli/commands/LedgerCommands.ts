/** `ledger` and `invoice`: the proof that no credit is missing, the rows behind a balance, and what a namespace has to pay for. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { fromDecimal, toDecimal } from "../../schemas/Credits.ts"
import { CliFailed, EXIT } from "../CliFailed.ts"
import { argument, type Command, type Input } from "../Command.ts"
import { at, Control } from "../Control.ts"
import { Output } from "../Output.ts"
import { instant, instantFault, toInstant } from "../Plain.ts"
import { document, reading } from "../Show.ts"
import { type Column, facts, page, table } from "../Table.ts"

const Balance = Schema.Struct({
  granted: Schema.String,
  available: Schema.String,
  reserved: Schema.String,
  spent: Schema.String
})
type Balance = typeof Balance.Type
const Finding = Schema.Struct({ namespaceId: Schema.String, stored: Balance, summed: Balance })
const readAudit = reading(
  Schema.Struct({ ok: Schema.Boolean, namespaces: Schema.Finite, totals: Balance, findings: Schema.Array(Finding) })
)

const grouped = (count: number): string => String(count).replaceAll(/\B(?=(\d{3})+$)/g, ",")

const sentence = ({ granted, available, reserved, spent }: Balance): string =>
  `granted ${granted} = available ${available} + reserved ${reserved} + spent ${spent}`

interface Line extends Balance {
  readonly namespaceId: string
  readonly what: string
}

const FINDING: ReadonlyArray<Column<Line>> = [
  { title: "NAMESPACE", of: ({ namespaceId }) => namespaceId },
  { title: "BALANCE", of: ({ what }) => what },
  { title: "GRANTED", of: ({ granted }) => granted, right: true },
  { title: "AVAILABLE", of: ({ available }) => available, right: true },
  { title: "RESERVED", of: ({ reserved }) => reserved, right: true },
  { title: "SPENT", of: ({ spent }) => spent, right: true }
]

const broken = (message: string): CliFailed => new CliFailed({ code: "broken", message, exit: EXIT.failed })

const audit = Effect.fnUntraced(function* (input: Input) {
  const { write } = yield* Output
  const answer = yield* (yield* Control).get(at("ledger", "audit"))
  const { namespaces, totals, findings } = yield* readAudit(answer)
  if (input.json) yield* document(answer)
  const many = `${grouped(namespaces)} namespace${namespaces === 1 ? "" : "s"}`
  if (findings.length === 0) {
    if (!input.json) yield* write(`ledger ok: ${many}, ${sentence(totals)}\n`)
    return
  }
  const lines = findings.flatMap(({ namespaceId, stored, summed }) => [
    { namespaceId, what: "stored", ...stored },
    { namespaceId, what: "of its entries", ...summed }
  ])
  if (!input.json) yield* write(table(FINDING, lines))
  return yield* broken(
    `The balance of ${findings.length} of ${many} is not the sum of its entries, or its reservation not that of its open jobs.`
  )
})

const Entry = Schema.Struct({
  seq: Schema.Finite,
  kind: Schema.String,
  amount: Schema.String,
  jobId: Schema.NullOr(Schema.String),
  reference: Schema.NullOr(Schema.String),
  at: Schema.Finite
})
const readPage = reading(Schema.Struct({ data: Schema.Array(Schema.Json), next: Schema.NullOr(Schema.Finite) }))
const readEntries = reading(Schema.Array(Entry))

interface Shown extends Schema.Schema.Type<typeof Entry> {
  /** After this entry; null where the beginning is not known. */
  readonly available: string | null
  readonly reserved: string | null
  readonly spent: string | null
}

const ENTRY: ReadonlyArray<Column<Shown>> = [
  { title: "ENTRY", of: ({ seq }) => seq, right: true },
  { title: "AT", of: ({ at: when }) => instant(when) },
  { title: "KIND", of: ({ kind }) => kind },
  { title: "AMOUNT", of: ({ amount }) => amount, right: true },
  { title: "AVAILABLE", of: ({ available }) => available, right: true },
  { title: "RESERVED", of: ({ reserved }) => reserved, right: true },
  { title: "SPENT", of: ({ spent }) => spent, right: true },
  { title: "OF", of: ({ jobId, reference }) => jobId ?? reference }
]

/** Which way an amount goes: available, reserved, spent. */
const MOVES: Readonly<Record<string, readonly [bigint, bigint, bigint]>> = {
  grant: [1n, 0n, 0n],
  reserve: [-1n, 1n, 0n],
  settle: [0n, -1n, 1n],
  refund: [1n, -1n, 0n]
}

/** The balance after each entry, from nothing on. */
const running = () => {
  let sums: readonly [bigint, bigint, bigint] = [0n, 0n, 0n]
  return (entry: typeof Entry.Type): Shown => {
    const amount = fromDecimal(entry.amount) ?? 0n
    const [a, r, s] = MOVES[entry.kind] ?? [0n, 0n, 0n]
    sums = [sums[0] + a * amount, sums[1] + r * amount, sums[2] + s * amount]
    return { ...entry, available: toDecimal(sums[0]), reserved: toDecimal(sums[1]), spent: toDecimal(sums[2]) }
  }
}

const PAGE = 1_000

/** One page after the other, with the sums and the widths of the pages before. */
const rowsFrom = (first: number) => {
  const follow = running()
  const unknown = { available: null, reserved: null, spent: null }
  let widths: ReadonlyArray<number> | undefined
  return (entries: ReadonlyArray<typeof Entry.Type>): string => {
    const rows = entries.map((entry) => (first === 0 ? follow(entry) : { ...entry, ...unknown }))
    const shown = page(ENTRY, rows, widths)
    widths = shown.widths
    return shown.text
  }
}

const entries = Effect.fnUntraced(function* (input: Input) {
  const { write } = yield* Output
  const control = yield* Control
  const path = at("namespaces", argument(input, 0), "entries")
  const first = Number(input.flags.get("after") ?? "0")
  const rows = rowsFrom(first)
  let left = Number(input.flags.get("limit") ?? Number.MAX_SAFE_INTEGER)
  let [after, shown] = [first as number | null, 0]
  if (input.json) yield* write('{"data":[')
  while (after !== null && left > 0) {
    const query = { after: String(after), limit: String(Math.min(PAGE, left)) }
    const { data, next } = yield* readPage(yield* control.get(path, query))
    const texts = data.map((entry) => JSON.stringify(entry)).join(",")
    if (input.json) yield* write(`${shown > 0 && data.length > 0 ? "," : ""}${texts}`)
    else if (data.length > 0) yield* write(rows(yield* readEntries(data)))
    left -= data.length
    ;[after, shown] = [next, shown + data.length]
  }
  if (input.json) return yield* write(`],"next":${JSON.stringify(after)}}\n`)
  if (shown === 0) yield* write("No entries.\n")
})

const Held = Schema.Struct({ available: Schema.String, reserved: Schema.String })
const Charge = Schema.Struct({
  model: Schema.String,
  jobs: Schema.Finite,
  promptTokens: Schema.Finite,
  outputTokens: Schema.Finite,
  cost: Schema.String
})
const Invoice = Schema.Struct({
  namespaceId: Schema.String,
  from: Schema.Finite,
  to: Schema.Finite,
  opening: Held,
  closing: Held,
  granted: Schema.String,
  reserved: Schema.String,
  refunded: Schema.String,
  charged: Schema.String,
  models: Schema.Array(Charge),
  preliminary: Schema.Boolean
})
const readInvoice = reading(Schema.Struct({ invoice: Invoice, reconciled: Schema.NullOr(Schema.Boolean) }))

const CHARGE: ReadonlyArray<Column<typeof Charge.Type>> = [
  { title: "MODEL", of: ({ model }) => model },
  { title: "JOBS", of: ({ jobs }) => jobs, right: true },
  { title: "PROMPT TOKENS", of: ({ promptTokens }) => promptTokens, right: true },
  { title: "OUTPUT TOKENS", of: ({ outputTokens }) => outputTokens, right: true },
  { title: "COST", of: ({ cost }) => cost, right: true }
]

const held = ({ available, reserved }: typeof Held.Type): string =>
  `${toDecimal((fromDecimal(available) ?? 0n) + (fromDecimal(reserved) ?? 0n))} (${reserved} reserved)`

const verdictOf = (preliminary: boolean, reconciled: boolean | null): string => {
  if (preliminary) return "preliminary: the last hour is closed some minutes after its end"
  return reconciled === true ? "agrees with the ledger, entry by entry" : "does not agree with the ledger"
}

const spanOf = ({ flags }: Input): Record<string, string> => {
  const span: Record<string, string> = {}
  for (const name of ["from", "to"]) {
    const text = flags.get(name)
    if (text !== undefined) span[name] = String(toInstant(text) ?? text)
  }
  return span
}

const invoice = Effect.fnUntraced(function* (input: Input) {
  const control = yield* Control
  const { write } = yield* Output
  const path = at("namespaces", input.flags.get("namespace") ?? "", "invoice")
  const span = spanOf(input)
  if (input.flags.has("csv")) {
    const query = new URLSearchParams({ ...span, format: "csv" })
    return yield* Stream.runForEach(control.bytes(`${path}?${query.toString()}`), write)
  }
  const answer = yield* control.get(path, span)
  const { invoice: found, reconciled } = yield* readInvoice(answer)
  if (input.json) yield* document(answer)
  else {
    const head = facts([
      ["namespace", found.namespaceId],
      ["from", instant(found.from)],
      ["to", instant(found.to)],
      ["opening", held(found.opening)],
      ["granted", found.granted],
      ["charged", found.charged],
      ["closing", held(found.closing)],
      ["refunded", `${found.refunded} of ${found.reserved} set aside`],
      ["standing", verdictOf(found.preliminary, reconciled)]
    ])
    yield* write(`${head}\n${found.models.length === 0 ? "No charges.\n" : table(CHARGE, found.models)}`)
  }
  if (reconciled === false)
    return yield* broken(`The invoice does not agree with the ledger: see resultity ledger audit.`)
})

const COUNT = (text: string) => (/^\d{1,15}$/.test(text) ? null : "has to be a whole number")

export const ledgerCommands: ReadonlyArray<Command> = [
  {
    path: ["ledger", "audit"],
    args: [],
    flags: [],
    summary: "whether every balance is the sum of its entries",
    notes: "Reads every entry that was ever written. Exit code 1, and the namespaces by name, when it is not so.",
    examples: ["resultity ledger audit", "resultity ledger audit --json | jq .totals"],
    run: audit
  },
  {
    path: ["ledger", "show"],
    args: [{ name: "NAMESPACE", help: "its id" }],
    flags: [
      { name: "after", value: "ENTRY", help: "only those after this one; without running sums", check: COUNT },
      { name: "limit", value: "N", help: "so many; all", check: COUNT }
    ],
    summary: "the entries that made a balance, in order, with what was left after each",
    notes: "What made a job's state: resultity jobs show. With --json one line for each entry.",
    examples: ["resultity ledger show ns_01j0example", "resultity ledger show ns_01j0example --after 1200 --limit 50"],
    run: entries
  },
  {
    path: ["invoice"],
    args: [],
    flags: [
      { name: "namespace", value: "ID", help: "whose", needed: "an invoice is of one namespace" },
      { name: "from", value: "TIME", help: "whole hours of UTC; the first of the month", check: instantFault },
      { name: "to", value: "TIME", help: "without the end; the hour that runs", check: instantFault },
      { name: "csv", help: "for a spreadsheet: charges are negative, so the amounts add up to the closing balance" }
    ],
    summary: "what a namespace had, was granted, was charged by model, and has left",
    notes: `Always: opening + granted - charged = closing. It comes from the ledger's rollups, so it stays the same after the
records of its jobs have left. Exit code 1 when it does not agree with the ledger.`,
    examples: [
      "resultity invoice --namespace ns_01j0example --from 2026-11-01 --to 2026-12-01",
      "resultity invoice --namespace ns_01j0example --csv > invoice.csv"
    ],
    run: invoice
  }
]
