/** Where each sweeper stands, in memory. Only the newest epoch may save. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Driver, make, type SweeperState, SweeperStates } from "../SweeperStates.ts"
import { byText } from "./MemoryRecords.ts"
import { MemoryState, type State } from "./MemoryState.ts"

const unswept = (name: string): SweeperState => ({
  name,
  leader: null,
  epoch: 0,
  watermark: null,
  sweptAt: null,
  swept: 0,
  lastError: null
})

const driver = (state: State): Driver => ({
  lead: (name, daemonId) =>
    Effect.sync(() => {
      const known = state.sweepers.get(name) ?? unswept(name)
      const led = { ...known, leader: daemonId, epoch: known.epoch + 1 }
      state.sweepers.set(name, led)
      return led
    }),
  save: (name, epoch, { watermark, swept, error, at }) =>
    Effect.sync(() => {
      const known = state.sweepers.get(name)
      if (known?.epoch !== epoch) return false
      state.sweepers.set(name, { ...known, watermark, swept: known.swept + swept, sweptAt: at, lastError: error })
      return true
    }),
  list: Effect.sync(() => [...state.sweepers.values()].toSorted((a, b) => byText(a.name, b.name)))
})

export const layer: Layer.Layer<SweeperStates, never, MemoryState> = Layer.effect(
  SweeperStates,
  Effect.map(MemoryState, (state) => make(driver(state)))
)
