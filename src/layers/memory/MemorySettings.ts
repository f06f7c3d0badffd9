/** Versions of the runtime's rules in memory: a list that only grows, by the version that comes next. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Outage } from "../Outage.ts"
import { type Driver, make, Settings } from "../Settings.ts"
import { MemoryState, type State } from "./MemoryState.ts"

const driver = (state: State): Driver => ({
  append: (version) =>
    Effect.sync(() => {
      if (version.version !== state.versions.length + 1) return false
      state.versions.push(version)
      return true
    }),
  latest: Effect.sync(() => state.versions.at(-1) ?? null),
  history: (limit) => Effect.sync(() => state.versions.toReversed().slice(0, Math.max(limit, 0)))
})

export const layer: Layer.Layer<Settings, Outage, MemoryState> = Layer.effect(
  Settings,
  Effect.flatMap(MemoryState, (state) => make(driver(state)))
)
