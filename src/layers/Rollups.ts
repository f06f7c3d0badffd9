/**
 * Aggregates of the deciding store, made from its entries and its jobs. Three definitions, each with its own watermark: credits and jobs by the number of
 * the last entry that they took of each namespace, accounts by the last hour that was closed. Every call takes what it takes and moves the watermark in one
 * transaction: whoever repeats it, or does it at the same time as another, counts nothing twice.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as DateTime from "effect/DateTime"
import type { NamespaceId } from "../schemas/Ids.ts"
import { HOUR_MS, hourOf, type RollupDefinition, type RollupRow } from "../schemas/Rollup.ts"
import { refuse, type Refusal } from "../schemas/Refusal.ts"
import { type Invoice, invoiceOf, type Span, type Statement } from "./Invoice.ts"
import type { Outage } from "./Outage.ts"
import type { Moved } from "./RollupFold.ts"

export type Booked = {
  /** Entries that were taken. */
  readonly taken: number
  /** Where to go on; null: every namespace was looked at. */
  readonly next: NamespaceId | null
}

/** What has a watermark in the entries. */
export type Booking = Exclude<RollupDefinition, "accounts">

/** Up to which instant no row of a definition changes any more. */
export type ClosedUntil = Readonly<Record<RollupDefinition, number>>

export interface Wanted extends Span {
  readonly definition: RollupDefinition
  readonly namespaceId: NamespaceId | null
  /** The last row of the page before. */
  readonly after: { readonly period: number; readonly key: string } | null
  readonly limit: number
}

export interface Driver {
  /**
   * Takes entries that the definition did not take yet, at most `max`, of the namespaces from `from` on, in the order they were written. Credits puts each into
   * a period (`periodOf`); jobs follows it: it takes what credits took, and a job is in the period of its settlement.
   */
  readonly book: (
    definition: Booking,
    from: NamespaceId | null,
    max: number,
    now: number
  ) => Effect.Effect<Booked, Outage>
  /**
   * Afterwards no row before the answer changes. Never goes back, and goes no further than is true: jobs as far as credits and not beyond an entry that it did not
   * take; accounts as far as jobs, by at most `hoursMax`, one row for each hour and environment. So it may answer with less than `until`.
   */
  readonly close: (definition: RollupDefinition, until: number, hoursMax: number) => Effect.Effect<number, Outage>
  readonly closedUntil: Effect.Effect<ClosedUntil, Outage>
  /** Entries that were not taken yet, counted to 10,000. */
  readonly waiting: Effect.Effect<Readonly<Record<Booking, number>>, Outage>
  /** Rows by period and key. Accounts have no namespace: with one there are none. */
  readonly page: (wanted: Wanted) => Effect.Effect<ReadonlyArray<RollupRow>, Outage>
  readonly statement: (namespaceId: NamespaceId, span: Span) => Effect.Effect<Statement, Outage>
  /** The sum of these entries of a namespace, from the ledger itself. */
  readonly recount: (namespaceId: NamespaceId, firstSeq: number, lastSeq: number) => Effect.Effect<Moved, Outage>
}

export const WAITING_MAX = 10_000

export class Rollups extends Context.Service<
  Rollups,
  Omit<Driver, "statement"> & {
    /** Refused: `conflict` when rows that it needs are in cold storage; `invalid_request` unless the span is of whole hours. */
    readonly invoice: (namespaceId: NamespaceId, span: Span) => Effect.Effect<Invoice, Refusal | Outage>
  }
>()("resultity/layers/Rollups") {}

export const dayName = (day: number): string => DateTime.formatIsoDateUtc(DateTime.makeUnsafe(day))

const isWhole = ({ from, to }: Span): boolean => from % HOUR_MS === 0 && to % HOUR_MS === 0 && from <= to

export const make = (driver: Driver): Rollups["Service"] =>
  Rollups.of({
    book: Effect.fn("Rollups.book")(driver.book),
    close: Effect.fn("Rollups.close")((definition, until, hoursMax) =>
      driver.close(definition, hourOf(until), hoursMax)
    ),
    closedUntil: driver.closedUntil,
    waiting: driver.waiting,
    page: Effect.fn("Rollups.page")(driver.page),
    invoice: Effect.fn("Rollups.invoice")(function* (namespaceId, span) {
      if (!isWhole(span)) return yield* refuse("invalid_request", "from and to must be whole hours of UTC, in order.")
      const told = invoiceOf(yield* driver.statement(namespaceId, span), span)
      if (told._tag === "Invoice") return told.invoice
      const name = dayName(told.day)
      return yield* refuse(
        "conflict",
        `The rollups of ${name} are in the archive: an operator brings them back with resultity rollups restore ${name}.`
      )
    }),
    recount: Effect.fn("Rollups.recount")(driver.recount)
  })
