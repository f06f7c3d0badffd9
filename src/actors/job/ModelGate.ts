/** Whether a model may be asked for now: known, served by somebody who is here, and for this kind of request. Busy is no reason to refuse. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Catalog } from "../../layers/Catalog.ts"
import { LiveNodes, type LiveModel } from "../../layers/LiveNodes.ts"
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
      const served = yield* remembering(live)
      return ModelGate.of({
        check: Effect.fnUntraced(function* (environment, model, endpoint) {
          const found = yield* served(environment, model)
          if (found !== undefined) {
            if (found.endpoints.includes(endpoint)) return
            const why = `The model ${model} does not serve ${endpoint}; it serves ${found.endpoints.join(", ")}.`
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

/** How long what was served last still counts while nobody can say what is served now. */
const REMEMBERED_MS = 60_000
/** A store that comes back empty learns of the nodes with their next heartbeats. */
const REFILL_MS = 15_000

/**
 * What is served. While the store of live facts is out, and until nodes had time to announce themselves to one that came back, what was seen last
 * counts: the job is accepted, and only its dispatch waits.
 */
const remembering = (live: LiveNodes["Service"]) =>
  Effect.sync(() => {
    const seen = new Map<Environment, { readonly models: ReadonlyArray<LiveModel>; readonly at: number }>()
    let outAt = Number.NEGATIVE_INFINITY
    const find = (models: ReadonlyArray<LiveModel>, model: string) =>
      models.find(({ name, nodes }) => name === model && nodes > 0)
    return Effect.fnUntraced(function* (environment: Environment, model: string) {
      const now = yield* Clock.currentTimeMillis
      const last = seen.get(environment)
      const fallback = last !== undefined && Math.abs(now - last.at) <= REMEMBERED_MS ? last.models : null
      const models = yield* live.models(environment, now).pipe(
        Effect.catchTag("Outage", (outage) => {
          outAt = now
          return fallback === null ? Effect.fail(outage) : Effect.succeed(fallback)
        })
      )
      const found = find(models, model)
      if (found !== undefined && models !== fallback) seen.set(environment, { models, at: now })
      if (found !== undefined || fallback === null || Math.abs(now - outAt) > REFILL_MS) return found
      return find(fallback, model)
    })
  })
