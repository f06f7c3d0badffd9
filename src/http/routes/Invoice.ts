/** What a namespace has to pay for, from the ledger's rollups: also of jobs whose records have left. */
import * as Effect from "effect/Effect"
import { Rollups } from "../../layers/Rollups.ts"
import { json, type KeyedCall } from "../Call.ts"
import { invoiceCsv, invoiceView, readSpan } from "../InvoiceView.ts"
import { readOneOf, readQuery } from "../Query.ts"
import { keyed } from "../Route.ts"

const invoice = keyed(
  Effect.fnUntraced(function* (call: KeyedCall) {
    const query = yield* readQuery(call.query, ["from", "to", "format"])
    const span = yield* readSpan(query)
    const format = yield* readOneOf("format", query.format, ["json", "csv"])
    const found = yield* (yield* Rollups).invoice(call.caller.namespace.id, span)
    return format === "csv" ? invoiceCsv(found) : json(invoiceView(found))
  })
)

export const invoiceRoutes = { retrieveInvoice: invoice }
