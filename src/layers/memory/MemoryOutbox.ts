/** The outbox in memory. A row stays until its id is said to be sent, however often it was read. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Driver, make, Outbox } from "../Outbox.ts"
import { MemoryState, putMessage, type State } from "./MemoryState.ts"

const driver = (state: State): Driver => ({
  pending: (before, limit) =>
    Effect.sync(() =>
      [...state.outbox.values()]
        .filter(({ row, dueAt }) => row.createdAt < before && dueAt <= before)
        .toSorted((a, b) => a.dueAt - b.dueAt)
        .slice(0, limit)
        .map(({ row }) => row)
    ),
  sent: (ids) =>
    Effect.sync(() => {
      for (const id of ids) state.outbox.delete(id)
    }),
  add: (rows) =>
    Effect.sync(() => {
      for (const row of rows) putMessage(state, row, row.createdAt)
    }),
  depth: Effect.sync(() => state.outbox.size)
})

export const layer: Layer.Layer<Outbox, never, MemoryState> = Layer.effect(
  Outbox,
  Effect.map(MemoryState, (state) => make(driver(state)))
)
