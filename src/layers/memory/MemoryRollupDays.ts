/** Days of rollups that leave the state in memory and come back. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { DAY_MS, dayOf, type RollupRow } from "../../schemas/Rollup.ts"
import { DEFINITIONS } from "../RollupColumns.ts"
import { type AwayDay, type Driver, make, RollupDays } from "../RollupDays.ts"
import { MemoryState, type State } from "./MemoryState.ts"
import { put, slotOf, within } from "./MemoryRollups.ts"

const rowsOf = ({ rollups }: State, from: number, to: number): ReadonlyArray<RollupRow> =>
  DEFINITIONS.flatMap((definition): ReadonlyArray<RollupRow> => [...rollups[definition].values()]).filter((row) =>
    within({ from, to }, row)
  )

const drop = (state: State, away: AwayDay, max: number): number | null => {
  const { day } = away
  const rows = rowsOf(state, day, day + DAY_MS)
  if (!state.rollups.away.has(day)) {
    const isClosed = DEFINITIONS.every((definition) => state.rollups.closedUntil[definition] > day + DAY_MS)
    if (!isClosed || rows.length !== away.rows) return null
    state.rollups.away.set(day, away)
  }
  const gone = rows.slice(0, max)
  for (const row of gone) state.rollups[row.definition].delete(slotOf(row))
  return gone.length
}

const driver = (state: State): Driver => ({
  held: (from, to) =>
    Effect.sync(() =>
      [...Map.groupBy(rowsOf(state, from, to), ({ period }) => dayOf(period))]
        .map(([day, rows]) => ({ day, rows: rows.length }))
        .toSorted((a, b) => a.day - b.day)
    ),
  away: (from, to) =>
    Effect.sync(() =>
      [...state.rollups.away.values()].filter(({ day }) => day >= from && day < to).toSorted((a, b) => a.day - b.day)
    ),
  drop: (day, max) => Effect.sync(() => drop(state, day, max)),
  put: (day, rows) =>
    Effect.sync(() => {
      if (!state.rollups.away.has(day)) return false
      for (const row of rows) if (!state.rollups[row.definition].has(slotOf(row))) put(state, row)
      return true
    }),
  settle: (day) =>
    Effect.sync(() => {
      const away = state.rollups.away.get(day)
      if (away === undefined || rowsOf(state, day, day + DAY_MS).length !== away.rows) return false
      return state.rollups.away.delete(day)
    })
})

export const layer: Layer.Layer<RollupDays, never, MemoryState> = Layer.effect(
  RollupDays,
  Effect.map(MemoryState, (state) => make(driver(state)))
)
