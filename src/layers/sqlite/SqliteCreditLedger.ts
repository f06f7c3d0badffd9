/**
 * Grants, balances and the proof of both. The audit adds up every entry that was ever written, in pages between which others go on; only the
 * last page is compared, in the same instant, with the balances and the open jobs.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { type Balance, CREDITS_MAX, type EntryKind } from "../../schemas/Credits.ts"
import type { JobId, NamespaceId } from "../../schemas/Ids.ts"
import { type Refusal, refuse } from "../../schemas/Refusal.ts"
import { type CreditEntry, CreditLedger, type Grant, type LedgerFinding, make, totalsOf } from "../CreditLedger.ts"
import type { Outage } from "../Outage.ts"
import { type Account, allAccounts, asCredits, emptyBalance, findAccount, grantCredits } from "./CreditRows.ts"
import { SqliteClient } from "./SqliteClient.ts"
import type { Sql } from "./Statements.ts"

const during = (method: string) => ({ of: "CreditLedger", method })

export const layer: Layer.Layer<CreditLedger, never, SqliteClient> = Layer.effect(
  CreditLedger,
  Effect.gen(function* () {
    const { read, write } = yield* SqliteClient
    return make({
      grant: (asked) => write(during("grant"), (sql) => grant(sql, asked)),
      balance: (namespaceId) =>
        read(during("balance"), (sql) => findAccount(sql, namespaceId)?.balance ?? emptyBalance),
      entries: (namespaceId, afterSeq, limit) =>
        read(during("entries"), (sql) => sql(ENTRIES).all(namespaceId, afterSeq, limit).map(entryOf)),
      audit: audit(read),
      totals: read(during("totals"), (sql) => totalsOf([...allAccounts(sql).values()].map(({ balance }) => balance)))
    })
  })
)

const grant = (sql: Sql, asked: Grant): Result.Result<Balance, Refusal> => {
  const account = findAccount(sql, asked.namespaceId)
  if (account === null) return Result.fail(refuse("not_found", "There is no such namespace."))
  const known = sql("SELECT 1 FROM credit_entry WHERE namespace_id = ? AND reference = ?").get(
    asked.namespaceId,
    asked.reference
  )
  if (known !== undefined) return Result.succeed(account.balance)
  if (asked.amount < 0n || account.balance.granted + asked.amount > CREDITS_MAX) {
    return Result.fail(
      refuse("invalid_request", "A grant is an amount of credits whose sum with all others an account can hold.")
    )
  }
  return Result.succeed(grantCredits(sql, account, asked))
}

const ENTRIES = `SELECT seq, kind, CAST(amount AS TEXT) AS amount, namespace_id, job_id, reference, at
  FROM credit_entry WHERE namespace_id = ? AND seq > ? ORDER BY seq LIMIT max(?, 0)`

const entryOf = (stored: Record<string, unknown>): CreditEntry => ({
  seq: stored["seq"] as number,
  namespaceId: stored["namespace_id"] as NamespaceId,
  kind: stored["kind"] as EntryKind,
  amount: asCredits(BigInt(stored["amount"] as string)),
  jobId: stored["job_id"] as JobId | null,
  reference: stored["reference"] as string | null,
  at: stored["at"] as number
})

/** Entries added up at a time. */
const PAGE = 20_000

/** Sums of halves: the sum of a long life overflows 64 bits, although no balance does. */
const SUMS = `SELECT namespace_id, kind, CAST(sum(amount >> 32) AS TEXT) AS high, CAST(sum(amount & 4294967295) AS TEXT) AS low,
    max(seq) AS last, count(*) AS entries
  FROM (SELECT * FROM credit_entry WHERE seq > ? ORDER BY seq LIMIT ${PAGE}) GROUP BY namespace_id, kind`

const OPEN = `SELECT namespace_id, CAST(sum(reserved >> 32) AS TEXT) AS high, CAST(sum(reserved & 4294967295) AS TEXT) AS low
  FROM job INDEXED BY job_due WHERE finished_at IS NULL GROUP BY namespace_id`

const whole = (stored: Record<string, unknown>): bigint =>
  (BigInt(stored["high"] as string) << 32n) + BigInt(stored["low"] as string)

type Sums = Map<NamespaceId, Record<EntryKind, bigint>>

const audit = (read: SqliteClient["Service"]["read"]): Effect.Effect<ReadonlyArray<LedgerFinding>, Outage> =>
  Effect.gen(function* () {
    const sums: Sums = new Map()
    let after = 0
    while (true) {
      const findings = yield* read(during("audit"), (sql) => {
        const rows = sql(SUMS).all(after)
        after = rows.reduce((last, row) => Math.max(last, Number(row["last"])), after)
        for (const row of rows) addTo(sums, row)
        const entries = rows.reduce((total, row) => total + Number(row["entries"]), 0)
        return entries < PAGE ? compare(sql, sums) : null
      })
      if (findings !== null) return findings
      yield* Effect.yieldNow
    }
  })

const addTo = (sums: Sums, stored: Record<string, unknown>): void => {
  const namespaceId = stored["namespace_id"] as NamespaceId
  const sum = sums.get(namespaceId) ?? { grant: 0n, reserve: 0n, settle: 0n, refund: 0n }
  sum[stored["kind"] as EntryKind] += whole(stored)
  sums.set(namespaceId, sum)
}

const compare = (sql: Sql, sums: Sums): ReadonlyArray<LedgerFinding> => {
  const accounts: ReadonlyMap<NamespaceId, Account> = allAccounts(sql)
  const open = new Map(
    sql(OPEN)
      .all()
      .map((row) => [row["namespace_id"] as NamespaceId, whole(row)])
  )
  return [...accounts].flatMap(([namespaceId, { balance }]) => {
    const summed = balanceOf(sums.get(namespaceId))
    const agrees =
      summed.granted === balance.granted &&
      summed.available === balance.available &&
      summed.reserved === balance.reserved &&
      summed.spent === balance.spent &&
      (open.get(namespaceId) ?? 0n) === balance.reserved
    return agrees ? [] : [{ namespaceId, stored: balance, summed }]
  })
}

const balanceOf = (sum: Record<EntryKind, bigint> | undefined): Balance => {
  if (sum === undefined) return emptyBalance
  const reserved = sum.reserve - sum.settle - sum.refund
  return {
    granted: asCredits(sum.grant),
    available: asCredits(sum.grant - reserved - sum.settle),
    reserved: asCredits(reserved),
    spent: asCredits(sum.settle)
  }
}
