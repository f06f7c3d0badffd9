/**
 * An OpenAI-compatible runtime over real HTTP that obeys orders. It answers each request by the next order in its list,
 * or by `otherwise`; it writes down every body it got and how each connection ended, so a test can wait for either.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

export type Body = Record<string, unknown>

export type RuntimeOrder =
  /**
   * Streams these pieces as deltas, then the finish, the usage unless `usage: false`, and `[DONE]` unless `done:
   * false`.
   */
  | {
      readonly kind: "answer"
      readonly pieces: ReadonlyArray<string>
      readonly finish?: string
      readonly usage?: false
      readonly done?: false
    }
  /** As `answer`, but waits before each piece until `FakeRuntime.step()` is called. */
  | { readonly kind: "slow"; readonly pieces: ReadonlyArray<string> }
  /** Streams these pieces and then says nothing more. */
  | { readonly kind: "stall"; readonly pieces: ReadonlyArray<string> }
  /** Streams these pieces and cuts the connection. */
  | { readonly kind: "cut"; readonly pieces: ReadonlyArray<string> }
  | { readonly kind: "status"; readonly status: number }
  /** Streams exactly these bytes, one write each. */
  | { readonly kind: "raw"; readonly writes: ReadonlyArray<string | Uint8Array>; readonly contentType?: string }
  | { readonly kind: "json"; readonly body: unknown }

export interface FakeRuntime {
  /** With `/v1`, as the agent takes it. */
  readonly baseUrl: string
  /** Bodies of all inference requests, in order, with their path below `/v1`. */
  readonly asked: ReadonlyArray<{ readonly path: string; readonly body: Body; readonly headers: Body }>
  /** Requests whose client went before the answer was over. */
  readonly abandoned: () => number
  readonly order: (...orders: ReadonlyArray<RuntimeOrder>) => void
  /** Lets one more piece of a slow answer out. */
  readonly step: () => void
  /** Waits until a request came (the n-th, from 1), or a client left. */
  readonly whenAsked: (count: number) => Promise<void>
  readonly whenAbandoned: (count: number) => Promise<void>
  /** Answers /models with 503 while true. */
  sick: boolean
  readonly close: () => Promise<void>
}

export interface FakeRuntimeOptions {
  readonly models?: ReadonlyArray<{ readonly id: string; readonly owned_by?: string }>
  /** JSON pages beside `/v1`, by path. */
  readonly pages?: Readonly<Record<string, unknown>>
  readonly server?: string
  readonly otherwise?: RuntimeOrder
}

const MODELS = [{ id: "fake-small", owned_by: "vllm" }]

/** Counts what happens, and lets others wait for a count. */
const makeCounter = () => {
  let count = 0
  let waiting: Array<{ readonly least: number; readonly resolve: () => void }> = []
  return {
    count: () => count,
    hit: () => {
      count += 1
      for (const { least, resolve } of waiting) if (least <= count) resolve()
      waiting = waiting.filter(({ least }) => least > count)
    },
    reach: (least: number): Promise<void> =>
      least <= count ? Promise.resolve() : new Promise((resolve) => waiting.push({ least, resolve }))
  }
}

const readBody = async (request: IncomingMessage): Promise<Body> => {
  const parts: Array<Buffer> = []
  for await (const part of request) parts.push(part as Buffer)
  return JSON.parse(Buffer.concat(parts).toString("utf8")) as Body
}

const json = (response: ServerResponse, status: number, body: unknown): void =>
  void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))

const event = (body: unknown): string => `data: ${JSON.stringify(body)}\n\n`

const chunk = (path: string, text: string | null, finish: string | null) => ({
  object: "chunk",
  choices: [
    path === "/completions"
      ? { index: 0, text: text ?? "", finish_reason: finish }
      : { index: 0, delta: text === null ? {} : { content: text }, finish_reason: finish }
  ]
})

/** A vector that follows from the input's place. */
const vectors = (body: Body) => {
  const inputs = Array.isArray(body["input"]) ? body["input"] : [body["input"]]
  const data = inputs.map((_, index) => ({ object: "embedding", index, embedding: [index, 0.5, -0.25] }))
  return { object: "list", data, usage: { prompt_tokens: inputs.length, total_tokens: inputs.length } }
}

export const start = async (options: FakeRuntimeOptions = {}): Promise<FakeRuntime> => {
  const asked: Array<{ path: string; body: Body; headers: Body }> = []
  const orders: Array<RuntimeOrder> = []
  const arrivals = makeCounter()
  const departures = makeCounter()
  const steps = makeCounter()
  let stepsTaken = 0
  const state = { sick: false }
  const otherwise = options.otherwise ?? { kind: "answer", pieces: ["Hello", " there"] }

  const stream = async (path: string, order: RuntimeOrder, response: ServerResponse): Promise<void> => {
    if (order.kind === "status") return json(response, order.status, { error: { message: "as ordered" } })
    if (order.kind === "json") return json(response, 200, order.body)
    const contentType = order.kind === "raw" ? (order.contentType ?? "text/event-stream") : "text/event-stream"
    response.writeHead(200, { "content-type": contentType })
    response.flushHeaders()
    if (order.kind === "raw") {
      for (const part of order.writes) await new Promise((written) => void response.write(part, written))
      return void response.end()
    }
    if (path === "/chat/completions") {
      response.write(event({ choices: [{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }] }))
    }
    for (const piece of order.pieces) {
      if (order.kind === "slow") await steps.reach(++stepsTaken)
      await new Promise((written) => void response.write(event(chunk(path, piece, null)), written))
    }
    if (order.kind === "stall") return
    if (order.kind === "cut") return void response.destroy()
    response.write(event(chunk(path, null, order.kind === "answer" ? (order.finish ?? "stop") : "stop")))
    if (order.kind === "slow" || order.usage !== false) {
      const usage = { prompt_tokens: 7, completion_tokens: order.pieces.length, total_tokens: 7 + order.pieces.length }
      response.write(event({ choices: [], usage }))
    }
    response.end(order.kind === "answer" && order.done === false ? "" : "data: [DONE]\n\n")
  }

  const server = createServer((request, response) => {
    const path = request.url ?? ""
    if (options.server !== undefined) response.setHeader("server", options.server)
    if (path === "/v1/models") {
      return state.sick ? json(response, 503, {}) : json(response, 200, { data: options.models ?? MODELS })
    }
    const page = options.pages?.[path]
    if (page !== undefined) return json(response, 200, page)
    if (request.method !== "POST" || !path.startsWith("/v1/")) return json(response, 404, {})
    response.once("close", () => (response.writableFinished ? undefined : departures.hit()))
    void readBody(request).then(async (body) => {
      const below = path.slice(3)
      const order = orders.shift() ?? (below === "/embeddings" ? { kind: "json", body: vectors(body) } : otherwise)
      asked.push({ path: below, body, headers: { ...request.headers } })
      arrivals.hit()
      await stream(below, order as RuntimeOrder, response)
    })
  })
  await new Promise<void>((listening) => void server.listen(0, "127.0.0.1", listening))
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    asked,
    abandoned: departures.count,
    order: (...more) => void orders.push(...more),
    step: steps.hit,
    whenAsked: arrivals.reach,
    whenAbandoned: departures.reach,
    get sick() {
      return state.sick
    },
    set sick(value: boolean) {
      state.sick = value
    },
    close: () =>
      new Promise((closed) => {
        server.close(() => closed())
        server.closeAllConnections()
      })
  }
}
