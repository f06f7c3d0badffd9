/**
 * Any OpenAI-compatible server as runtime, by its base URL. It always streams, whatever the client asked for, because
 * tokens that were said are worth keeping. The body is the one that was assigned, apart from what streaming, its bound
 * and a continuation need. A stream that is given up closes its connection, which is how a runtime learns that it may
 * stop.
 */
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { ServedModel } from "../schemas/NodeProfile.ts"
import { readEvents, readWhole, statusFailure, usageOf } from "./ChunkReader.ts"
import { canContinue, type Continuation, runtimeBody, tokensLeft } from "./Continuation.ts"
import { fieldsOf, listOf } from "./JsonFields.ts"
import {
  type Assignment,
  isContinuation,
  isWellFormed,
  type Runtime,
  type RuntimeChunk,
  RuntimeFailed
} from "./Runtime.ts"
import { CONTINUATIONS, kindByPages, kindOfListing, type RuntimeKind } from "./RuntimeKind.ts"

export interface HttpRuntimeOptions {
  /** With the version, as SDKs take it: `http://127.0.0.1:8000/v1`. */
  readonly baseUrl: string
  readonly apiKey?: Redacted.Redacted
  readonly continuation: "auto" | Continuation
  /** Models that only make embeddings; others are recognised by name and a probe. */
  readonly embeddings: ReadonlyArray<string>
}

/** Names worth a probe. Probing every model would make a runtime that loads on demand load them all. */
const LOOKS_LIKE_EMBEDDINGS = /embed|\bbge\b|\be5\b|\bgte\b|minilm/i
const PATHS = { chat: "/chat/completions", completions: "/completions", embeddings: "/embeddings" } as const
/** How long a runtime may take to say what it is. */
const LOOK_TIMEOUT = "5 seconds"
/** A model may have to be loaded for the probe. */
const PROBE_TIMEOUT = "60 seconds"
const MODELS_MAX = 256

export const make = Effect.fnUntraced(function* (options: HttpRuntimeOptions) {
  const http = yield* HttpClient.HttpClient
  const base = options.baseUrl.replace(/\/+$/, "")
  const root = base.replace(/\/v\d+$/, "")
  const execute = (request: HttpClientRequest.HttpClientRequest) =>
    http.execute(options.apiKey === undefined ? request : withKey(request, options.apiKey)).pipe(
      Effect.provideService(HttpClient.TracerPropagationEnabled, false),
      Effect.mapError(() => new RuntimeFailed({ code: "runtime_unreachable", fault: "node" }))
    )
  const post = (path: string, body: Schema.JsonObject) =>
    execute(HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.post(`${base}${path}`), body))
  const look = (path: string): Effect.Effect<Schema.Json> =>
    execute(HttpClientRequest.get(`${root}${path}`)).pipe(
      Effect.flatMap(jsonOf),
      Effect.timeout(LOOK_TIMEOUT),
      Effect.orElseSucceed(() => null)
    )

  let kind: RuntimeKind | null = null
  const continuation = (): Continuation =>
    options.continuation === "auto" ? CONTINUATIONS[kind ?? "openai"] : options.continuation
  const listing = execute(HttpClientRequest.get(`${base}/models`)).pipe(
    Effect.flatMap((response) =>
      Effect.map(jsonOf(response), (body) => ({ body, server: response.headers["server"] ?? "" }))
    ),
    Effect.timeoutOrElse({ duration: LOOK_TIMEOUT, orElse: () => Effect.fail(unanswered) })
  )
  const isEmbedder = yield* embedderProbe(options.embeddings, (model) => post(PATHS.embeddings, { model, input: "a" }))

  const models = Effect.gen(function* () {
    const { body, server } = yield* listing
    kind = kindOfListing(body, server) ?? kind ?? (yield* kindByPages(look))
    const names = listOf(fieldsOf(body)?.["data"]).flatMap((model) => nameOf(model))
    return yield* Effect.forEach(names.slice(0, MODELS_MAX), (name) =>
      Effect.map(isEmbedder(name), (embeds): ServedModel => served(name, embeds, continuation() !== "none"))
    )
  })
  const runtime: Runtime = {
    name: Effect.sync(() => kind ?? "openai"),
    models,
    healthy: Effect.match(listing, { onSuccess: () => true, onFailure: () => false }),
    declines: (assignment) => {
      if (!isWellFormed(assignment)) return "invalid_body"
      return isContinuation(assignment) && !canContinue(assignment, continuation()) ? "cannot_continue" : null
    },
    run: (assignment) => {
      if (isContinuation(assignment) && tokensLeft(assignment) === 0) return COMPLETE
      const asked = post(PATHS[assignment.endpoint], runtimeBody(assignment, continuation()))
      return Stream.unwrap(Effect.flatMap(asked, (response) => answerIn(assignment, response)))
    }
  }
  return runtime
}, Effect.provide(FetchHttpClient.layer))

const withKey = (request: HttpClientRequest.HttpClientRequest, key: Redacted.Redacted) =>
  HttpClientRequest.bearerToken(request, Redacted.value(key))

const unanswered = new RuntimeFailed({ code: "runtime_unreachable", fault: "node" })
const cut = new RuntimeFailed({ code: "runtime_cut", fault: "node" })

/** The other node said all that the request allows, and only the end was missing. */
const COMPLETE: Stream.Stream<RuntimeChunk, RuntimeFailed> = Stream.fromArray([
  { _tag: "Delta", choice: 0, text: "", finish: "length" },
  { _tag: "Usage", promptTokens: 0, outputTokens: 0 }
])

const jsonOf = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<Schema.Json, RuntimeFailed> =>
  response.status === 200
    ? Effect.mapError(response.json, () => new RuntimeFailed({ code: "runtime_bad_answer", fault: "node" }))
    : Effect.andThen(discard(response), Effect.fail(statusFailure(response.status)))

/**
 * Reads what nobody wants, so that its connection is free again; the text may quote the prompt and is told to nobody.
 */
const discard = (response: HttpClientResponse.HttpClientResponse) =>
  response.text.pipe(Effect.timeout("1 second"), Effect.ignore)

const answerIn = (assignment: Assignment, response: HttpClientResponse.HttpClientResponse) =>
  Effect.gen(function* () {
    if (response.status === 200 && /event-stream/i.test(response.headers["content-type"] ?? "")) {
      return readEvents(
        response.stream.pipe(
          Stream.mapError(() => cut),
          Stream.decodeText()
        )
      )
    }
    const body = yield* jsonOf(response)
    const chunks = assignment.endpoint === "embeddings" ? vectorsIn(body) : readWhole(body)
    return chunks instanceof RuntimeFailed ? Stream.fail(chunks) : Stream.fromArray(chunks)
  })

const vectorsIn = (answer: Schema.Json): ReadonlyArray<RuntimeChunk> | RuntimeFailed => {
  const fields = fieldsOf(answer)
  const usage = usageOf(fields?.["usage"])
  const chunks = listOf(fields?.["data"]).map((item, at): RuntimeChunk | null => {
    const embedding = fieldsOf(item)?.["embedding"]
    const index = fieldsOf(item)?.["index"] ?? at
    if (embedding === undefined || typeof index !== "number") return null
    return { _tag: "Delta", choice: index, text: "", extra: { embedding }, finish: "stop" }
  })
  const whole = chunks.filter((chunk) => chunk !== null).toSorted((a, b) => orderOf(a) - orderOf(b))
  if (whole.length === 0 || whole.length < chunks.length) {
    return new RuntimeFailed({ code: "runtime_bad_answer", fault: "node" })
  }
  return usage === null ? whole : [...whole, usage]
}

/** Vectors travel in the order of their inputs, whatever order the runtime gave them in. */
const orderOf = (chunk: RuntimeChunk): number => (chunk._tag === "Delta" ? chunk.choice : 0)

const nameOf = (model: Schema.Json): ReadonlyArray<string> => {
  const id = fieldsOf(model)?.["id"]
  return typeof id === "string" && id !== "" && id.length <= 256 ? [id] : []
}

const served = (name: string, embeds: boolean, continues: boolean): ServedModel => ({
  name,
  endpoints: embeds ? ["embeddings"] : ["chat", "completions"],
  canContinue: !embeds && continues,
  loaded: true
})

type Ask = (model: string) => Effect.Effect<HttpClientResponse.HttpClientResponse, RuntimeFailed>

/**
 * Whether a model only makes embeddings; each that looks like it is asked once, and again only if it could not answer.
 */
const embedderProbe = (flagged: ReadonlyArray<string>, ask: Ask) =>
  Effect.sync(() => {
    const known = new Map(flagged.map((name) => [name, true]))
    return (name: string): Effect.Effect<boolean> => {
      const told = known.get(name)
      if (told !== undefined) return Effect.succeed(told)
      if (!LOOKS_LIKE_EMBEDDINGS.test(name)) return Effect.succeed(false)
      return ask(name).pipe(
        Effect.flatMap(jsonOf),
        Effect.timeout(PROBE_TIMEOUT),
        Effect.match({
          onSuccess: (body) => vectorsIn(body) instanceof RuntimeFailed === false,
          onFailure: (failure) => (failure._tag === "RuntimeFailed" && failure.fault === "job" ? false : null)
        }),
        Effect.map((embeds) => {
          if (embeds !== null) known.set(name, embeds)
          return embeds ?? true
        })
      )
    }
  })
