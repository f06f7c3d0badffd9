/** Whether this daemon lives, whether it takes work and on what that hangs, and its figures. */
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import { Readiness } from "../../../layers/Readiness.ts"
import { json } from "../../Call.ts"
import { open } from "../../Route.ts"
import { healthz } from "../Status.ts"

const readyz = open(
  Effect.fnUntraced(function* () {
    const readiness = yield* Readiness
    const draining = yield* readiness.draining
    const dependencies = yield* readiness.probe
    const ready = !draining && dependencies.every(({ required, up }) => up || !required)
    return json({ ready, draining, dependencies }, ready ? 200 : 503)
  })
)

const metrics = open(() =>
  Effect.map(PrometheusMetrics.format(), (text) =>
    HttpServerResponse.text(text, { contentType: "text/plain; version=0.0.4; charset=utf-8" })
  )
)

export const healthRoutes = { healthz, readyz, metrics }
