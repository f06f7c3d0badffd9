/** Rows in a Map a table, for tests and for the simulation, whose deciding store in memory has no rows: what a `StateRows` promises, in plain words. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { compareKeys, keyOf, STATE, type StateRow, type StateTable } from "../../schemas/StateTable.ts"
import { type Driver, inView, make, notEmpty, ROWS_MAX, StateRows } from "../StateRows.ts"

export interface State {
  readonly tables: Map<string, ReadonlyArray<StateRow>>
  isOpen: boolean
}

export const makeState = (): State => ({ tables: new Map(), isOpen: false })

const pages = (rows: ReadonlyArray<StateRow>): ReadonlyArray<ReadonlyArray<StateRow>> =>
  Array.from({ length: Math.ceil(rows.length / ROWS_MAX) }, (_, page) =>
    rows.slice(page * ROWS_MAX, (page + 1) * ROWS_MAX)
  )

const sorted = (table: StateTable, rows: ReadonlyArray<StateRow>) =>
  rows.toSorted((one, other) => compareKeys(keyOf(table, one), keyOf(table, other)))

const driver = (state: State): Driver => ({
  tables: Effect.sync(() => STATE.map(({ name, columns }) => ({ name, columns: columns.map((one) => one.name) }))),
  view: (use) =>
    Effect.acquireUseRelease(
      Effect.suspend(() => {
        if (state.isOpen) return Effect.fail(inView)
        state.isOpen = true
        return Effect.succeed(new Map(state.tables))
      }),
      (instant) =>
        use({
          count: ({ name }) => Effect.succeed(instant.get(name)?.length ?? 0),
          rows: (table) => Stream.fromIterable(pages(sorted(table, instant.get(table.name) ?? [])))
        }),
      () => Effect.sync(() => void (state.isOpen = false))
    ),
  fill: (fillings) =>
    Effect.gen(function* () {
      const occupied = STATE.find(({ name }) => (state.tables.get(name)?.length ?? 0) > 0)
      if (occupied !== undefined) return yield* notEmpty(occupied.name)
      const filled = new Map<string, Array<StateRow>>()
      let written = 0
      yield* Stream.runForEach(fillings, ({ table, rows }) =>
        Effect.sync(() => {
          const known = filled.get(table.name) ?? []
          for (const row of rows) known.push(row)
          filled.set(table.name, known)
          written += rows.length
        })
      )
      for (const [name, rows] of filled) state.tables.set(name, rows)
      return written
    })
})

export const over = (state: State) => make(driver(state))
export const layer = Layer.sync(StateRows, () => over(makeState()))
