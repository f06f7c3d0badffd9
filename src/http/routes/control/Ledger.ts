/** The proof of the ledger, and what each namespace has to pay for. */
import * as Effect from "effect/Effect"
import { CreditLedger } from "../../../layers/CreditLedger.ts"
import { type Invoice, isReconciled } from "../../../layers/Invoice.ts"
import { Rollups } from "../../../layers/Rollups.ts"
import type { Call } from "../../Call.ts"
import { invoiceCsv, readSpan } from "../../InvoiceView.ts"
import { plain } from "../../OperatorViews.ts"
import { readOneOf, readQuery } from "../../Query.ts"
import { open } from "../../Route.ts"
import { namespaceOf } from "./Namespaces.ts"

const auditLedger = open(
  Effect.fnUntraced(function* () {
    const ledger = yield* CreditLedger
    const findings = yield* ledger.audit
    const { namespaces, ...totals } = yield* ledger.totals
    return plain({ ok: findings.length === 0, namespaces, totals, findings })
  })
)

/** null: not everything of it is counted yet. */
const reconcile = Effect.fnUntraced(function* (invoice: Invoice) {
  if (invoice.preliminary) return null
  const { firstSeq, lastSeq } = invoice.entries ?? { firstSeq: 1, lastSeq: 0 }
  return isReconciled(invoice, yield* (yield* Rollups).recount(invoice.namespaceId, firstSeq, lastSeq))
})

const invoice = open(
  Effect.fnUntraced(function* (call: Call) {
    const { id } = yield* namespaceOf(call)
    const query = yield* readQuery(call.query, ["from", "to", "format"])
    const span = yield* readSpan(query)
    const format = yield* readOneOf("format", query.format, ["json", "csv"])
    const found = yield* (yield* Rollups).invoice(id, span)
    if (format === "csv") return invoiceCsv(found)
    return plain({ invoice: found, reconciled: yield* reconcile(found) })
  })
)

export const ledgerRoutes = { auditLedger, getInvoice: invoice }
