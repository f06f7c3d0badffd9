/**
 * Transport over a `MemoryBroker`: one daemon's connections to it. When its scope closes they die at once: what was delivered
 * and not acknowledged goes back to the front for others, and the daemon's inbox is gone.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { make as makeFront, Transport } from "../Transport.ts"
import { MemoryBroker } from "./MemoryBroker.ts"

/** A connection of its own; `name` is what tests choose its consumers by. */
export const make = (name?: string): Effect.Effect<Transport["Service"], never, MemoryBroker | Scope.Scope> =>
  Effect.map(
    Effect.flatMap(MemoryBroker, (broker) => broker.connect(name)),
    makeFront
  )

export const layer: Layer.Layer<Transport, never, MemoryBroker> = Layer.effect(
  Transport,
  Effect.suspend(() => make())
)
