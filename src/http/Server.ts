/**
 * The two listeners. The public one serves customers and nodes; the control one serves operators, on loopback unless it has a key. Both
 * end when their layer does: first no new connections, then the conversations that are still open.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HttpApi from "effect/http-api/HttpApi"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import { DaemonConfig } from "../layers/DaemonConfig.ts"
import { refuse } from "../schemas/Refusal.ts"
import { ControlApi, type ControlName, PublicApi, type PublicName } from "./Api.ts"
import * as App from "./App.ts"
import type { Call } from "./Call.ts"
import { controlRefusal, isLoopback } from "./Auth.ts"
import { makeDocumentRoutes } from "./Documents.ts"
import { endRaw, listen, type Listening } from "./Listener.ts"
import * as NodeUpgrade from "./NodeUpgrade.ts"
import * as PeerAddress from "./PeerAddress.ts"
import { Rejections } from "./Rejections.ts"
import type { Route, ServicesOf } from "./Route.ts"
import * as RouteTable from "./RouteTable.ts"
import { Throttles } from "./Throttles.ts"
import { actorRoutes } from "./routes/control/Actors.ts"
import { healthRoutes } from "./routes/control/Health.ts"
import { erasureRoutes } from "./routes/control/Erasures.ts"
import { controlJobRoutes } from "./routes/control/Jobs.ts"
import { keyRoutes } from "./routes/control/Keys.ts"
import { ledgerRoutes } from "./routes/control/Ledger.ts"
import { namespaceRoutes } from "./routes/control/Namespaces.ts"
import { nodeRoutes } from "./routes/control/Nodes.ts"
import { daemonRoutes } from "./routes/control/Daemons.ts"
import { oversightRoutes } from "./routes/control/Oversight.ts"
import { rollupRoutes } from "./routes/control/Rollups.ts"
import { makeRecordRoutes } from "./routes/control/Records.ts"
import { settingsRoutes } from "./routes/control/Settings.ts"
import { snapshotRoutes } from "./routes/control/Snapshots.ts"
import { upkeepRoutes } from "./routes/control/Upkeep.ts"
import { qualityRoutes } from "./routes/control/Quality.ts"
import { webhookRoutes } from "./routes/control/Webhooks.ts"
import { workRoutes } from "./routes/control/Works.ts"
import { feedbackRoutes } from "./routes/Feedback.ts"
import { incidentRoutes } from "./routes/Incidents.ts"
import { inferenceRoutes } from "./routes/Inference.ts"
import { invoiceRoutes } from "./routes/Invoice.ts"
import { jobEvents } from "./routes/JobEvents.ts"
import { makeJobExport } from "./routes/JobExport.ts"
import { eraseJob } from "./routes/EraseJob.ts"
import { jobRoutes } from "./routes/Jobs.ts"
import { searchJobs } from "./routes/JobSearch.ts"
import { jobTrace } from "./routes/JobTrace.ts"
import { searchLogs } from "./routes/Logs.ts"
import { modelRoutes } from "./routes/Models.ts"
import { plannedRoutes } from "./routes/Planned.ts"
import { controlReceiptRoutes, receiptRoutes } from "./routes/Receipts.ts"
import { makeStatusRoutes } from "./routes/Status.ts"
import { retrieveStats } from "./routes/Stats.ts"
import { submitJob } from "./routes/SubmitJob.ts"
import { usageRoutes } from "./routes/Usage.ts"

/** The control listener would be open to others without a key. */
export class ControlExposed extends Data.TaggedError("ControlExposed")<{ readonly host: string }> {
  override get message(): string {
    return `The control listener may not listen on ${this.host} without a control key: set one, or listen on 127.0.0.1.`
  }
}

const makePublicRoutes = Effect.gen(function* () {
  const routes = {
    ...inferenceRoutes,
    ...modelRoutes,
    ...jobRoutes,
    ...feedbackRoutes,
    ...usageRoutes,
    ...invoiceRoutes,
    ...incidentRoutes,
    ...receiptRoutes,
    ...plannedRoutes,
    ...(yield* makeStatusRoutes),
    ...(yield* makeDocumentRoutes(PublicApi)),
    ...(yield* makeJobExport),
    submitJob,
    searchJobs,
    searchLogs,
    retrieveStats,
    followJob: jobEvents,
    traceJob: jobTrace,
    eraseJob
  }
  return routes satisfies Readonly<Record<PublicName, Route<unknown>>>
})

const makeControlRoutes = Effect.gen(function* () {
  const routes = {
    ...actorRoutes,
    ...nodeRoutes,
    ...controlJobRoutes,
    ...namespaceRoutes,
    ...ledgerRoutes,
    ...rollupRoutes,
    ...keyRoutes,
    ...upkeepRoutes,
    ...oversightRoutes,
    ...daemonRoutes,
    ...settingsRoutes,
    ...webhookRoutes,
    ...snapshotRoutes,
    ...workRoutes,
    ...(yield* makeRecordRoutes),
    ...erasureRoutes,
    ...controlReceiptRoutes,
    ...qualityRoutes,
    ...healthRoutes,
    ...(yield* makeDocumentRoutes(ControlApi))
  }
  return routes satisfies Readonly<Record<ControlName, Route<unknown>>>
})

/** A model's name may hold slashes, written plainly; the document has no way to say so. */
const PATHS: Readonly<Record<string, string>> = { "/v1/models/:id": "/v1/models/*id" }

const tableOf = <
  T extends Readonly<Record<string, Route<unknown>>>,
  Id extends string,
  Groups extends HttpApiGroup.Constraint
>(
  api: HttpApi.HttpApi<Id, Groups>,
  routes: T
): RouteTable.RouteTable<Route<ServicesOf<T>>> => {
  const entries: Array<RouteTable.Entry<Route<ServicesOf<T>>>> = []
  HttpApi.reflect(api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint: { identifier, method, path } }) => {
      // The record is checked by its names where it is made.
      const target = routes[identifier] as Route<ServicesOf<T>>
      entries.push({ method, path: PATHS[path] ?? path, target })
    }
  })
  return RouteTable.make(entries)
}

const listenPublic = Effect.gen(function* () {
  const { host, port, trustedProxies } = yield* DaemonConfig
  const addressOf = PeerAddress.make(trustedProxies)
  const table = tableOf(PublicApi, yield* makePublicRoutes)
  const onUpgrade = yield* NodeUpgrade.make(addressOf)
  return yield* listen(
    { host, port },
    App.make(table, () => null, addressOf),
    onUpgrade
  )
})

/** Probes need no key: they tell nothing but yes or no. */
const PROBES = new Set(["/healthz", "/readyz"])

const noUpgrade = refuse("not_found", "Nothing here can be upgraded.")

const listenControl = Effect.gen(function* () {
  const { controlHost: host, controlPort: port, controlKey, trustedProxies } = yield* DaemonConfig
  if (controlKey === null && !isLoopback(host)) return yield* new ControlExposed({ host })
  const table = tableOf(ControlApi, yield* makeControlRoutes)
  const guard = (call: Call, path: string) => (PROBES.has(path) ? null : controlRefusal(call, controlKey))
  const app = App.make(table, guard, PeerAddress.make(trustedProxies))
  return yield* listen({ host, port }, app, (_, socket) => endRaw(socket, noUpgrade))
})

/** Where they listen, without a slash at the end. */
export class Listeners extends Context.Service<
  Listeners,
  { readonly publicUrl: string; readonly controlUrl: string }
>()("resultity/http/Listeners") {}

/** The control listener first: a daemon that may not have it does not begin to serve. */
export const layer = Layer.effect(
  Listeners,
  Effect.gen(function* () {
    const controlUrl = urlOf(yield* listenControl)
    return Listeners.of({ controlUrl, publicUrl: urlOf(yield* listenPublic) })
  })
).pipe(Layer.provide(Layer.mergeAll(Rejections.layer, Throttles.layer)))

const urlOf = ({ host, port }: Listening): string => `http://${host.includes(":") ? `[${host}]` : host}:${port}`
