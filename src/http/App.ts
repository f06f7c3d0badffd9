/**
 * The road of every request, in the order in which it may fail: size → key → rate → drain → route. One request yields one error, the
 * first. A route's own handler goes on with body, schema and admission. Whatever happens, the client gets an answer in
 * the error contract, or its connection is gone.
 */
import { randomUUID } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Request from "effect/http/HttpServerRequest"
import type { ApiKeys } from "../layers/ApiKeys.ts"
import type { Outage } from "../layers/Outage.ts"
import type { RateLimits } from "../layers/RateLimits.ts"
import { Readiness } from "../layers/Readiness.ts"
import { inTrace } from "../layers/Traced.ts"
import { type Refusal, refuse } from "../schemas/Refusal.ts"
import { authenticate } from "./Auth.ts"
import { BODY_BYTES_MAX } from "./Body.ts"
import { type Call, header } from "./Call.ts"
import { countRefusal, problemResponse, refusalOf } from "./Problems.ts"
import type { PeerAddress } from "./PeerAddress.ts"
import { takeRequest } from "./RateLimit.ts"
import { Rejections } from "./Rejections.ts"
import { logRequest } from "./RequestLog.ts"
import type { Throttles } from "./Throttles.ts"
import type { Answer, Route } from "./Route.ts"
import type { Match, RouteTable } from "./RouteTable.ts"

/** Longest request target; what is longer is no path of ours. */
export const URL_MAX = 16_384
/** All header lines together. */
export const HEADERS_MAX = 8_192

type Gate = ApiKeys | RateLimits | Readiness | Rejections | Throttles
type Response = HttpServerResponse.HttpServerResponse

/**
 * @param guard asked before anything else of a known path: why this call may not come in, or null
 */
export const make = <R>(
  table: RouteTable<Route<R>>,
  guard: (call: Call, path: string) => Refusal | null,
  addressOf: PeerAddress
): Effect.Effect<Response, never, R | Gate | HttpServerRequest.HttpServerRequest> =>
  Effect.gen(function* () {
    const request = yield* Request.HttpServerRequest
    const startedAt = yield* Clock.currentTimeMillis
    // The listener speaks HTTP/1.1 only.
    const incoming = NodeHttpServerRequest.toIncomingMessage(request) as IncomingMessage
    const outgoing = NodeHttpServerRequest.toServerResponse(request) as ServerResponse
    const url = incoming.url ?? "/"
    const mark = url.indexOf("?")
    const path = mark === -1 ? url : url.slice(0, mark)
    const match: Match<Route<R>> = url.length > URL_MAX ? { _tag: "Unknown" } : table(incoming.method ?? "GET", path)
    const call = callOf(incoming, outgoing, match, mark === -1 ? "" : url.slice(mark + 1), addressOf(incoming))
    const answered = spanned(call, match)(enter(call, match, () => guard(call, path)))
    const { response, refusal } = yield* Effect.matchCauseEffect(Effect.interruptible(answered), {
      onSuccess: (response) =>
        Effect.succeed({ response: HttpServerResponse.setHeaders(response, call.answerHeaders), refusal: null }),
      onFailure: (cause) =>
        Effect.flatMap(refusalOf(cause, call.requestId), (refusal) =>
          // Interrupted by a client that left, whom nobody can tell, or by the end of this server.
          refusal === null && outgoing.destroyed
            ? Effect.failCause(cause as Cause.Cause<never>)
            : tell(call, match, refusal ?? draining)
        )
    })
    yield* logRequest({
      method: incoming.method ?? "-",
      route: match._tag === "Found" ? match.entry.path : "-",
      status: outgoing.headersSent ? outgoing.statusCode : response.status,
      ms: (yield* Clock.currentTimeMillis) - startedAt,
      requestId: call.requestId,
      ...(refusal === null ? {} : { code: refusal.code })
    })
    return response
  })

const callOf = (
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  match: Match<unknown>,
  query: string,
  address: string
): Call => {
  const requestId = requestIdOf(incoming)
  return {
    requestId,
    incoming,
    outgoing,
    address,
    params: match._tag === "Found" ? match.params : {},
    query: new URLSearchParams(query),
    answerHeaders: { "x-request-id": requestId },
    stage: "size",
    caller: null,
    model: null,
    cutOff: false
  }
}

/** The client's own when it is a plain word, so that its logs and ours meet. */
const requestIdOf = (incoming: IncomingMessage): string => {
  const given = incoming.headers["x-request-id"]
  return typeof given === "string" && /^[A-Za-z0-9._-]{1,128}$/.test(given)
    ? given
    : `req_${randomUUID().replaceAll("-", "")}`
}

/** Requests of customers in a span below their own; probes and documents are nobody's trace. */
const spanned = <R>(call: Call, match: Match<Route<R>>) => {
  if (match._tag !== "Found" || match.entry.target.access === "open") return <A>(answer: A): A => answer
  const { method, path } = match.entry
  return inTrace(`${method} ${path}`, {
    traceparent: header(call, "traceparent") ?? null,
    kind: "server",
    attributes: { "http.request.method": method, "http.route": path, "request.id": call.requestId }
  })
}

const enter = <R>(
  call: Call,
  match: Match<Route<R>>,
  guard: () => Refusal | null
): Answer<R | ApiKeys | RateLimits | Readiness | Throttles> => {
  const wrong = sizeRefusal(call.incoming) ?? pathRefusal(call, match) ?? guard() ?? mediaRefusal(call.incoming)
  if (wrong !== null) return Effect.fail(wrong)
  if (match._tag !== "Found") return Effect.fail(unknownPath)
  return throughGates(call, match.entry.target)
}

const throughGates = Effect.fnUntraced(function* <R>(
  call: Call,
  route: Route<R>
): Effect.fn.Return<Response, Refusal | Outage, R | ApiKeys | RateLimits | Readiness | Throttles> {
  if (route.access === "open") return yield* route.handle(call)
  call.stage = "key"
  const caller = yield* authenticate(call)
  const keyed = Object.assign(call, { caller })
  call.stage = "rate"
  yield* takeRequest(keyed)
  if (route.submits) {
    call.stage = "drain"
    const readiness = yield* Readiness
    if (yield* readiness.draining) return yield* draining
  }
  call.stage = "schema"
  return yield* route.handle(keyed)
})

const draining = refuse(
  "draining",
  "This server is about to stop and takes no new work. Try again; another one will.",
  {
    retryAfterMs: 1_000
  }
)
const unknownPath = refuse("not_found", "There is nothing at this path. The paths are in /openapi.json.")

const sizeRefusal = (incoming: IncomingMessage): Refusal | null => {
  if ((incoming.url ?? "").length > URL_MAX) {
    return refuse("uri_too_long", `The request target is longer than ${URL_MAX} characters.`)
  }
  let size = 0
  for (const part of incoming.rawHeaders) size += part.length + 2
  if (size > HEADERS_MAX) return refuse("headers_too_large", `The headers are larger than ${HEADERS_MAX} bytes.`)
  if (incoming.headers.host === undefined && incoming.httpVersion === "1.1") {
    return refuse("invalid_request", "A Host header is needed.")
  }
  return Number(incoming.headers["content-length"] ?? 0) > BODY_BYTES_MAX
    ? refuse("request_too_large", `The body is larger than ${BODY_BYTES_MAX} bytes. Send less at once.`)
    : null
}

const pathRefusal = (call: Call, match: Match<unknown>): Refusal | null => {
  if (match._tag === "Found") return null
  if (match._tag === "Unknown") return unknownPath
  call.answerHeaders["allow"] = match.allow
  return refuse("method_not_allowed", `This path answers ${match.allow} only.`)
}

const JSON_TYPE = /^application\/json *(?:; *charset="?utf-8"?)? *$/i

/** Only a request that has a body says what it is. */
const mediaRefusal = ({ headers, method }: IncomingMessage): Refusal | null => {
  if (method === "GET" || method === "HEAD") return null
  const length = headers["content-length"]
  if ((length === undefined || length === "0") && headers["transfer-encoding"] === undefined) return null
  const coding = headers["content-encoding"]
  if (coding !== undefined && coding.toLowerCase() !== "identity") {
    return refuse("unsupported_media_type", "Send the body without Content-Encoding.")
  }
  return JSON_TYPE.test(headers["content-type"] ?? "")
    ? null
    : refuse("unsupported_media_type", "Send the body as `Content-Type: application/json` in UTF-8.")
}

/** Whose it is, of a request that was refused before anybody asked for its key. */
const senderOf = (call: Call) =>
  Effect.catch(authenticate(call), ({ _tag }) => Effect.as(Effect.logDebug("sender not known", { _tag }), null))

/** The refusal as an answer; a refused submission is remembered besides. */
const tell = Effect.fnUntraced(function* <R>(call: Call, match: Match<Route<R>>, refusal: Refusal) {
  yield* countRefusal(refusal)
  if (match._tag === "Found" && match.entry.target.submits && call.stage !== "execution") {
    const at = yield* Clock.currentTimeMillis
    const { note } = yield* Rejections
    const caller = call.caller ?? (refusal.code === "request_too_large" ? yield* senderOf(call) : null)
    note({ refusal, stage: call.stage, caller, model: call.model, at })
  }
  return { response: problemResponse(call, refusal), refusal }
})
