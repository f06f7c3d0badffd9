/** The models ever served, in memory. Learning only adds: endpoints grow, the first date stays. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Environment } from "../../schemas/Job.ts"
import { Catalog, type Driver, type KnownModel, make } from "../Catalog.ts"
import { byText } from "./MemoryRecords.ts"
import { MemoryState, type State } from "./MemoryState.ts"

const keyOf = (environment: Environment, name: string) => `${environment} ${name}`

const driver = (state: State): Driver => ({
  learn: (models) =>
    Effect.sync(() => {
      for (const model of models) {
        const key = keyOf(model.environment, model.name)
        state.models.set(key, together(state.models.get(key) ?? model, model))
      }
    }),
  get: (environment, name) => Effect.sync(() => state.models.get(keyOf(environment, name)) ?? null),
  list: (environment) =>
    Effect.sync(() =>
      [...state.models.values()]
        .filter((model) => model.environment === environment)
        .toSorted((a, b) => byText(a.name, b.name))
    )
})

const together = (known: KnownModel, model: KnownModel): KnownModel => ({
  ...known,
  endpoints: [...new Set([...known.endpoints, ...model.endpoints])]
})

export const layer: Layer.Layer<Catalog, never, MemoryState> = Layer.effect(
  Catalog,
  Effect.map(MemoryState, (state) => make(driver(state)))
)
