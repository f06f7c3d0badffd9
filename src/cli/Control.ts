/**
 * The daemon's control listener as commands see it. Every failure is already what the command ends with: a refusal with the daemon's own code,
 * nobody there, or somebody there who is no daemon. Nothing is repeated here: whether that is safe is the command's knowledge.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Sse from "effect/encoding/Sse"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { badAnswer, type CliFailed, refused, unreachable } from "./CliFailed.ts"

export interface ControlOptions {
  /** Without a slash at the end. */
  readonly url: string
  readonly key: Redacted.Redacted | null
  /** Who is asking, for the audit. */
  readonly actor: string
}

export type Query = Readonly<Record<string, string>>

export class Control extends Context.Service<
  Control,
  {
    readonly get: (path: string, query?: Query) => Effect.Effect<Schema.Json, CliFailed>
    readonly post: (path: string, body: Schema.JsonObject, query?: Query) => Effect.Effect<Schema.Json, CliFailed>
    /** A body as it comes. */
    readonly bytes: (path: string, query?: Query) => Stream.Stream<Uint8Array, CliFailed>
    /** Server-sent events after this one. Ends, or fails with `unreachable`, when the connection does. */
    readonly events: (path: string, lastEventId: number) => Stream.Stream<Sse.Event, CliFailed>
  }
>()("resultity/cli/Control") {
  static readonly layer = (options: ControlOptions): Layer.Layer<Control> =>
    Layer.effect(
      Control,
      Effect.map(HttpClient.HttpClient, (http) => make(http, options))
    ).pipe(Layer.provide(FetchHttpClient.layer))
}

/** `/control/…`, whatever the words hold. */
export const at = (...words: ReadonlyArray<string>): string => `/control/${words.map(encodeURIComponent).join("/")}`

/** A sweep or the check of an archive takes its time. */
const ANSWER_WITHIN = "120 seconds"
/** Between two pieces of a body: a search for few among very many takes its time. */
const PIECE_WITHIN = "120 seconds"
/** The listener says `keep-alive` every five seconds. */
const SILENCE_MAX = "20 seconds"

const make = (http: HttpClient.HttpClient, { url, key, actor }: ControlOptions): Control["Service"] => {
  const execute = (request: HttpClientRequest.HttpClientRequest) =>
    http.execute(key === null ? request : HttpClientRequest.bearerToken(request, Redacted.value(key))).pipe(
      Effect.provideService(HttpClient.TracerPropagationEnabled, false),
      Effect.mapError((error) => nobody(url, error)),
      Effect.filterOrElse(
        (response) => response.status < 300,
        (response) => refusal(url, response)
      )
    )
  const answer = (request: HttpClientRequest.HttpClientRequest) =>
    Effect.flatMap(execute(request), (response) => jsonOf(url, response)).pipe(
      Effect.timeoutOrElse({ duration: ANSWER_WITHIN, orElse: () => Effect.fail(late(url)) })
    )
  // Some reads are written down too.
  const getting = (path: string) =>
    HttpClientRequest.setHeader(HttpClientRequest.get(`${url}${path}`), "x-actor", actor)
  const streamed = (request: HttpClientRequest.HttpClientRequest) =>
    Stream.unwrap(Effect.map(execute(request), ({ stream }) => Stream.mapError(stream, () => cut(url))))
  return Control.of({
    get: (path, query = {}) => answer(HttpClientRequest.setUrlParams(getting(path), query)),
    post: (path, body, query = {}) =>
      answer(
        HttpClientRequest.post(`${url}${path}`).pipe(
          HttpClientRequest.setUrlParams(query),
          HttpClientRequest.setHeader("x-actor", actor),
          HttpClientRequest.bodyJsonUnsafe(body)
        )
      ),
    bytes: (path, query = {}) =>
      streamed(HttpClientRequest.setUrlParams(getting(path), query)).pipe(
        Stream.timeoutOrElse({ duration: PIECE_WITHIN, orElse: () => Stream.fail(cut(url)) })
      ),
    events: (path, lastEventId) =>
      streamed(
        getting(path).pipe(
          HttpClientRequest.setHeader("accept", "text/event-stream"),
          HttpClientRequest.setHeader("last-event-id", String(lastEventId))
        )
      ).pipe(
        Stream.timeoutOrElse({ duration: SILENCE_MAX, orElse: () => Stream.fail(cut(url)) }),
        Stream.decodeText(),
        Stream.pipeThroughChannel(Sse.decode()),
        Stream.mapError((error) => (error._tag === "CliFailed" ? error : cut(url)))
      )
  })
}

const nobody = (url: string, error: HttpClientError.HttpClientError): CliFailed =>
  unreachable(`No daemon answers at ${url} (${codeIn(error)}). Start one, or say where it is with --control URL.`)

const cut = (url: string): CliFailed => unreachable(`The connection to ${url} was lost in the middle of the answer.`)

const late = (url: string): CliFailed =>
  unreachable(`${url} did not answer within ${ANSWER_WITHIN}. What was asked may still happen: look before you repeat.`)

/** The system's code (ECONNREFUSED) lies below the message of `fetch`, which says nothing. */
const codeIn = (error: unknown): string => {
  let at: unknown = error
  for (let depth = 0; depth < 6 && typeof at === "object" && at !== null; depth++) {
    if ("code" in at && typeof at.code === "string") return at.code
    at = "cause" in at ? at.cause : "reason" in at ? at.reason : undefined
  }
  return "no connection"
}

const jsonOf = (url: string, response: HttpClientResponse.HttpClientResponse): Effect.Effect<Schema.Json, CliFailed> =>
  response.text.pipe(
    Effect.mapError(() => cut(url)),
    Effect.flatMap((text) =>
      Effect.try({
        try: (): Schema.Json => JSON.parse(text),
        catch: () => badAnswer(`${url} answered without JSON. Is it a daemon's control listener?`)
      })
    )
  )

const decodeProblem = Schema.decodeUnknownResult(
  Schema.fromJsonString(Schema.Struct({ error: Schema.Struct({ message: Schema.String, code: Schema.String }) }))
)

const refusal = (url: string, response: HttpClientResponse.HttpClientResponse): Effect.Effect<never, CliFailed> =>
  response.text.pipe(
    Effect.mapError(() => cut(url)),
    Effect.flatMap((text) => {
      const { status, headers } = response
      const problem = decodeProblem(text)
      if (Result.isFailure(problem)) {
        return Effect.fail(refused(status, `http_${status}`, `${url} answered ${status} without saying why.`))
      }
      const { message, code } = problem.success.error
      const id = headers["x-request-id"]
      const hint = status >= 500 && id !== undefined ? ` (request ${id})` : ""
      return Effect.fail(refused(status, code, `${message}${hint}`))
    })
  )
