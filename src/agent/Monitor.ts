/**
 * What the agent last saw of its runtime and machine. Looking may take seconds, so heartbeats and assignments use what
 * was seen last. A runtime that stops answering makes the node unhealthy; its models stay on the list, because they
 * come back with it.
 */
import * as Effect from "effect/Effect"
import type { Gpu, ServedModel } from "../schemas/NodeProfile.ts"
import type { Runtime } from "./Runtime.ts"

const LOOK_EVERY = "5 seconds"
/** A healthy runtime is asked for its models at every so-many-th look; one that came back, at once. */
const MODELS_EVERY = 6

export interface Sight {
  readonly healthy: boolean
  readonly runtimeName: string
  readonly models: ReadonlyArray<ServedModel>
  readonly gpus: ReadonlyArray<Gpu>
}

/**
 * Looks once, then every few seconds for as long as the scope is open. A machine that showed no card is not asked for
 * them again.
 */
export const make = Effect.fnUntraced(function* (runtime: Runtime, gpus: Effect.Effect<ReadonlyArray<Gpu>>) {
  let sight: Sight = { healthy: false, runtimeName: yield* runtime.name, models: [], gpus: yield* gpus }
  let looks = 0
  const look = Effect.gen(function* () {
    const cards = sight.gpus.length === 0 || looks === 0 ? sight.gpus : yield* gpus
    const askModels = !sight.healthy || looks % MODELS_EVERY === 0
    looks += 1
    if (!askModels) {
      sight = { ...sight, gpus: cards, healthy: yield* runtime.healthy }
      return
    }
    const models = yield* Effect.match(runtime.models, { onSuccess: (found) => found, onFailure: () => null })
    const runtimeName = yield* runtime.name
    sight = { healthy: models !== null, runtimeName, models: models ?? sight.models, gpus: cards }
  })
  yield* look
  yield* look.pipe(Effect.delay(LOOK_EVERY), Effect.forever, Effect.forkScoped)
  return { sight: (): Sight => sight }
})
