/**
 * What a namespace had, was granted, was charged and has left, over whole hours. Its numbers come from rollups alone, so they stay the same when the
 * records of the jobs have left. Always: opening + granted - charged = closing.
 */
import type { NamespaceId } from "../schemas/Ids.ts"
import { type CreditRollup, DAY_MS } from "../schemas/Rollup.ts"
import { movedIn, type Moved } from "./RollupFold.ts"

export interface ModelCharge {
  readonly model: string
  readonly jobs: number
  readonly promptTokens: number
  readonly outputTokens: number
  readonly cost: bigint
}

/** Money of a namespace that is still its own: `available` or `reserved`. */
export interface Held {
  readonly available: bigint
  readonly reserved: bigint
}

export interface Statement {
  readonly namespaceId: NamespaceId
  /** The last row before the span, and the first one after it; null: there is none in the store. */
  readonly before: CreditRollup | null
  readonly rows: ReadonlyArray<CreditRollup>
  readonly after: CreditRollup | null
  /** After the last entry that was booked. */
  readonly latest: Held
  /** Days from `before` to `after` whose rows are in cold storage, by age. */
  readonly away: ReadonlyArray<number>
  /** By name. */
  readonly models: ReadonlyArray<ModelCharge>
  /** Up to here nothing changes any more. */
  readonly closedUntil: number
}

export interface Invoice {
  readonly namespaceId: NamespaceId
  readonly from: number
  readonly to: number
  readonly opening: Held
  readonly closing: Held
  readonly granted: bigint
  /** Set aside for jobs, and given back when they cost less. */
  readonly reserved: bigint
  readonly refunded: bigint
  readonly charged: bigint
  readonly models: ReadonlyArray<ModelCharge>
  /** Entries of the ledger that it sums up; null: there was none. */
  readonly entries: { readonly firstSeq: number; readonly lastSeq: number } | null
  /** It may still change: its span was not closed yet. */
  readonly preliminary: boolean
}

export type Told =
  | { readonly _tag: "Invoice"; readonly invoice: Invoice }
  /** The rows of this day are needed, and in cold storage. */
  | { readonly _tag: "Away"; readonly day: number }

export interface Span {
  readonly from: number
  readonly to: number
}

export const invoiceOf = (statement: Statement, { from, to }: Span): Told => {
  const { namespaceId, rows, models, closedUntil } = statement
  const missing = statement.away.find((day) => day < to && day + DAY_MS > from)
  if (missing !== undefined) return { _tag: "Away", day: missing }
  const start = openingOf(statement, from)
  if ("day" in start) return start
  const moved = movedIn(rows)
  const last = rows.at(-1)
  return {
    _tag: "Invoice",
    invoice: {
      namespaceId,
      from,
      to,
      opening: start,
      closing: last === undefined ? start : heldAtEnd(last),
      granted: moved.granted,
      reserved: moved.reserved,
      refunded: moved.refunded,
      charged: moved.settled,
      models,
      entries: last === undefined ? null : { firstSeq: rows[0]?.firstSeq ?? last.firstSeq, lastSeq: last.lastSeq },
      preliminary: to > closedUntil
    }
  }
}

const heldAtEnd = ({ availableAtEnd, reservedAtEnd }: CreditRollup): Held => ({
  available: availableAtEnd,
  reserved: reservedAtEnd
})

/** Before what this row moved. */
const heldAtBeginning = (row: CreditRollup): Held => ({
  available: row.availableAtEnd - row.granted + row.reserved - row.refunded,
  reserved: row.reservedAtEnd - row.reserved + row.settled + row.refunded
})

type Away = Extract<Told, { readonly _tag: "Away" }>

/** From the nearest row on either side between which and the span no day is away. */
const openingOf = ({ before, rows, after, latest, away }: Statement, from: number): Held | Away => {
  const next = rows[0] ?? after
  const until = next?.period ?? Number.POSITIVE_INFINITY
  const ahead = away.find((day) => day + DAY_MS > from && day < until)
  if (ahead === undefined) return next === null ? latest : heldAtBeginning(next)
  const behind = away.some((day) => day < from && (before === null || day + DAY_MS > before.period))
  return before !== null && !behind ? heldAtEnd(before) : { _tag: "Away", day: ahead }
}

/** Whether every sum is what it has to be: of its models, and, with `entries`, of the ledger's own entries. */
export const isReconciled = ({ opening, closing, granted, charged, ...invoice }: Invoice, entries: Moved): boolean =>
  opening.available + opening.reserved + granted - charged === closing.available + closing.reserved &&
  invoice.models.reduce((sum, { cost }) => sum + cost, 0n) === charged &&
  entries.granted === granted &&
  entries.settled === charged &&
  entries.reserved === invoice.reserved &&
  entries.refunded === invoice.refunded
