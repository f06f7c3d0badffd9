/** Answers in OpenAI's shapes, byte for byte where a client would notice. Each is also held against the schema that the document promises. */
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { ChatCompletion, ChatCompletionChunk, EmbeddingList, TextCompletion } from "../../src/schemas/openai/Answers.ts"
import { JobView } from "../../src/schemas/openai/JobView.ts"
import { refuse } from "../../src/schemas/Refusal.ts"
import { LiveNodes } from "../../src/layers/LiveNodes.ts"
import { aNodeId, aDaemonId, unique } from "../support/factories.ts"
import { ask, chat, dataOf, ended, makeWorld, pieces, tokens, World } from "./World.ts"
import { SessionId } from "../../src/schemas/Ids.ts"

const strict = { onExcessProperty: "error" } as const

it.effect("A chat completion has OpenAI's shape and says what the job cost, when it is waited for", () =>
  Effect.gen(function* () {
    const world = yield* World
    const { status, headers, body } = yield* ask("/v1/chat/completions", { body: chat() })
    assert.strictEqual(status, 200)
    Schema.decodeUnknownSync(ChatCompletion, strict)(body)
    const jobId = headers.get("x-job-id")
    assert.deepStrictEqual<unknown>(body, {
      id: `chatcmpl-${jobId}`,
      object: "chat.completion",
      created: 0,
      model: "tiny",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "Hello", refusal: null },
          logprobs: null,
          finish_reason: "stop"
        }
      ],
      usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 }
    })
    assert.strictEqual(headers.get("x-resultity-cost"), "0.000016")
    assert.strictEqual(headers.get("x-resultity-attempts"), "1")
    assert.match(headers.get("x-resultity-queue-ms") ?? "", /^\d+$/)
    assert.match(headers.get("x-ratelimit-limit-requests") ?? "", /^\d+$/)
    assert.match(headers.get("x-request-id") ?? "", /^req_/)
    assert.strictEqual(world.admitted[0]?.mode, "sync")
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A streamed chat sends role, deltas, finish, usage and [DONE] in this order", () =>
  Effect.gen(function* () {
    const world = yield* World
    world.play({
      takes: [[pieces("Hel", "lo")], [tokens({ seq: 3, choice: 0, text: "!", finish: "length" }), ended()]]
    })
    const answer = yield* ask("/v1/chat/completions", {
      body: chat({ stream: true, stream_options: { include_usage: true } })
    })
    assert.strictEqual(answer.headers.get("content-type"), "text/event-stream; charset=utf-8")
    const data = dataOf(answer.text)
    assert.strictEqual(data.at(-1), "[DONE]")
    const chunks = data
      .slice(0, -1)
      .map((text) => Schema.decodeUnknownSync(ChatCompletionChunk, strict)(JSON.parse(text)))
    assert.deepStrictEqual(
      chunks.map(({ choices: [choice], usage }) => [choice?.delta, choice?.finish_reason, usage]),
      [
        [{ role: "assistant", content: "", refusal: null }, null, null],
        [{ content: "Hel" }, null, null],
        [{ content: "lo" }, null, null],
        [{ content: "!" }, null, null],
        [{}, "length", null],
        [undefined, undefined, { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 }]
      ]
    )
    assert.deepStrictEqual(answer.text.match(/^id: \d+$/gm), ["id: 1", "id: 2", "id: 3", "id: 3"])
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Chunks carry no usage, when nobody asked for it", () =>
  Effect.gen(function* () {
    const { text } = yield* ask("/v1/chat/completions", { body: chat({ stream: true }) })
    assert.notInclude(text, "usage")
  }).pipe(Effect.provide(makeWorld()))
)

const calls = [
  tokens(
    {
      seq: 1,
      choice: 0,
      text: "",
      extra: { tool_calls: [{ index: 0, id: "c1", type: "function", function: { name: "now", arguments: "" } }] }
    },
    { seq: 2, choice: 0, text: "", extra: { tool_calls: [{ index: 0, function: { arguments: "{}" } }] } },
    { seq: 3, choice: 0, text: "", finish: "tool_calls" }
  ),
  ended()
]

it.effect("Tool calls are joined and lose their index, when the answer is waited for", () =>
  Effect.gen(function* () {
    const world = yield* World
    world.play({ takes: [calls] })
    const { body } = yield* ask("/v1/chat/completions", { body: chat() })
    const { choices } = Schema.decodeUnknownSync(ChatCompletion, strict)(body)
    assert.deepStrictEqual(choices[0]?.message, {
      role: "assistant",
      content: null,
      refusal: null,
      tool_calls: [{ id: "c1", type: "function", function: { name: "now", arguments: "{}" } }]
    })
    assert.strictEqual(choices[0]?.finish_reason, "tool_calls")
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Deltas of tool calls pass through as they are, when the answer is streamed", () =>
  Effect.gen(function* () {
    const world = yield* World
    world.play({ takes: [calls] })
    const { text } = yield* ask("/v1/chat/completions", { body: chat({ stream: true }) })
    const deltas = dataOf(text)
      .slice(1, 3)
      .map((one) => JSON.parse(one).choices[0].delta)
    assert.deepStrictEqual(deltas[1], { tool_calls: [{ index: 0, function: { arguments: "{}" } }] })
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Two answers keep their index, each with its own role and end, when n is 2", () =>
  Effect.gen(function* () {
    const world = yield* World
    const both = tokens(
      { seq: 1, choice: 1, text: "b" },
      { seq: 2, choice: 0, text: "a" },
      { seq: 3, choice: 1, text: "", finish: "stop" }
    )
    world.play({ takes: [[both], [ended()]] })
    const whole = yield* ask("/v1/chat/completions", { body: chat({ n: 2 }) })
    assert.deepStrictEqual(
      Schema.decodeUnknownSync(ChatCompletion)(whole.body).choices.map(({ index, message }) => [
        index,
        message.content
      ]),
      [
        [0, "a"],
        [1, "b"]
      ]
    )
    assert.strictEqual(world.admitted[0]?.choices, 2)
    const { text } = yield* ask("/v1/chat/completions", { body: chat({ n: 2, stream: true }) })
    const seen = dataOf(text)
      .slice(0, -1)
      .map((one) => {
        const [choice] = JSON.parse(one).choices
        return `${choice.index}:${choice.delta.role ?? choice.delta.content ?? choice.finish_reason}`
      })
    assert.deepStrictEqual(seen, ["1:assistant", "1:b", "0:assistant", "0:a", "1:stop", "0:stop"])
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Log probabilities stand beside the message, not in it", () =>
  Effect.gen(function* () {
    const world = yield* World
    const logprobs = { content: [{ token: "a", logprob: -1 }] }
    world.play({ takes: [[tokens({ seq: 1, choice: 0, text: "a", extra: { logprobs } }), ended()]] })
    const whole = yield* ask("/v1/chat/completions", { body: chat({ logprobs: true, top_logprobs: 2 }) })
    const [choice] = Schema.decodeUnknownSync(ChatCompletion, strict)(whole.body).choices
    assert.deepStrictEqual(choice?.logprobs, logprobs)
    const { text } = yield* ask("/v1/chat/completions", { body: chat({ logprobs: true, stream: true }) })
    const chunk = JSON.parse(dataOf(text)[1] ?? "{}").choices[0]
    assert.deepStrictEqual(chunk, { index: 0, delta: { content: "a" }, logprobs, finish_reason: null })
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Text completions answer several prompts in order and multiply the choices", () =>
  Effect.gen(function* () {
    const world = yield* World
    world.play({ takes: [[tokens({ seq: 1, choice: 1, text: "b" }, { seq: 2, choice: 0, text: "a" }), ended()]] })
    const whole = yield* ask("/v1/completions", { body: { model: "tiny", prompt: ["x", "y"], n: 2 } })
    const answer = Schema.decodeUnknownSync(TextCompletion, strict)(whole.body)
    assert.deepStrictEqual(
      answer.choices.map(({ index, text }) => [index, text]),
      [
        [0, "a"],
        [1, "b"]
      ]
    )
    assert.match(answer.id, /^cmpl-job_/)
    assert.strictEqual(world.admitted[0]?.choices, 4)
    const { text } = yield* ask("/v1/completions", { body: { model: "tiny", prompt: [1, 2, 3], stream: true } })
    assert.strictEqual(world.admitted[1]?.choices, 1)
    const chunks = dataOf(text).slice(0, -1)
    for (const chunk of chunks) Schema.decodeUnknownSync(TextCompletion, strict)(JSON.parse(chunk))
    assert.strictEqual(JSON.parse(chunks[0] ?? "{}").choices[0].text, "b")
  }).pipe(Effect.provide(makeWorld()))
)

it.effect(
  "Embeddings come in the order of their inputs, as numbers or as base64, whichever form the runtime sent",
  () =>
    Effect.gen(function* () {
      const world = yield* World
      const floats = Buffer.from(Float32Array.from([0.5, -2]).buffer).toString("base64")
      world.play({
        takes: [
          [
            tokens(
              { seq: 1, choice: 1, text: "", extra: { embedding: floats } },
              { seq: 2, choice: 0, text: "", extra: { embedding: [1, 0.25] } }
            ),
            ended({ usage: { promptTokens: 4, outputTokens: 0 } })
          ]
        ]
      })
      const body = { model: "vec", input: ["x", "y"], dimensions: 2 }
      const numbers = Schema.decodeUnknownSync(EmbeddingList, strict)((yield* ask("/v1/embeddings", { body })).body)
      assert.deepStrictEqual(
        numbers.data.map(({ embedding }) => embedding),
        [
          [1, 0.25],
          [0.5, -2]
        ]
      )
      assert.deepStrictEqual(numbers.usage, { prompt_tokens: 4, total_tokens: 4 })
      const answer = yield* ask("/v1/embeddings", { body: { ...body, encoding_format: "base64" } })
      const { data } = Schema.decodeUnknownSync(EmbeddingList, strict)(answer.body)
      assert.strictEqual(data[1]?.embedding, floats)
      assert.strictEqual(data[0]?.embedding, Buffer.from(Float32Array.from([1, 0.25]).buffer).toString("base64"))
      assert.strictEqual(world.admitted[0]?.choices, 2)
    }).pipe(Effect.provide(makeWorld()))
)

it.effect("A request that may be answered later is answered with its job, when the client prefers so", () =>
  Effect.gen(function* () {
    for (const asked of [
      { body: chat(), headers: { prefer: "respond-async" } },
      { body: chat({ resultity: { mode: "async" } }) }
    ]) {
      const { status, headers, body } = yield* ask("/v1/chat/completions", asked)
      assert.strictEqual(status, 202)
      const view = Schema.decodeUnknownSync(JobView, strict)(body)
      assert.strictEqual(view.request_id, view.id)
      assert.strictEqual(headers.get("location"), `/v1/jobs/${view.id}`)
    }
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A node learns the body without who asks, while the record keeps all of it", () =>
  Effect.gen(function* () {
    const world = yield* World
    yield* ask("/v1/chat/completions", {
      body: chat({ user: "u-1", metadata: { a: "b" }, seed: null, custom: [1], resultity: { region: "eu" } }),
      headers: { "x-resultity-priority": "bulk", "x-resultity-region": "us", "idempotency-key": "k" }
    })
    const [request] = world.admitted
    assert.deepStrictEqual(request?.body, { ...chat(), custom: [1] })
    assert.strictEqual(request?.clientTag, "u-1")
    assert.deepStrictEqual(request?.constraints, { region: "eu" })
    assert.strictEqual(request?.priority, "bulk")
    assert.strictEqual(request?.idempotencyKey, "k")
    assert.property(request?.request, "metadata")
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Models are those that the live fleet of the key's environment serves", () =>
  Effect.gen(function* () {
    assert.deepStrictEqual<unknown>((yield* ask("/v1/models")).body, { object: "list", data: [] })
    const live = yield* LiveNodes
    yield* live.announce(
      {
        nodeId: aNodeId(),
        environment: "testnet",
        daemonId: aDaemonId(),
        generation: 1,
        sessionId: SessionId.make(`session_${unique()}`),
        lifecycle: "active",
        restrictions: [],
        healthy: true,
        region: null,
        subclouds: [],
        isolated: false,
        gpus: [],
        slots: 4,
        models: [{ name: "org/tiny", endpoints: ["chat"], canContinue: true, loaded: true }],
        track: { firstTokenMs: 1, tokensPerSecond: 1, successRate: 1 },
        digest: "d",
        lastSeenAt: 0
      },
      1000
    )
    const model = { id: "org/tiny", object: "model", created: 0, owned_by: "resultity", endpoints: ["chat"] }
    assert.deepStrictEqual<unknown>((yield* ask("/v1/models")).body, { object: "list", data: [model] })
    for (const id of ["org/tiny", "org%2Ftiny"]) {
      assert.deepStrictEqual<unknown>((yield* ask(`/v1/models/${id}`)).body, model)
    }
    assert.strictEqual((yield* ask("/v1/models/other")).body.error.code, "model_not_found")
    const status = (yield* ask("/status", { key: null })).text
    assert.notMatch(status, /0x[0-9a-f]{40}|daemon_|session_/)
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A repeated submission gets its first answer, when the idempotency key is the same", () =>
  Effect.gen(function* () {
    const asked = { body: chat(), headers: { "idempotency-key": "once" } }
    const first = yield* ask("/v1/chat/completions", asked)
    const second = yield* ask("/v1/chat/completions", asked)
    assert.deepStrictEqual(second.body, first.body)
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A refused admission is told with its own status, field and advice", () =>
  Effect.gen(function* () {
    const world = yield* World
    world.play({ takes: [], refuse: refuse("insufficient_credits", "Needs 5 credits.") })
    const broke = yield* ask("/v1/chat/completions", { body: chat() })
    assert.deepStrictEqual([broke.status, broke.body.error.type], [402, "insufficient_quota"])
    assert.strictEqual(broke.headers.get("x-should-retry"), "false")
    world.play({ takes: [], refuse: refuse("overloaded", "Full.", { retryAfterMs: 2500 }) })
    const full = yield* ask("/v1/chat/completions", { body: chat({ stream: true }) })
    assert.strictEqual(full.status, 503)
    assert.strictEqual(full.headers.get("retry-after"), "3")
    assert.strictEqual(full.headers.get("x-should-retry"), null)
  }).pipe(Effect.provide(makeWorld()))
)
