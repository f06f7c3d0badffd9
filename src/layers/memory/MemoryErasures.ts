/** Orders of erasure and stones in memory, by id. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Erasure } from "../../schemas/Erasure.ts"
import { begun, type Driver, Erasures, make } from "../Erasures.ts"
import { byText } from "./MemoryRecords.ts"
import { MemoryState, type State } from "./MemoryState.ts"

const byAge = (a: Erasure, b: Erasure): number => a.askedAt - b.askedAt || byText(a.id, b.id)

const inOrder = (state: State): ReadonlyArray<Erasure> => [...state.erasures.values()].toSorted(byAge)

const driver = (state: State): Driver => ({
  order: (order) =>
    Effect.sync(() => {
      const known = state.erasures.get(order.id) ?? begun(order)
      state.erasures.set(order.id, known)
      return known
    }),
  get: (id) => Effect.sync(() => state.erasures.get(id) ?? null),
  list: (limit) => Effect.sync(() => inOrder(state).toReversed().slice(0, Math.max(limit, 0))),
  open: (limit) =>
    Effect.sync(() =>
      inOrder(state)
        .filter(({ doneAt }) => doneAt === null)
        .slice(0, Math.max(limit, 0))
    ),
  advance: (id, { cursor, erased, refused, doneAt }) =>
    Effect.sync(() => {
      const known = state.erasures.get(id)
      if (known === undefined || known.doneAt !== null) return null
      const next = { ...known, cursor, erased: known.erased + erased, refused: known.refused + refused, doneAt }
      state.erasures.set(id, next)
      return next
    }),
  bury: (stone) =>
    Effect.sync(() => {
      const known = state.stones.get(stone.jobId) ?? stone
      state.stones.set(stone.jobId, known)
      return known
    }),
  stone: (jobId) => Effect.sync(() => state.stones.get(jobId) ?? null)
})

export const layer = Layer.effect(
  Erasures,
  Effect.map(MemoryState, (state) => make(driver(state)))
)
