/**
 * What each namespace was granted and what became of it. Entries are append-only and unique per job and kind; a
 * balance is the sum of its entries at all times. Reserving and settling happen inside `JobStore`'s transactions.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Balance, Credits, EntryKind } from "../schemas/Credits.ts"
import type { JobId, NamespaceId } from "../schemas/Ids.ts"
import type { Refusal } from "../schemas/Refusal.ts"
import type { Outage } from "./Outage.ts"
import { assertConserved } from "./JobStore.ts"

export interface CreditEntry {
  readonly seq: number
  readonly namespaceId: NamespaceId
  readonly kind: EntryKind
  readonly amount: Credits
  /** null for a grant. */
  readonly jobId: JobId | null
  /** A grant's own name; a second grant of that name changes nothing. */
  readonly reference: string | null
  readonly at: number
}

export interface Grant {
  readonly namespaceId: NamespaceId
  readonly amount: Credits
  readonly reference: string
  readonly at: number
}

export interface LedgerFinding {
  readonly namespaceId: NamespaceId
  readonly stored: Balance
  readonly summed: Balance
}

/** Of all namespaces together, so it may be more than one account can hold. */
export interface LedgerTotals {
  readonly namespaces: number
  readonly granted: bigint
  readonly available: bigint
  readonly reserved: bigint
  readonly spent: bigint
}

export interface Driver {
  /** Adds to what is available. Refused: `not_found` (no such namespace), `invalid_request` (sum above what an account holds). */
  readonly grant: (grant: Grant) => Effect.Effect<Balance, Refusal | Outage>
  readonly balance: (namespaceId: NamespaceId) => Effect.Effect<Balance, Outage>
  /** Entries in the order they were written, after `afterSeq`. */
  readonly entries: (
    namespaceId: NamespaceId,
    afterSeq: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<CreditEntry>, Outage>
  /** Namespaces whose stored balance is not the sum of their entries, or whose reservation is not that of their open jobs. Empty: all is well. */
  readonly audit: Effect.Effect<ReadonlyArray<LedgerFinding>, Outage>
  /** The sum of all stored balances. */
  readonly totals: Effect.Effect<LedgerTotals, Outage>
}

export class CreditLedger extends Context.Service<CreditLedger, Driver>()("resultity/layers/CreditLedger") {}

const check = (balance: Balance) => Effect.sync(() => assertConserved(balance))

export const make = (driver: Driver): CreditLedger["Service"] =>
  CreditLedger.of({
    grant: Effect.fn("CreditLedger.grant")(driver.grant, Effect.tap(check)),
    balance: Effect.fn("CreditLedger.balance")(driver.balance, Effect.tap(check)),
    entries: Effect.fn("CreditLedger.entries")(driver.entries),
    audit: driver.audit,
    totals: driver.totals
  })

/** For back ends that add balances up themselves. */
export const totalsOf = (balances: ReadonlyArray<Balance>): LedgerTotals => {
  const sum = (of: (balance: Balance) => bigint) => balances.reduce((total, balance) => total + of(balance), 0n)
  return {
    namespaces: balances.length,
    granted: sum(({ granted }) => granted),
    available: sum(({ available }) => available),
    reserved: sum(({ reserved }) => reserved),
    spent: sum(({ spent }) => spent)
  }
}
