/**
 * The driver of real runtimes, against a server that behaves like them and misbehaves like them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Redacted, Stream } from "effect"
import { type HttpRuntimeOptions, make } from "../../src/agent/HttpRuntime.ts"
import type { Assignment, RuntimeChunk } from "../../src/agent/Runtime.ts"
import { type FakeRuntimeOptions, start } from "../support/FakeRuntime.ts"

const fake = (options?: FakeRuntimeOptions) =>
  Effect.acquireRelease(
    Effect.promise(() => start(options)),
    (runtime) => Effect.promise(() => runtime.close())
  )
const drive = (baseUrl: string, more: Partial<HttpRuntimeOptions> = {}) =>
  make({ baseUrl, continuation: "auto", embeddings: [], ...more })

const body = { model: "fake-small", messages: [{ role: "user", content: "hi" }], max_tokens: 50 }
const chat = (more: Partial<Assignment> = {}): Assignment => ({
  endpoint: "chat",
  body,
  firstSeq: 1,
  prefix: [],
  outputTokensMax: 50,
  ...more
})
const textOf = (chunks: ReadonlyArray<RuntimeChunk>): string =>
  chunks.map((chunk) => (chunk._tag === "Delta" ? chunk.text : "")).join("")

describe("a runtime over HTTP", () => {
  it.live("streams an answer with its usage", () =>
    Effect.gen(function* () {
      const server = yield* fake()
      const runtime = yield* drive(server.baseUrl, { apiKey: Redacted.make("secret") })
      const chunks = yield* Stream.runCollect(runtime.run(chat()))
      assert.strictEqual(textOf(chunks), "Hello there")
      assert.deepStrictEqual(chunks.at(-1), { _tag: "Usage", promptTokens: 7, outputTokens: 2 })
      assert.deepStrictEqual(server.asked[0]?.body, {
        ...body,
        stream: true,
        stream_options: { include_usage: true }
      })
      assert.strictEqual(server.asked[0]?.headers["authorization"], "Bearer secret")
      assert.isUndefined(server.asked[0]?.headers["traceparent"])
    })
  )

  it.live("takes answers without usage, without [DONE], and in one piece", () =>
    Effect.gen(function* () {
      const server = yield* fake()
      const runtime = yield* drive(server.baseUrl)
      const message = { index: 0, message: { content: "x" }, finish_reason: "stop" }
      server.order(
        { kind: "answer", pieces: ["a"], usage: false },
        { kind: "answer", pieces: ["b"], done: false },
        { kind: "json", body: { choices: [message] } }
      )
      assert.isFalse((yield* Stream.runCollect(runtime.run(chat()))).some(({ _tag }) => _tag === "Usage"))
      assert.strictEqual(textOf(yield* Stream.runCollect(runtime.run(chat()))), "b")
      assert.strictEqual(textOf(yield* Stream.runCollect(runtime.run(chat()))), "x")
    })
  )

  it.live("blames the job for a bad body and the node for everything else", () =>
    Effect.gen(function* () {
      const server = yield* fake()
      const runtime = yield* drive(server.baseUrl)
      const faults = {
        400: "job",
        413: "job",
        422: "job",
        401: "node",
        404: "node",
        429: "node",
        500: "node",
        503: "node"
      }
      for (const [status, fault] of Object.entries(faults)) {
        server.order({ kind: "status", status: Number(status) })
        const failed = yield* Effect.flip(Stream.runDrain(runtime.run(chat())))
        assert.deepStrictEqual([failed.code, failed.fault], [`runtime_${status}`, fault])
      }
      server.order({ kind: "cut", pieces: ["a"] })
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(runtime.run(chat())))).code, "runtime_cut")
      yield* Effect.promise(() => server.close())
      const gone = yield* Effect.flip(Stream.runDrain(runtime.run(chat())))
      assert.deepStrictEqual([gone.code, gone.fault], ["runtime_unreachable", "node"])
    })
  )

  it.live("closes the request when the stream is given up", () =>
    Effect.gen(function* () {
      const server = yield* fake()
      server.order({ kind: "stall", pieces: ["a"] }, { kind: "stall", pieces: [] })
      const runtime = yield* drive(server.baseUrl)
      const first = yield* Stream.runCollect(Stream.take(runtime.run(chat()), 1))
      assert.strictEqual(textOf(first), "a")
      yield* Effect.promise(() => server.whenAbandoned(1))
      const silent = yield* Effect.forkChild(Stream.runDrain(runtime.run(chat())))
      yield* Effect.promise(() => server.whenAsked(2))
      yield* Fiber.interrupt(silent)
      yield* Effect.promise(() => server.whenAbandoned(2))
    })
  )

  it.live("is discovered with its models, and knows which make embeddings by a probe or by being told", () =>
    Effect.gen(function* () {
      const models = [{ id: "chatty", owned_by: "vllm" }, { id: "bge-m3" }, { id: "vectors" }, { id: "e5-chat" }]
      const server = yield* fake({ models })
      server.order({ kind: "json", body: { data: [{ embedding: [1] }] } }, { kind: "status", status: 400 })
      const runtime = yield* drive(server.baseUrl, { embeddings: ["vectors"] })
      const found = yield* runtime.models
      assert.deepStrictEqual(
        found.map(({ name, endpoints }) => [name, endpoints[0]]),
        [
          ["chatty", "chat"],
          ["bge-m3", "embeddings"],
          ["vectors", "embeddings"],
          ["e5-chat", "chat"]
        ]
      )
      assert.strictEqual(yield* runtime.name, "vllm")
      assert.deepStrictEqual(yield* runtime.models, found)
      // Each was probed once, over both discoveries.
      assert.deepStrictEqual(
        server.asked.map(({ body }) => body["model"]),
        ["bge-m3", "e5-chat"]
      )
    })
  )

  it.live("is recognised by its pages when its models do not tell, and goes on as that program does", () =>
    Effect.gen(function* () {
      const settings = { default_generation_settings: {} }
      const cases: ReadonlyArray<readonly [FakeRuntimeOptions, string, boolean]> = [
        [{ pages: { "/version": { version: "0.11" } } }, "vllm", true],
        [{ pages: { "/api/version": { version: "0.9" } } }, "ollama", true],
        [{ pages: { "/props": settings } }, "llama.cpp", true],
        [{ server: "llama.cpp" }, "llama.cpp", true],
        [{}, "openai", false]
      ]
      for (const [options, name, continues] of cases) {
        const server = yield* fake({ models: [{ id: "m" }], ...options })
        const runtime = yield* drive(server.baseUrl)
        const [model] = yield* runtime.models
        assert.deepStrictEqual([yield* runtime.name, model?.canContinue], [name, continues])
        const begun = chat({ firstSeq: 2, prefix: [{ choice: 0, text: "Hel" }] })
        assert.strictEqual(runtime.declines(begun), continues ? null : "cannot_continue")
      }
    })
  )

  it.live("goes on from a beginning, and says only the end when nothing is left to say", () =>
    Effect.gen(function* () {
      const server = yield* fake()
      const runtime = yield* drive(server.baseUrl, { continuation: "vllm" })
      const prefix = [{ choice: 0, text: "Hel" }]
      yield* Stream.runDrain(runtime.run(chat({ firstSeq: 2, prefix })))
      assert.deepStrictEqual(server.asked[0]?.body["messages"], [
        ...body.messages,
        { role: "assistant", content: "Hel" }
      ])
      assert.strictEqual(server.asked[0]?.body["max_tokens"], 49)
      const chunks = yield* Stream.runCollect(
        runtime.run(chat({ firstSeq: 51, prefix: [{ choice: 0, text: "x".repeat(99) }] }))
      )
      assert.deepStrictEqual(chunks[0], { _tag: "Delta", choice: 0, text: "", finish: "length" })
      assert.strictEqual(server.asked.length, 1)
    })
  )

  it.live("makes one piece of each vector, and refuses an answer with holes", () =>
    Effect.gen(function* () {
      const server = yield* fake()
      const runtime = yield* drive(server.baseUrl)
      const ask = chat({ endpoint: "embeddings", body: { model: "m", input: ["a", "b"] } })
      const chunks = yield* Stream.runCollect(runtime.run(ask))
      assert.deepStrictEqual(chunks, [
        { _tag: "Delta", choice: 0, text: "", extra: { embedding: [0, 0.5, -0.25] }, finish: "stop" },
        { _tag: "Delta", choice: 1, text: "", extra: { embedding: [1, 0.5, -0.25] }, finish: "stop" },
        { _tag: "Usage", promptTokens: 2, outputTokens: 0 }
      ])
      server.order({ kind: "json", body: { data: [{ embedding: [1] }, {}] } })
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(runtime.run(ask)))).code, "runtime_bad_answer")
    })
  )

  it.live("is unhealthy while it does not list its models", () =>
    Effect.gen(function* () {
      const server = yield* fake()
      const runtime = yield* drive(server.baseUrl)
      assert.isTrue(yield* runtime.healthy)
      server.sick = true
      assert.isFalse(yield* runtime.healthy)
      assert.strictEqual((yield* Effect.flip(runtime.models)).fault, "node")
    })
  )
})
