/** Versions of evaluation sets in a Map by id. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Driver, EvaluationSets, lineOf, make, SETS_MAX } from "../EvaluationSets.ts"
import { byText, MemoryRecords, type State } from "./MemoryRecords.ts"

const driver = ({ sets }: State): Driver => ({
  append: (set) =>
    Effect.sync(() => {
      const known = sets.get(set.id) ?? []
      if (set.version !== known.length + 1) return false
      sets.set(set.id, [...known, set])
      return true
    }),
  list: Effect.sync(() =>
    [...sets.values()]
      .flatMap((versions) => versions.slice(-1))
      .map(lineOf)
      .toSorted((a, b) => byText(a.id, b.id))
      .slice(0, SETS_MAX)
  ),
  get: (id, version) =>
    Effect.sync(() => {
      const versions = sets.get(id) ?? []
      return versions[(version ?? versions.length) - 1] ?? null
    }),
  history: (id, limit) => Effect.sync(() => (sets.get(id) ?? []).map(lineOf).toReversed().slice(0, limit))
})

export const layer = Layer.effect(
  EvaluationSets,
  Effect.map(MemoryRecords, (state) => make(driver(state)))
)
