/** What anybody may know: that the daemon runs, and sums over the fleet. Remembered for a second, because nobody has to show a key for it. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { DaemonConfig } from "../../layers/DaemonConfig.ts"
import { LiveNodes } from "../../layers/LiveNodes.ts"
import { Readiness } from "../../layers/Readiness.ts"
import type { StatusView } from "../../schemas/openai/JobView.ts"
import { refuse } from "../../schemas/Refusal.ts"
import { json } from "../Call.ts"
import { open } from "../Route.ts"

const view = Effect.gen(function* () {
  const { environment } = yield* DaemonConfig
  const live = yield* LiveNodes
  const now = yield* Clock.currentTimeMillis
  const nodes = yield* live.list(now)
  const models = yield* live.models(environment, now)
  const draining = yield* (yield* Readiness).draining
  const status: StatusView = {
    status: draining ? "draining" : "ok",
    environment,
    nodes: nodes.length,
    slots: nodes.reduce((sum, node) => sum + node.slots, 0),
    slots_leased: nodes.reduce((sum, node) => sum + node.leased, 0),
    models: models.map(({ name, endpoints, nodes, slots, leased }) => ({
      id: name,
      endpoints,
      nodes,
      slots,
      slots_leased: leased
    }))
  }
  return status
})

export const healthz = open(() => Effect.succeed(json({ status: "ok" })))

/** Made once for each listener, so that its memory is its own. */
export const makeStatusRoutes = Effect.map(Effect.cachedWithTTL(view, "1 second"), (cached) => ({
  healthz,
  status: open(() => Effect.map(cached, (status) => json(status))),
  connectNode: open(() =>
    Effect.fail(refuse("upgrade_required", "Nodes connect here by WebSocket. Start one with `resultity node`."))
  )
}))
