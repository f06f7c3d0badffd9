/** Whether a model may be asked for now: known, served by somebody who is here, and for this kind of request. Busy is no reason to refuse. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Catalog } from "../../layers/Catalog.ts"
import { LiveNodes } from "../../layers/LiveNodes.ts"
import type { Outage } from "../../layers/Outage.ts"
import type { Endpoint, Environment } from "../../schemas/Job.ts"
import { refuse, type Refusal } from "../../schemas/Refusal.ts"

const RETRY_AFTER_MS = 5000

export class ModelGate extends Context.Service<
  ModelGate,
  {
    /** Refused: `model_not_found`, `model_unavailable`, `invalid_request` (the model does not do this). */
    readonly check: (
      environment: Environment,
      model: string,
      endpoint: Endpoint
    ) => Effect.Effect<void, Refusal | Outage>
  }
>()("resultity/actors/job/ModelGate") {
  static readonly layer = Layer.effect(
    ModelGate,
    Effect.gen(function* () {
      const live = yield* LiveNodes
      const catalog = yield* Catalog
      return ModelGate.of({
        check: Effect.fnUntraced(function* (environment, model, endpoint) {
          const models = yield* live.models(environment, yield* Clock.currentTimeMillis)
          const served = models.find(({ name, nodes }) => name === model && nodes > 0)
          if (served !== undefined) {
            if (served.endpoints.includes(endpoint)) return
            const why = `The model ${model} does not serve ${endpoint}; it serves ${served.endpoints.join(", ")}.`
            return yield* refuse("invalid_request", why, { param: "model" })
          }
          const known = yield* catalog.get(environment, model)
          if (known === null) {
            const why = `The model ${model} does not exist. GET /v1/models lists what is served.`
            return yield* refuse("model_not_found", why, { param: "model" })
          }
          const why = `No node serves ${model} right now. Try again in a few seconds.`
          return yield* refuse("model_unavailable", why, { param: "model", retryAfterMs: RETRY_AFTER_MS })
        })
      })
    })
  )
}
