/** An invoice over HTTP: its span out of a query, and its lines for customers, in JSON and as CSV, where opening, granted and charges add up to closing. */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import type { Held, Invoice, Span } from "../layers/Invoice.ts"
import { toDecimal } from "../schemas/Credits.ts"
import { HOUR_MS, hourOf } from "../schemas/Rollup.ts"
import type { Refusal } from "../schemas/Refusal.ts"
import type { InvoiceView } from "../schemas/openai/JobView.ts"
import { harmlessCell } from "./CsvCells.ts"
import { csvResponse } from "./CsvText.ts"
import { type Params, readInstant, readRange } from "./Query.ts"

/** Without an end, to the end of the hour that runs; without a beginning, from the first of that month on. */
export const readSpan = (query: Params<"from" | "to">): Effect.Effect<Span, Refusal> =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const to = (yield* readInstant("to", query.to)) ?? hourOf(now) + HOUR_MS
    return yield* readRange({ ...query, to: String(to) }, now, to - monthOf(Math.max(0, to - 1)))
  })

const monthOf = (at: number): number =>
  DateTime.makeUnsafe(`${DateTime.formatIsoDateUtc(DateTime.makeUnsafe(at)).slice(0, 7)}-01`).epochMilliseconds

const balanceOf = ({ available, reserved }: Held): string => toDecimal(available + reserved)

const chargesOf = ({ models }: Invoice) =>
  models.map(({ model, jobs, promptTokens, outputTokens, cost }) => ({
    model,
    jobs,
    prompt_tokens: promptTokens,
    output_tokens: outputTokens,
    cost: toDecimal(cost)
  }))

export const invoiceView = (invoice: Invoice): InvoiceView => ({
  object: "invoice",
  unit: "credits",
  namespace: invoice.namespaceId,
  from: invoice.from,
  to: invoice.to,
  preliminary: invoice.preliminary,
  opening_balance: balanceOf(invoice.opening),
  granted: toDecimal(invoice.granted),
  charged: toDecimal(invoice.charged),
  closing_balance: balanceOf(invoice.closing),
  reserved: toDecimal(invoice.reserved),
  refunded: toDecimal(invoice.refunded),
  open_reservations: toDecimal(invoice.closing.reserved),
  charges: chargesOf(invoice)
})

const COLUMNS = ["line", "model", "jobs", "prompt_tokens", "output_tokens", "amount", "set_aside"]

/** Charges are negative: the amounts above the closing balance add up to it. */
export const invoiceCsv = (invoice: Invoice): HttpServerResponse => {
  const view = invoiceView(invoice)
  const line = (name: string, amount: string, aside = "") => [name, "", "", "", "", amount, aside]
  const charges = invoice.models.map(({ model, jobs, promptTokens, outputTokens, cost }) => [
    "charge",
    harmlessCell(model),
    String(jobs),
    String(promptTokens),
    String(outputTokens),
    toDecimal(-cost),
    ""
  ])
  return csvResponse(`invoice-${invoice.namespaceId}.csv`, COLUMNS, [
    line("opening", view.opening_balance, toDecimal(invoice.opening.reserved)),
    line("granted", view.granted),
    ...charges,
    line("reserved", "", view.reserved),
    line("refunded", "", toDecimal(-invoice.refunded)),
    line("closing", view.closing_balance, view.open_reservations)
  ])
}
