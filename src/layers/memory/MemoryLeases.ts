/**
 * Leases over `MemoryLive`: for tests and simulation, and the slots of one embedded daemon's nodes. Candidates are drawn with
 * the Random of whoever asks, so a seeded caller gets the same nodes again. `free` counts the nodes that could take a job at
 * once: active, healthy and unrestricted, with a slot; `serving` counts all that are present and serve the model.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { Leases, make } from "../Leases.ts"
import type { LiveState } from "./LiveState.ts"
import { MemoryLive } from "./MemoryLive.ts"

export const layer: Layer.Layer<Leases, never, MemoryLive> = Layer.effect(
  Leases,
  Effect.map(MemoryLive, (memory) => {
    const step = <A>(during: string, body: (state: LiveState) => A) => memory.step("Leases", during, body)
    return make({
      candidates: (query) =>
        Effect.flatMap(Random.Random, (random) =>
          step("candidates", (state) => state.candidates(query, () => random.nextDoubleUnsafe()))
        ),
      take: (lease, now) => step("take", (state) => state.take(lease, now)),
      renew: (lease, now) => step("renew", (state) => state.renew(lease, now)),
      release: (nodeId, token) => step("release", (state) => state.release(nodeId, token)),
      strangers: (query) => step("strangers", (state) => state.strangers(query)),
      releaseUnchanged: (nodeId, sessionId, seen) =>
        step("releaseUnchanged", (state) => state.releaseUnchanged(nodeId, sessionId, seen)),
      capacity: memory.subscribe
    })
  })
)
