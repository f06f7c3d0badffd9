/**
 * Where spans go: to a collector that speaks OTLP over HTTP, or nowhere, and then none are made. What leaves is bounded and says nothing of
 * requests and answers: errors go out by their names and codes only, because causes of drivers may quote what was to be written.
 * A collector that is slow or away costs spans, never a request.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as OtlpExporter from "effect/observability/OtlpExporter"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as OtlpTracer from "effect/observability/OtlpTracer"
import * as References from "effect/References"
import * as Semaphore from "effect/Semaphore"
import * as Tracer from "effect/Tracer"
import { DaemonConfig } from "./layers/DaemonConfig.ts"

export interface TelemetryOptions {
  /** The collector's base, `http://collector:4318`; spans go to `/v1/traces` below it. null: nothing is exported, and no span is made. */
  readonly otlpUrl: string | null
}

const EXPORT_EVERY = "2 seconds"
/** Spans of one export. */
const BATCH_MAX = 512
/** Exports under way at a time. One more, or one that takes too long, and the collector is left alone for a minute, whose spans are lost. */
const EXPORTS_MAX = 4
const EXPORT_PATIENCE = "5 seconds"
const FLUSH_PATIENCE = "3 seconds"

export const layer = ({ otlpUrl }: TelemetryOptions): Layer.Layer<never, never, DaemonConfig> =>
  otlpUrl === null ? Layer.succeed(References.TracerEnabled, false) : exporting(otlpUrl)

const exporting = (otlpUrl: string): Layer.Layer<never, never, DaemonConfig> =>
  Layer.merge(
    Layer.effect(Tracer.Tracer, Effect.map(exporter(otlpUrl), discreet)).pipe(
      Layer.provide([OtlpSerialization.layerJson, OtlpExporter.layerFlusher, client])
    ),
    // The library's own span of a request tells its whole URL and who asks. Ours tells the route.
    Layer.succeed(HttpMiddleware.TracerDisabledWhen, () => true)
  )

const exporter = Effect.fnUntraced(function* (otlpUrl: string) {
  const { daemonId, environment } = yield* DaemonConfig
  return yield* OtlpTracer.make({
    url: `${otlpUrl.replace(/\/+$/, "")}/v1/traces`,
    resource: {
      serviceName: "resultity",
      attributes: { "service.instance.id": daemonId, "deployment.environment.name": environment }
    },
    exportInterval: EXPORT_EVERY,
    maxBatchSize: BATCH_MAX,
    shutdownTimeout: FLUSH_PATIENCE
  })
})

/** The exporter gives up for a minute on whatever is no passing failure. */
const client = Layer.effect(
  HttpClient.HttpClient,
  Effect.map(HttpClient.HttpClient, (fetching) => {
    const permits = Semaphore.makeUnsafe(EXPORTS_MAX)
    return HttpClient.transform(fetching, (exported) =>
      Effect.timeoutOrElse(exported, { duration: EXPORT_PATIENCE, orElse: () => Effect.die("it takes too long") }).pipe(
        Semaphore.withPermitsIfAvailable(permits, 1),
        Effect.flatMap(Option.match({ onSome: Effect.succeed, onNone: () => Effect.die("it does not keep up") })),
        Effect.tap(({ status }) =>
          status < 400 ? Effect.void : Effect.logWarning("spans are not taken", { why: `answered ${status}` })
        ),
        Effect.tapCause((cause) => Effect.logWarning("spans are not taken", { why: String(Cause.squash(cause)) }))
      )
    )
  })
).pipe(Layer.provide(FetchHttpClient.layer))

/** The same tracer, whose spans tell of a failure by its name and code. */
const discreet = (tracer: Tracer.Tracer): Tracer.Tracer =>
  Tracer.make({
    span: (options) => {
      const span = tracer.span(options)
      const end = span.end.bind(span)
      return Object.assign(span, {
        end: (endTime: bigint, exit: Exit.Exit<unknown, unknown>) => end(endTime, without(exit))
      })
    }
  })

const without = (exit: Exit.Exit<unknown, unknown>): Exit.Exit<unknown, unknown> => {
  if (Exit.isSuccess(exit)) return Exit.void
  if (Cause.hasInterruptsOnly(exit.cause)) return exit
  const [failure] = exit.cause.reasons.flatMap((reason) => {
    if (Cause.isFailReason(reason)) return [named(reason.error, "Failure")]
    return Cause.isDieReason(reason) ? [named(reason.defect, "Defect")] : []
  })
  return Exit.fail(failure ?? said("Failure", ""))
}

/** `Refusal: model_not_found`, `Outage: JobStore.claim`, `Defect: TypeError`. */
const named = (thrown: unknown, otherwise: string): Error => {
  if (typeof thrown !== "object" || thrown === null) return said(otherwise, "")
  const { _tag, code, of, during } = thrown as Readonly<Record<"_tag" | "code" | "of" | "during", unknown>>
  const what = typeof of === "string" && typeof during === "string" ? `${of}.${during}` : code
  if (typeof _tag === "string") return said(_tag, typeof what === "string" ? what : "")
  return said(otherwise, thrown instanceof Error ? thrown.name : "")
}

/** Without a stack: it would begin with the message of whatever failed. */
const said = (name: string, message: string): Error => Object.assign(new Error(message), { name, stack: name })
