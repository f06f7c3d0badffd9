/**
 * Balances and entries inside a transaction of their caller. Every change writes its entry and the balance together; sums are done on bigints
 * here, because SQLite turns an integer that overflows into an inexact one.
 */
import { type Balance, type Credits, type EntryKind, zero } from "../../schemas/Credits.ts"
import type { JobId, NamespaceId } from "../../schemas/Ids.ts"
import { assertConserved } from "../JobStore.ts"
import type { Sql } from "./Statements.ts"

export interface Account {
  readonly balance: Balance
  readonly openJobs: number
}

interface Stored {
  readonly granted: string
  readonly available: string
  readonly reserved: string
  readonly spent: string
  readonly open_jobs: number
}

/** Any exact amount, also one that no account holds. */
export const asCredits = (amount: bigint): Credits => amount as Credits

export const emptyBalance: Balance = { granted: zero, available: zero, reserved: zero, spent: zero }

const SELECT = `SELECT namespace_id, CAST(granted AS TEXT) AS granted, CAST(available AS TEXT) AS available,
  CAST(reserved AS TEXT) AS reserved, CAST(spent AS TEXT) AS spent, open_jobs FROM credit_balance`

const accountOf = (stored: unknown): Account => {
  const row = stored as Stored
  return {
    balance: {
      granted: asCredits(BigInt(row.granted)),
      available: asCredits(BigInt(row.available)),
      reserved: asCredits(BigInt(row.reserved)),
      spent: asCredits(BigInt(row.spent))
    },
    openJobs: row.open_jobs
  }
}

/** null when there is no such namespace. */
export const findAccount = (sql: Sql, namespaceId: NamespaceId): Account | null => {
  const stored = sql(`${SELECT} WHERE namespace_id = ?`).get(namespaceId)
  return stored === undefined ? null : accountOf(stored)
}

export const allAccounts = (sql: Sql): ReadonlyMap<NamespaceId, Account> =>
  new Map(
    sql(SELECT)
      .all()
      .map((stored) => [stored["namespace_id"] as NamespaceId, accountOf(stored)])
  )

export const insertAccount = (sql: Sql, namespaceId: NamespaceId): void => {
  sql(
    "INSERT INTO credit_balance (namespace_id, granted, available, reserved, spent, open_jobs) VALUES (?, 0, 0, 0, 0, 0)"
  ).run(namespaceId)
}

const saveAccount = (sql: Sql, namespaceId: NamespaceId, { balance, openJobs }: Account): void => {
  assertConserved(balance)
  sql(
    "UPDATE credit_balance SET granted = ?, available = ?, reserved = ?, spent = ?, open_jobs = ? WHERE namespace_id = ?"
  ).run(balance.granted, balance.available, balance.reserved, balance.spent, openJobs, namespaceId)
}

interface Entry {
  readonly namespaceId: NamespaceId
  readonly kind: EntryKind
  readonly amount: bigint
  readonly jobId: JobId | null
  readonly reference: string | null
  readonly at: number
}

const insertEntry = (sql: Sql, entry: Entry): void => {
  sql("INSERT INTO credit_entry (namespace_id, kind, amount, job_id, reference, at) VALUES (?, ?, ?, ?, ?, ?)").run(
    entry.namespaceId,
    entry.kind,
    entry.amount,
    entry.jobId,
    entry.reference,
    entry.at
  )
}

/** From outside to available. The caller has seen that the sum fits. */
export const grantCredits = (
  sql: Sql,
  account: Account,
  grant: {
    readonly namespaceId: NamespaceId
    readonly amount: Credits
    readonly reference: string
    readonly at: number
  }
): Balance => {
  const { granted, available, reserved, spent } = account.balance
  const balance: Balance = {
    granted: asCredits(granted + grant.amount),
    available: asCredits(available + grant.amount),
    reserved,
    spent
  }
  insertEntry(sql, { ...grant, kind: "grant", jobId: null })
  saveAccount(sql, grant.namespaceId, { ...account, balance })
  return balance
}

interface JobMoney {
  readonly namespaceId: NamespaceId
  readonly jobId: JobId
  readonly reserved: Credits
  readonly at: number
}

/** A job opens: from available to reserved. The caller has seen that there is enough. */
export const reserveCredits = (sql: Sql, account: Account, job: JobMoney): void => {
  const { granted, available, reserved, spent } = account.balance
  insertEntry(sql, { ...job, kind: "reserve", amount: job.reserved, reference: null })
  saveAccount(sql, job.namespaceId, {
    openJobs: account.openJobs + 1,
    balance: {
      granted,
      available: asCredits(available - job.reserved),
      reserved: asCredits(reserved + job.reserved),
      spent
    }
  })
}

/** A job ends: `charge` from reserved to spent, the rest back to available. The settle entry closes the reservation, even with nothing. */
export const closeReservation = (sql: Sql, job: JobMoney, charge: Credits): void => {
  const account = findAccount(sql, job.namespaceId)
  if (account === null) throw new Error(`the namespace ${job.namespaceId} of ${job.jobId} has no balance`)
  const { granted, available, reserved, spent } = account.balance
  const rest = job.reserved - charge
  insertEntry(sql, { ...job, kind: "settle", amount: charge, reference: null })
  if (rest > 0n) insertEntry(sql, { ...job, kind: "refund", amount: rest, reference: null })
  saveAccount(sql, job.namespaceId, {
    openJobs: account.openJobs - 1,
    balance: {
      granted,
      available: asCredits(available + rest),
      reserved: asCredits(reserved - job.reserved),
      spent: asCredits(spent + charge)
    }
  })
}
