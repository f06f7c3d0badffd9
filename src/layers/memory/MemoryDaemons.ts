/** Who lives, in memory. With `soleOwner` a daemon that joins is the only one alive, as in a data folder; without, they are a cluster. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type DaemonRow, Daemons, type Driver, make } from "../Daemons.ts"
import { MemoryState, type State } from "./MemoryState.ts"

const driver = (state: State): Driver => ({
  join: (id, at) =>
    Effect.sync(() => {
      if (state.soleOwner)
        declareDead(
          state,
          living(state).filter((row) => row.id !== id)
        )
      // An incarnation that was declared dead, or that left, does not come back under its id.
      if (!state.daemons.has(id)) state.daemons.set(id, { id, startedAt: at, beatAt: at, state: "live" })
    }),
  beat: (id, at) =>
    Effect.sync(() => {
      const row = state.daemons.get(id)
      if (row?.state !== "live") return false
      state.daemons.set(id, { ...row, beatAt: Math.max(row.beatAt, at) })
      return true
    }),
  leave: (id, at) =>
    Effect.sync(() => {
      const row = state.daemons.get(id)
      if (row?.state === "live") state.daemons.set(id, { ...row, beatAt: at, state: "left" })
    }),
  bury: (before, judge) =>
    Effect.sync(() =>
      declareDead(
        state,
        living(state).filter(({ id, beatAt }) => beatAt < before && id !== judge)
      )
    ),
  time: Clock.currentTimeMillis,
  list: Effect.sync(() => [...state.daemons.values()])
})

const living = (state: State) => [...state.daemons.values()].filter((row) => row.state === "live")

const declareDead = (state: State, rows: ReadonlyArray<DaemonRow>) =>
  rows.map((row) => {
    state.daemons.set(row.id, { ...row, state: "dead" })
    return row.id
  })

export const layer: Layer.Layer<Daemons, never, MemoryState> = Layer.effect(
  Daemons,
  Effect.map(MemoryState, (state) => make(driver(state)))
)
