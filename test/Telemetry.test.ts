/** What a collector gets of a daemon, and what it never gets. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { HttpMiddleware, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { DaemonConfig } from "../src/layers/DaemonConfig.ts"
import { Outage } from "../src/layers/Outage.ts"
import { inTrace, recordSpan, traced } from "../src/layers/Traced.ts"
import { refuse } from "../src/schemas/Refusal.ts"
import type { DaemonId } from "../src/schemas/Ids.ts"
import * as Telemetry from "../src/Telemetry.ts"

const CLIENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
const PROMPT = "the words of a customer"

interface Otlp {
  readonly resourceSpans: ReadonlyArray<{
    readonly resource: { readonly attributes: ReadonlyArray<{ readonly key: string; readonly value: object }> }
    readonly scopeSpans: ReadonlyArray<{ readonly spans: ReadonlyArray<OtlpSpan> }>
  }>
}
interface OtlpSpan {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly status: { readonly code: number; readonly message?: string }
}

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  const parts: Array<Buffer> = []
  for await (const part of request) parts.push(part as Buffer)
  return Buffer.concat(parts).toString()
}

const collector = (answer: (response: ServerResponse) => void = (response) => void response.end("{}")) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const taken: Array<{ readonly path: string; readonly text: string }> = []
      const server = createServer((request, response) => {
        void bodyOf(request).then((text) => {
          taken.push({ path: request.url ?? "", text })
          answer(response)
        })
      })
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      return { url: `http://127.0.0.1:${port}`, taken, server }
    }),
    ({ server }) =>
      Effect.promise(async () => {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      })
  )

const daemon = Layer.succeed(DaemonConfig, {
  daemonId: "dmn_00000000000000000000000001" as DaemonId,
  environment: "testnet"
} as DaemonConfig["Service"])

/** A daemon's life with this work in it; what it has to say is flushed at its end. */
const life = <A, E>(otlpUrl: string | null, work: Effect.Effect<A, E>) =>
  Effect.provide(work, Layer.provide(Telemetry.layer({ otlpUrl }), daemon), { local: true })

const spansOf = (taken: ReadonlyArray<{ readonly text: string }>) =>
  taken.flatMap(({ text }) =>
    (JSON.parse(text) as Otlp).resourceSpans.flatMap(({ scopeSpans }) => scopeSpans[0]!.spans)
  )

it.effect("a daemon gives its spans to the collector, below the client's own, with its name", () =>
  Effect.gen(function* () {
    const { url, taken } = yield* collector()
    yield* life(
      `${url}/`,
      inTrace("POST /v1/chat/completions", { traceparent: CLIENT, kind: "server" })(
        traced("admit", () => Effect.void)()
      )
    )

    assert.deepStrictEqual([...new Set(taken.map(({ path }) => path))], ["/v1/traces"])
    const [admit, request] = spansOf(taken)
    assert.deepStrictEqual([admit?.name, request?.name], ["admit", "POST /v1/chat/completions"])
    assert.strictEqual(request?.parentSpanId, "00f067aa0ba902b7")
    assert.strictEqual(admit?.parentSpanId, request?.spanId)
    for (const span of [admit, request]) assert.strictEqual(span?.traceId, CLIENT.slice(3, 35))
    const [{ resource }] = (JSON.parse(taken[0]!.text) as Otlp).resourceSpans as [Otlp["resourceSpans"][number]]
    const told = Object.fromEntries(resource.attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
    assert.deepInclude(told, {
      "service.name": "resultity",
      "service.instance.id": "dmn_00000000000000000000000001",
      "deployment.environment.name": "testnet"
    })
  })
)

it.effect("a span of what failed says its name and code, and nothing of what the failure quotes", () =>
  Effect.gen(function* () {
    const { url, taken } = yield* collector()
    const cause = Object.assign(new Error(`cannot write "${PROMPT}"`), { cause: new Error(PROMPT) })
    const failing = [
      Effect.fail(new Outage({ of: "JobRecords", during: "open", cause })),
      Effect.fail(refuse("model_not_found", `There is no model "${PROMPT}".`)),
      Effect.die(cause),
      Effect.die(PROMPT),
      Effect.fail(PROMPT),
      Effect.interrupt
    ]
    yield* life(
      url,
      Effect.andThen(
        Effect.forEach(
          failing,
          (effect) => Effect.exit(traced("work", () => effect as Effect.Effect<void, unknown>)()),
          {
            discard: true
          }
        ),
        recordSpan({ name: "work", traceparent: CLIENT, startedAt: 1, endedAt: 2, code: "node_lost" })
      )
    )

    assert.notInclude(taken.map(({ text }) => text).join(), PROMPT)
    assert.deepStrictEqual(
      spansOf(taken).map(({ status }) => status.message ?? null),
      ["JobRecords.open", "model_not_found", "Error", "", "", null, "node_lost"]
    )
  })
)

it.effect("a daemon makes no span that tells the URL of a request", () =>
  Effect.gen(function* () {
    const { url, taken } = yield* collector()
    const request = HttpServerRequest.fromWeb(new Request(`http://127.0.0.1/v1/jobs?q=${encodeURIComponent(PROMPT)}`))
    yield* life(
      url,
      HttpMiddleware.tracer(Effect.succeed(HttpServerResponse.empty())).pipe(
        Effect.provideService(HttpServerRequest.HttpServerRequest, request)
      )
    )
    assert.lengthOf(spansOf(taken), 0)
  })
)

it.effect("a daemon without a collector makes no span", () =>
  Effect.gen(function* () {
    const made = yield* life(null, traced("work", () => Effect.option(Effect.currentSpan))())
    assert.strictEqual(made._tag, "None")
  })
)

it.live("a collector that is away or refuses costs spans, and nothing else", () =>
  Effect.gen(function* () {
    const warned: Array<string> = []
    const noting = Logger.layer([Logger.make(({ message }) => void warned.push(JSON.stringify(message)))])
    const refusing = yield* collector((response) => void response.writeHead(400).end())
    const work = Effect.as(traced("work", () => Effect.void)(), "done")
    for (const url of [refusing.url, "http://127.0.0.1:9"]) {
      assert.strictEqual(yield* Effect.provide(life(url, work), noting), "done")
    }
    assert.isAbove(refusing.taken.length, 0)
    assert.match(warned[0]!, /spans are not taken.*answered 400/)
    assert.match(warned.at(-1)!, /spans are not taken/)
  })
)
