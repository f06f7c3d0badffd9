/** The network's public keys in memory. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { make, NetworkKeys } from "../NetworkKeys.ts"
import { byText } from "./MemoryRecords.ts"
import { isAlive, MemoryState } from "./MemoryState.ts"

export const layer: Layer.Layer<NetworkKeys, never, MemoryState> = Layer.effect(
  NetworkKeys,
  Effect.map(MemoryState, (state) =>
    make({
      use: (daemonId, { id, publicKey }, at) =>
        Effect.sync(() => {
          if (!state.networkKeys.has(id)) state.networkKeys.set(id, { id, publicKey, since: at })
          state.networkKeyUses.set(daemonId, id)
        }),
      list: Effect.sync(() =>
        [...state.networkKeys.values()]
          .toSorted((a, b) => a.since - b.since || byText(a.id, b.id))
          .map((key) => ({
            ...key,
            daemons: [...state.networkKeyUses].filter(([daemonId, id]) => id === key.id && isAlive(state, daemonId))
              .length
          }))
      )
    })
  )
)
