/** `GET /v1/models`: what the live fleet serves right now, aliases included. A model whose last node left is gone from here at once. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { Catalog } from "../../layers/Catalog.ts"
import { LiveNodes } from "../../layers/LiveNodes.ts"
import { Settings } from "../../layers/Settings.ts"
import type { Model } from "../../schemas/openai/Answers.ts"
import { refuse } from "../../schemas/Refusal.ts"
import { json, type KeyedCall } from "../Call.ts"
import { readQuery } from "../Query.ts"
import { keyed } from "../Route.ts"

const modelsOf = Effect.fnUntraced(function* ({ caller }: KeyedCall) {
  const { environment } = caller.namespace
  const live = yield* LiveNodes
  const catalog = yield* Catalog
  const { settings } = yield* (yield* Settings).current
  const serving = yield* live.models(environment, yield* Clock.currentTimeMillis)
  const known = new Map((yield* catalog.list(environment)).map((model) => [model.name, model.firstSeenAt]))
  const models = new Map<string, Model>()
  for (const { name, nodes, endpoints } of serving) {
    if (nodes === 0) continue
    const created = Math.floor((known.get(name) ?? 0) / 1000)
    models.set(name, { id: name, object: "model", created, owned_by: "resultity", endpoints })
  }
  for (const [alias, target] of Object.entries(settings.aliases)) {
    const model = models.get(target)
    if (model !== undefined && !models.has(alias)) models.set(alias, { ...model, id: alias })
  }
  return models
})

export const modelRoutes = {
  listModels: keyed(
    Effect.fnUntraced(function* (call: KeyedCall) {
      yield* readQuery(call.query, [])
      const models = yield* modelsOf(call)
      return json({ object: "list", data: [...models.values()] })
    })
  ),
  retrieveModel: keyed(
    Effect.fnUntraced(function* (call: KeyedCall) {
      const model = (yield* modelsOf(call)).get(call.params["id"] ?? "")
      if (model === undefined) {
        return yield* refuse("model_not_found", "No node serves this model now. GET /v1/models lists those that are.", {
          param: "model"
        })
      }
      return json(model)
    })
  )
}
