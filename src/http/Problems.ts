/**
 * Every failure as the client reads it: one shape, a stable code, and whether trying again makes sense. A defect is told as
 * `internal_error` and nothing more; its stack goes to the log without its message, which may quote what a client sent.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Metrics from "../layers/Metrics.ts"
import { Outage } from "../layers/Outage.ts"
import type { Problem } from "../schemas/openai/Problem.ts"
import { Refusal, refuse } from "../schemas/Refusal.ts"
import type { Call } from "./Call.ts"

const RETRY_AFTER_MS = 1_000

export const problemOf = (refusal: Refusal, requestId: string): Problem => ({
  error: {
    message: refusal.message,
    type: refusal.meaning.type,
    param: refusal.param ?? null,
    code: refusal.code
  },
  request_id: requestId,
  ...(refusal.job === undefined ? {} : { job: refusal.job })
})

/** Headers that say whether and when to try again. */
export const problemHeaders = (refusal: Refusal): Record<string, string> => {
  const headers: Record<string, string> = {}
  if (refusal.meaning.retry) {
    const ms = refusal.retryAfterMs ?? RETRY_AFTER_MS
    headers["retry-after"] = String(Math.max(1, Math.ceil(ms / 1000)))
    headers["retry-after-ms"] = String(Math.max(1, Math.ceil(ms)))
  } else headers["x-should-retry"] = "false"
  if (refusal.code === "invalid_api_key") headers["www-authenticate"] = "Bearer"
  if (refusal.jobId !== undefined) headers["x-job-id"] = refusal.jobId
  return headers
}

export const problemResponse = (call: Call, refusal: Refusal): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(JSON.stringify(problemOf(refusal, call.requestId)), {
    status: refusal.meaning.status,
    contentType: "application/json",
    headers: { ...call.answerHeaders, ...problemHeaders(refusal) }
  })

/** What a failed handler tells its client, or null when it was only interrupted. Logs what the client is not told. */
export const refusalOf = (cause: Cause.Cause<Refusal | Outage>, requestId: string): Effect.Effect<Refusal | null> => {
  for (const reason of cause.reasons) {
    if (reason._tag === "Fail") return toldOf(reason.error, requestId)
    if (reason._tag === "Die") return Effect.as(logDefect(reason.defect, requestId), internalError)
  }
  return Effect.succeed(null)
}

const internalError = refuse("internal_error", "Something went wrong on our side. Report the request id if it stays.")

export const toldOf = (error: Refusal | Outage, requestId: string): Effect.Effect<Refusal> =>
  error instanceof Outage
    ? Effect.as(Effect.logWarning("outage", { of: error.of, during: error.during, requestId }), unavailable)
    : Effect.succeed(error)

const unavailable = refuse("unavailable", "A part of the service does not answer right now. Try again in a moment.", {
  retryAfterMs: 2_000
})

const logDefect = (defect: unknown, requestId: string): Effect.Effect<void> => {
  const error = defect instanceof Error ? defect : undefined
  const frames = (error?.stack ?? "").split("\n").filter((line) => line.startsWith("    at "))
  return Effect.logError("defect", { requestId, name: error?.name ?? typeof defect, at: frames.slice(0, 8).join("\n") })
}

export const countRefusal = (refusal: Refusal): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(Metrics.refusals, { code: refusal.code }), 1)
