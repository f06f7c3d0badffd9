/**
 * The whole deciding store as rows in their logical form (`STATE`): read at one instant while everything goes on, and written into a store that
 * holds nothing yet. Knows no job and no credit: what the tables mean is the other contracts' matter.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { refuse, type Refusal } from "../schemas/Refusal.ts"
import { compareKeys, keyOf, type StateRow, type StateTable } from "../schemas/StateTable.ts"
import type { Outage } from "./Outage.ts"

/** Everything that is asked of it is of one instant. */
export interface View {
  /** About how many rows there are; 0: not known. */
  readonly count: (table: StateTable) => Effect.Effect<number, Outage>
  /** In ascending order of their keys, up to `ROWS_MAX` at a time. */
  readonly rows: (table: StateTable) => Stream.Stream<ReadonlyArray<StateRow>, Outage>
}

/** Rows of one table; tables come one after the other, in the order of `STATE`. */
export interface Filling {
  readonly table: StateTable
  readonly rows: ReadonlyArray<StateRow>
}

export interface StoredTable {
  readonly name: string
  readonly columns: ReadonlyArray<string>
}

export interface Driver {
  /** All there are, by name. */
  readonly tables: Effect.Effect<ReadonlyArray<StoredTable>, Outage>
  /** Refused, `conflict`: another view of the same store is open, here or in another daemon. */
  readonly view: <A, E, R>(use: (view: View) => Effect.Effect<A, E, R>) => Effect.Effect<A, E | Refusal | Outage, R>
  /**
   * Afterwards all rows are there, durably; when it fails, or is interrupted, none is. Refused, `conflict`: a table holds rows already. For a store
   * that nobody else uses meanwhile. Answers how many rows were written.
   */
  readonly fill: <E, R>(rows: Stream.Stream<Filling, E, R>) => Effect.Effect<number, E | Refusal | Outage, R>
}

export class StateRows extends Context.Service<StateRows, Driver>()("resultity/layers/StateRows") {}

/** Of one batch, read or written. */
export const ROWS_MAX = 500

export const notEmpty = (table: string): Refusal =>
  refuse("conflict", `The store is not empty: the table ${table} holds rows. Restore into a new one.`)

export const inView = refuse(
  "conflict",
  "Another snapshot of this installation is being made, or old ones are let go. Wait for the end of that."
)

export const make = (driver: Driver): StateRows["Service"] =>
  StateRows.of({
    tables: driver.tables,
    view: (use) =>
      driver
        .view(({ count, rows }) => use({ count, rows: (table) => ascending(table, rows(table)) }))
        .pipe(Effect.withSpan("StateRows.view")),
    fill: (rows) => Effect.withSpan(driver.fill(rows), "StateRows.fill")
  })

/** Rows out of order would make trees that nobody can compare: a bug of the back end, and loud. */
const ascending = (table: StateTable, rows: Stream.Stream<ReadonlyArray<StateRow>, Outage>) =>
  Stream.suspend(() => {
    let last: StateRow | null = null
    return Stream.tap(rows, (batch) =>
      Effect.sync(() => {
        for (const row of batch) {
          const key = keyOf(table, row)
          if (row.length !== table.columns.length || (last !== null && compareKeys(last, key) >= 0)) {
            throw new Error(`a row of ${table.name} is out of order or has other columns`)
          }
          last = key
        }
      })
    )
  })
