/** LiveNodes over `MemoryLive`: for tests and simulation, and what one embedded daemon knows of its nodes. Gone with the process. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { LiveNodes, make } from "../LiveNodes.ts"
import type { LiveState } from "./LiveState.ts"
import { MemoryLive } from "./MemoryLive.ts"

export const layer: Layer.Layer<LiveNodes, never, MemoryLive> = Layer.effect(
  LiveNodes,
  Effect.map(MemoryLive, (memory) => {
    const step = <A>(during: string, body: (state: LiveState) => A) => memory.step("LiveNodes", during, body)
    return make({
      announce: (presence, expiresAt) => step("announce", (state) => state.announce(presence, expiresAt)),
      refresh: (nodeId, sessionId, change, expiresAt) =>
        step("refresh", (state) => state.refresh(nodeId, sessionId, change, expiresAt)),
      withdraw: (nodeId, sessionId) => step("withdraw", (state) => state.withdraw(nodeId, sessionId)),
      get: (nodeId, now) => step("get", (state) => state.get(nodeId, now)),
      list: (now) => step("list", (state) => state.list(now)),
      models: (environment, now) => step("models", (state) => state.modelsOf(environment, now))
    })
  })
)
