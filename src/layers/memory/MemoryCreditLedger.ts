/** Grants and balances in memory. The audit adds up every entry of a namespace again and compares. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CREDITS_MAX, zero } from "../../schemas/Credits.ts"
import { refuse } from "../../schemas/Refusal.ts"
import { CreditLedger, type Driver, type LedgerFinding, make, totalsOf } from "../CreditLedger.ts"
import * as MemoryCredits from "./MemoryCredits.ts"
import { type Account, emptyBalance, MemoryState, type State } from "./MemoryState.ts"

const driver = (state: State): Driver => ({
  grant: (grant) =>
    Effect.suspend(() => {
      const account = state.accounts.get(grant.namespaceId)
      if (account === undefined) return Effect.fail(refuse("not_found", "There is no such namespace."))
      if (account.entries.some(({ reference }) => reference === grant.reference)) return Effect.succeed(account.balance)
      if (grant.amount < zero || account.balance.granted + grant.amount > CREDITS_MAX) {
        const message = "A grant is an amount of credits whose sum with all others an account can hold."
        return Effect.fail(refuse("invalid_request", message))
      }
      return Effect.succeed(MemoryCredits.grant(state, account, grant))
    }),
  balance: (namespaceId) => Effect.sync(() => state.accounts.get(namespaceId)?.balance ?? emptyBalance),
  entries: (namespaceId, afterSeq, limit) =>
    Effect.sync(() =>
      (state.accounts.get(namespaceId)?.entries ?? []).filter(({ seq }) => seq > afterSeq).slice(0, Math.max(limit, 0))
    ),
  audit: Effect.sync(() => [...state.accounts.values()].flatMap((account) => findingOf(state, account))),
  totals: Effect.sync(() => totalsOf([...state.accounts.values()].map(({ balance }) => balance)))
})

const findingOf = (state: State, { namespace, balance, entries, open }: Account): ReadonlyArray<LedgerFinding> => {
  const summed = entries.reduce((before, { kind, amount }) => MemoryCredits.after(before, kind, amount), emptyBalance)
  const promised = [...open].reduce((sum, jobId) => sum + (state.jobs.get(jobId)?.row.job.reserved ?? 0n), 0n)
  const agrees =
    summed.granted === balance.granted &&
    summed.available === balance.available &&
    summed.reserved === balance.reserved &&
    summed.spent === balance.spent &&
    promised === balance.reserved
  return agrees ? [] : [{ namespaceId: namespace.id, stored: balance, summed }]
}

export const layer: Layer.Layer<CreditLedger, never, MemoryState> = Layer.effect(
  CreditLedger,
  Effect.map(MemoryState, (state) => make(driver(state)))
)
