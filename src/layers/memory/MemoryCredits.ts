/**
 * How credits move, inside a transaction of their caller. Every change writes its entries and the balance together, and a sum that is not
 * conserved throws before either is written.
 */
import { type Balance, type Credits, type EntryKind, zero } from "../../schemas/Credits.ts"
import type { JobId } from "../../schemas/Ids.ts"
import type { Job } from "../../schemas/Job.ts"
import type { Grant } from "../CreditLedger.ts"
import { assertConserved } from "../JobStore.ts"
import type { Account, State } from "./MemoryState.ts"

interface Move {
  readonly kind: EntryKind
  readonly amount: Credits
  readonly jobId: JobId | null
  readonly reference: string | null
}

const minus = (from: Credits, amount: bigint) => (from - amount) as Credits
const plus = (to: Credits, amount: bigint) => (to + amount) as Credits

/** The balance that one more entry makes of this one: the whole law of credits. */
export const after = (balance: Balance, kind: EntryKind, amount: Credits): Balance => {
  const { granted, available, reserved, spent } = balance
  switch (kind) {
    case "grant":
      return { ...balance, granted: plus(granted, amount), available: plus(available, amount) }
    case "reserve":
      return { ...balance, available: minus(available, amount), reserved: plus(reserved, amount) }
    case "settle":
      return { ...balance, reserved: minus(reserved, amount), spent: plus(spent, amount) }
    case "refund":
      return { ...balance, reserved: minus(reserved, amount), available: plus(available, amount) }
  }
}

const write = (state: State, account: Account, at: number, moves: ReadonlyArray<Move>): Balance => {
  const balance = moves.reduce((before, { kind, amount }) => after(before, kind, amount), account.balance)
  assertConserved(balance)
  if (Object.values(balance).some((amount) => amount < zero)) {
    throw new Error(`${account.namespace.id} would hold less than nothing`)
  }
  for (const move of moves) {
    account.entries.push({ ...move, seq: ++state.entriesSeen, namespaceId: account.namespace.id, at })
  }
  account.balance = balance
  return balance
}

export const grant = (state: State, account: Account, { amount, reference, at }: Grant): Balance =>
  write(state, account, at, [{ kind: "grant", amount, jobId: null, reference }])

export const reserve = (state: State, account: Account, { id, reserved, acceptedAt }: Job): Balance =>
  write(state, account, acceptedAt, [{ kind: "reserve", amount: reserved, jobId: id, reference: null }])

/** Closes the job's reservation: `charge` is spent, even when it is nothing, and what is left goes back. */
export const close = (state: State, account: Account, job: Job, charge: Credits, at: number): Balance => {
  const settled = { kind: "settle", amount: charge, jobId: job.id, reference: null } as const
  const rest = minus(job.reserved, charge)
  const refunded = { kind: "refund", amount: rest, jobId: job.id, reference: null } as const
  return write(state, account, at, rest > zero ? [settled, refunded] : [settled])
}
