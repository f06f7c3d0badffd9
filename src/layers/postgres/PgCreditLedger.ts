/**
 * Grants, balances and the proof of both. Entries move the balance by their own trigger, so no code here adds anything up; the audit does, over
 * every entry that was ever written, and compares in the same snapshot with the balances and the open jobs.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Balance, type Credits, type EntryKind, zero } from "../../schemas/Credits.ts"
import type { JobId, NamespaceId } from "../../schemas/Ids.ts"
import { type Refusal, refuse } from "../../schemas/Refusal.ts"
import { type CreditEntry, CreditLedger, type Grant, type LedgerFinding, make } from "../CreditLedger.ts"
import type { Outage } from "../Outage.ts"
import { PgClient } from "./PgClient.ts"
import { amount, limited, text, whole } from "./PgValues.ts"

const during = (method: string) => ({ of: "CreditLedger", method })

export const BALANCE = "SELECT granted, available, reserved, spent FROM credit_balance WHERE namespace_id = $1"

export const ENTRIES = `SELECT seq, kind, amount, namespace_id, job_id, reference, at
  FROM credit_entry WHERE namespace_id = $1 AND seq > $2 ORDER BY seq LIMIT $3`

/** As text: what is summed here may be what no column holds. */
const AUDIT = `WITH moved AS (
    SELECT namespace_id,
      sum(amount) FILTER (WHERE kind = 'grant') AS granted,
      sum(CASE kind WHEN 'grant' THEN amount WHEN 'refund' THEN amount WHEN 'reserve' THEN -amount ELSE 0 END) AS available,
      sum(CASE kind WHEN 'reserve' THEN amount WHEN 'grant' THEN 0 ELSE -amount END) AS reserved,
      sum(amount) FILTER (WHERE kind = 'settle') AS spent
    FROM credit_entry GROUP BY namespace_id
  ), open AS (
    SELECT namespace_id, sum(reserved) AS reserved FROM job WHERE finished_at IS NULL GROUP BY namespace_id
  ), compared AS (
    SELECT stored.namespace_id, stored.granted, stored.available, stored.reserved, stored.spent,
      coalesce(moved.granted, 0) AS sum_granted, coalesce(moved.available, 0) AS sum_available,
      coalesce(moved.reserved, 0) AS sum_reserved, coalesce(moved.spent, 0) AS sum_spent,
      coalesce(open.reserved, 0) AS promised
    FROM credit_balance AS stored
    LEFT JOIN moved ON moved.namespace_id = stored.namespace_id
    LEFT JOIN open ON open.namespace_id = stored.namespace_id
  )
  SELECT namespace_id, granted, available, reserved, spent, sum_granted::text, sum_available::text, sum_reserved::text,
    sum_spent::text
  FROM compared
  WHERE (granted, available, reserved, spent, promised)
    IS DISTINCT FROM (sum_granted, sum_available, sum_reserved, sum_spent, reserved)
  ORDER BY namespace_id`

interface StoredBalance {
  readonly granted: bigint
  readonly available: bigint
  readonly reserved: bigint
  readonly spent: bigint
}

interface StoredEntry {
  readonly seq: bigint
  readonly kind: EntryKind
  readonly amount: bigint
  readonly namespace_id: NamespaceId
  readonly job_id: JobId | null
  readonly reference: string | null
  readonly at: bigint
}

interface StoredFinding extends StoredBalance {
  readonly namespace_id: NamespaceId
  readonly sum_granted: string
  readonly sum_available: string
  readonly sum_reserved: string
  readonly sum_spent: string
}

const TOTALS = `SELECT count(*)::int AS namespaces, coalesce(sum(granted), 0)::text AS granted,
    coalesce(sum(available), 0)::text AS available, coalesce(sum(reserved), 0)::text AS reserved, coalesce(sum(spent), 0)::text AS spent
  FROM credit_balance`

interface StoredTotals {
  readonly namespaces: number
  readonly granted: string
  readonly available: string
  readonly reserved: string
  readonly spent: string
}

interface Told extends StoredBalance {
  readonly verdict: "granted" | "known" | "nobody" | "unfit"
}

export const layer: Layer.Layer<CreditLedger, never, PgClient> = Layer.effect(
  CreditLedger,
  Effect.gen(function* () {
    const client = yield* PgClient
    return make({
      grant: (asked) => grant(client, asked),
      balance: (namespaceId) =>
        Effect.map(client.query<StoredBalance>(during("balance"), BALANCE, [text(namespaceId)]), ([stored]) =>
          stored === undefined ? emptyBalance : balanceOf(stored)
        ),
      entries: (namespaceId, afterSeq, limit) =>
        Effect.map(
          client.query<StoredEntry>(during("entries"), ENTRIES, [text(namespaceId), whole(afterSeq), limited(limit)]),
          (rows) => rows.map(entryOf)
        ),
      audit: Effect.map(client.survey<StoredFinding>(during("audit"), AUDIT), (rows) => rows.map(findingOf)),
      totals: Effect.map(client.survey<StoredTotals>(during("totals"), TOTALS), ([stored]) => ({
        namespaces: stored?.namespaces ?? 0,
        granted: BigInt(stored?.granted ?? 0),
        available: BigInt(stored?.available ?? 0),
        reserved: BigInt(stored?.reserved ?? 0),
        spent: BigInt(stored?.spent ?? 0)
      }))
    })
  })
)

const grant = (client: PgClient["Service"], asked: Grant): Effect.Effect<Balance, Refusal | Outage> =>
  Effect.gen(function* () {
    const [told] = yield* client.query<Told>(during("grant"), "SELECT * FROM grant_credits($1, $2, $3, $4)", [
      text(asked.namespaceId),
      amount(asked.amount),
      text(asked.reference),
      whole(asked.at)
    ])
    if (told === undefined) return yield* Effect.die(new Error("a grant was told nothing"))
    switch (told.verdict) {
      case "nobody":
        return yield* refuse("not_found", "There is no such namespace.")
      case "unfit":
        return yield* refuse(
          "invalid_request",
          "A grant is an amount of credits whose sum with all others an account can hold."
        )
      default:
        return balanceOf(told)
    }
  })

const emptyBalance: Balance = { granted: zero, available: zero, reserved: zero, spent: zero }

/** Any exact amount, also one that no account holds. */
const asCredits = (amount: bigint): Credits => amount as Credits

const balanceOf = ({ granted, available, reserved, spent }: StoredBalance): Balance => ({
  granted: asCredits(granted),
  available: asCredits(available),
  reserved: asCredits(reserved),
  spent: asCredits(spent)
})

const entryOf = (stored: StoredEntry): CreditEntry => ({
  seq: Number(stored.seq),
  namespaceId: stored.namespace_id,
  kind: stored.kind,
  amount: asCredits(stored.amount),
  jobId: stored.job_id,
  reference: stored.reference,
  at: Number(stored.at)
})

const findingOf = (stored: StoredFinding): LedgerFinding => ({
  namespaceId: stored.namespace_id,
  stored: balanceOf(stored),
  summed: {
    granted: asCredits(BigInt(stored.sum_granted)),
    available: asCredits(BigInt(stored.sum_available)),
    reserved: asCredits(BigInt(stored.sum_reserved)),
    spent: asCredits(BigInt(stored.sum_spent))
  }
})
