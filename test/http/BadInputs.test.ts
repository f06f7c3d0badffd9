/** Whatever comes in, the answer is a refusal in the error contract: never a 500, never a hang, never an echo of what is ours. */
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Problem } from "../../src/schemas/openai/Problem.ts"
import { exchange, isWhole, statusOf } from "./RawSocket.ts"
import { type Answered, ask, chat, makeWorld, World } from "./World.ts"

const isRefusal = ({ status, headers, body, text }: Answered, about: unknown) => {
  assert.isTrue(status >= 400 && status < 500, `${status} for ${JSON.stringify(about).slice(0, 200)}`)
  Schema.decodeUnknownSync(Problem, { onExcessProperty: "error" })(body)
  assert.strictEqual(headers.get("x-request-id"), String(body["request_id"]))
  assert.notMatch(text, /\n {4}at |node_modules|\/src\/|rsk-aaaa/)
}

const deep = (levels: number): string => `${"[".repeat(levels)}${"]".repeat(levels)}`
const tool = (name: string) => ({ type: "function", function: { name } })
const jsonSchema = (schema: object) =>
  chat({ response_format: { type: "json_schema", json_schema: { name: "x", schema } } })

const BODIES: ReadonlyArray<readonly [string, unknown, string | null]> = [
  ["empty", "", null],
  ["null", "null", null],
  ["a list", "[]", null],
  ["a text", '"x"', null],
  ["a number", "123", null],
  ["half of it", '{"model":', null],
  ["broken UTF-8", Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x3a, 0x31, 0x7d]), null],
  ["an overlong byte", Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xc0, 0x80]), Buffer.from('"}')]), null],
  ["a lone surrogate", String.raw`{"model":"tiny","messages":[{"role":"user","content":"\ud800"}]}`, null],
  ["too deep", `{"model":"tiny","messages":${deep(65)}}`, null],
  ["too many values", `[${"1,".repeat(100_001)}1]`, null],
  ["a million keys", `{${Array.from({ length: 300_000 }, (_, at) => `"${at}":1`).join(",")}}`, null],
  ["no model", chat({ model: undefined }), "model"],
  ["an empty model", chat({ model: "" }), "model"],
  ["a long model", chat({ model: "m".repeat(10_000) }), "model"],
  ["a line in the model", chat({ model: "tiny\n" }), "model"],
  ["a query as model", chat({ model: { $ne: null } }), "model"],
  ["no messages", chat({ messages: undefined }), "messages"],
  ["empty messages", chat({ messages: [] }), "messages"],
  ["messages as object", chat({ messages: {} }), "messages"],
  ["messages as text", chat({ messages: "Hi" }), "messages"],
  [
    "2049 messages",
    chat({ messages: Array.from({ length: 2049 }, () => ({ role: "user", content: "x" })) }),
    "messages"
  ],
  ["a role that is none", chat({ messages: [{ role: "wizard", content: "x" }] }), "messages.0.role"],
  [
    "a picture by address",
    chat({
      messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "http://169.254.169.254/" } }] }]
    }),
    "messages.0.content.0.image_url.url"
  ],
  ["temperature -1", chat({ temperature: -1 }), "temperature"],
  ["temperature 2.1", chat({ temperature: 2.1 }), "temperature"],
  ["temperature as text", chat({ temperature: "1" }), "temperature"],
  ["top_p 2", chat({ top_p: 2 }), "top_p"],
  ["n 0", chat({ n: 0 }), "n"],
  ["n -1", chat({ n: -1 }), "n"],
  ["n 9", chat({ n: 9 }), "n"],
  ["n 1.5", chat({ n: 1.5 }), "n"],
  ["n as text", chat({ n: "2" }), "n"],
  ["max_tokens 0", chat({ max_tokens: 0 }), "max_tokens"],
  ["max_tokens 1e9", chat({ max_tokens: 1e9 }), "max_tokens"],
  ["five stops", chat({ stop: ["a", "b", "c", "d", "e"] }), "stop"],
  ["a long stop", chat({ stop: "s".repeat(10_240) }), "stop"],
  ["an empty stop", chat({ stop: "" }), "stop"],
  ["a number as stop", chat({ stop: 1 }), "stop"],
  ["presence_penalty 3", chat({ presence_penalty: 3 }), "presence_penalty"],
  ["seed 2^64", chat({ seed: 2 ** 64 }), "seed"],
  ["seed as text", chat({ seed: "a" }), "seed"],
  ["stream as text", chat({ stream: "true" }), "stream"],
  ["stream_options alone", chat({ stream_options: { include_usage: true } }), "stream_options"],
  ["top_logprobs alone", chat({ top_logprobs: 3 }), "top_logprobs"],
  ["129 tools", chat({ tools: Array.from({ length: 129 }, (_, at) => tool(`t${at}`)) }), "tools"],
  ["a choice without its tool", chat({ tools: [tool("a")], tool_choice: tool("b") }), "tool_choice"],
  ["functions and tools", chat({ tools: [tool("a")], functions: [{ name: "a" }] }), "functions"],
  ["a schema that fetches", jsonSchema({ $ref: "http://169.254.169.254/x" }), "response_format.json_schema.schema"],
  [
    "a schema that recurs",
    jsonSchema({ $ref: "#/$defs/a", $defs: { a: { items: { $ref: "#/$defs/a" } } } }),
    "response_format.json_schema.schema"
  ],
  ["a schema that backtracks", jsonSchema({ type: "string", pattern: "(a+)+$" }), "response_format.json_schema.schema"],
  [
    "a schema of 10000 parts",
    jsonSchema({
      properties: Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`p${at}`, { type: "null" }]))
    }),
    "response_format.json_schema.schema"
  ],
  ["a field in resultity too many", chat({ resultity: { regoin: "eu" } }), "resultity.regoin"],
  ["priority test", chat({ resultity: { priority: "test" } }), "resultity.priority"],
  ["deadline 0", chat({ resultity: { deadline_ms: 0 } }), "resultity.deadline_ms"],
  ["deadline 1e9", chat({ resultity: { deadline_ms: 1e9 } }), "resultity.deadline_ms"],
  ["sync and stream", chat({ stream: true, resultity: { mode: "sync" } }), "resultity.mode"]
]

it.effect("Each bad chat is refused, and names its field", () =>
  Effect.gen(function* () {
    for (const [name, body, param] of BODIES) {
      const answer = yield* ask("/v1/chat/completions", { body })
      isRefusal(answer, name)
      assert.deepStrictEqual([name, answer.status, answer.body.error.param], [name, 400, param as never])
    }
    assert.deepStrictEqual((yield* World).admitted, [])
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Bad completions and embeddings are refused by the name of their field", () =>
  Effect.gen(function* () {
    const cases = [
      ["/v1/completions", { model: "m", prompt: [] }, "prompt"],
      ["/v1/completions", { model: "m", prompt: "x", echo: true }, "echo"],
      ["/v1/completions", { model: "m", prompt: "x", suffix: "y" }, "suffix"],
      ["/v1/completions", { model: "m", prompt: "x", best_of: 3 }, "best_of"],
      ["/v1/completions", { model: "m", prompt: Array.from({ length: 100 }, () => "x"), n: 2 }, "n"],
      ["/v1/embeddings", { model: "m", input: "" }, "input"],
      ["/v1/embeddings", { model: "m", input: [] }, "input"],
      ["/v1/embeddings", { model: "m", input: "x", encoding_format: "hex" }, "encoding_format"],
      ["/v1/embeddings", { model: "m", input: "x", dimensions: 0 }, "dimensions"],
      ["/v1/embeddings", { model: "m", input: "x", resultity: { mode: "stream" } }, "mode"]
    ] as const
    for (const [path, body, param] of cases) {
      const answer = yield* ask(path, { body })
      isRefusal(answer, body)
      assert.deepStrictEqual([answer.status, answer.body.error.param], [400, param])
    }
  }).pipe(Effect.provide(makeWorld()))
)

it.effect.prop(
  "Any JSON at all is admitted or refused in the contract, never a defect",
  {
    body: Schema.Json,
    field: Schema.Literals(["messages", "stop", "tools", "resultity", "response_format", "stream_options", "user"])
  },
  ({ body, field }) =>
    Effect.gen(function* () {
      const answer = yield* ask("/v1/chat/completions", { body: JSON.stringify({ ...chat(), [field]: body }) })
      if (answer.status !== 200 && answer.status !== 202) isRefusal(answer, body)
      isRefusal(yield* ask("/v1/chat/completions", { body: JSON.stringify(body) }), body)
    }).pipe(Effect.provide(makeWorld())),
  { arbitrary: { runs: 40 } }
)

it.effect("A prototype key does no harm and does not travel on", () =>
  Effect.gen(function* () {
    const body =
      '{"model":"tiny","__proto__":{"polluted":1},"messages":[{"role":"user","content":"Hi","__proto__":{"polluted":1}}],"constructor":{"prototype":{"polluted":1}}}'
    assert.strictEqual((yield* ask("/v1/chat/completions", { body })).status, 200)
    assert.isUndefined(({} as { readonly polluted?: unknown }).polluted)
    assert.notInclude(JSON.stringify((yield* World).admitted[0]?.request), "__proto__")
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Odd text arrives as it was sent", () =>
  Effect.gen(function* () {
    for (const content of [
      "\u0000",
      "<|im_start|>system",
      "\ud83d\ude00\u202e",
      "'; DROP TABLE job; --",
      "__proto__ \\u0041"
    ]) {
      yield* ask("/v1/chat/completions", { body: chat({ messages: [{ role: "user", content }] }) })
      const last = (yield* World).admitted.at(-1)
      assert.deepStrictEqual(last?.body["messages"], [{ role: "user", content }])
    }
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Headers that are wrong are refused by name", () =>
  Effect.gen(function* () {
    const cases = [
      [{ "idempotency-key": "k".repeat(256) }, "Idempotency-Key"],
      [{ "x-resultity-typo": "1" }, "x-resultity-typo"],
      [{ "x-resultity-deadline-ms": "soon" }, "resultity.deadline_ms"],
      [{ "x-resultity-priority": "highest" }, "resultity.priority"]
    ] as const
    for (const [headers, param] of cases) {
      const { status, body } = yield* ask("/v1/chat/completions", { body: chat(), headers })
      assert.deepStrictEqual([status, body.error.param], [400, param])
    }
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Bodies that are not plain JSON are refused for their media type", () =>
  Effect.gen(function* () {
    for (const headers of [
      { "content-type": "text/plain" },
      { "content-type": "application/json; charset=utf-16" },
      { "content-type": "multipart/form-data; boundary=x" },
      { "content-encoding": "gzip" },
      { "content-encoding": "br" }
    ]) {
      const answer = yield* ask("/v1/chat/completions", { body: chat(), headers })
      assert.strictEqual(answer.status, 415, JSON.stringify(headers))
      isRefusal(answer, headers)
    }
    assert.strictEqual(
      (yield* ask("/v1/chat/completions", {
        body: chat(),
        headers: { "content-type": "application/json; charset=UTF-8" }
      })).status,
      200
    )
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Paths that are none are 404, methods that are none 405 with those that are", () =>
  Effect.gen(function* () {
    for (const path of [
      "/metrics",
      "/admin",
      "/debug",
      "/.env",
      "/api/jobs",
      "/control/nodes",
      "/v1",
      "/v1/jobs/",
      "/%ff"
    ]) {
      const answer = yield* ask(path)
      assert.strictEqual(answer.status, 404, path)
      isRefusal(answer, path)
    }
    for (const [path, method, allow] of [
      ["/v1/chat/completions", "GET", "POST"],
      ["/v1/jobs", "DELETE", "POST, GET"],
      ["/v1/models", "PUT", "GET"]
    ] as const) {
      const answer = yield* ask(path, { method })
      assert.deepStrictEqual([answer.status, answer.headers.get("allow")], [405, allow])
      isRefusal(answer, path)
    }
    assert.strictEqual((yield* ask("/healthz", { method: "HEAD", key: null })).status, 200)
    assert.strictEqual((yield* ask(`/v1/models/${"x".repeat(20_000)}`)).status, 414)
    assert.strictEqual((yield* ask("/v1/models", { headers: { "x-long": "y".repeat(9_000) } })).status, 431)
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("What is not HTTP is answered in the contract and closed", () =>
  Effect.gen(function* () {
    const head = "host: x\r\nauthorization: Bearer x\r\ncontent-type: application/json"
    const cases = [
      ["POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", [400]],
      [
        `POST /v1/chat/completions HTTP/1.1\r\n${head}\r\ntransfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n`,
        [400, 401]
      ],
      [
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        [400]
      ],
      ["GET /healthz HTTP/1.1\r\nhost: x\r\nx-bad: a\u0000b\r\n\r\n", [400]],
      ["FOO / HTTP/1.1\r\nhost: x\r\n\r\n", [400]],
      ["TRACE /healthz HTTP/1.1\r\nhost: x\r\n\r\n", [405]],
      ["CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n", [405]],
      ["GET /healthz HTTP/1.1\r\n\r\n", [400]],
      ["\u0016\u0003\u0001\u0002\u0000", [400]],
      [`GET /${"x".repeat(40_000)} HTTP/1.1\r\nhost: x\r\n\r\n`, [414]],
      [`GET / HTTP/1.1\r\nhost: x\r\nx-long: ${"y".repeat(40_000)}\r\n\r\n`, [431]]
    ] as const
    for (const [bytes, statuses] of cases) {
      const text = yield* exchange(bytes, isWhole)
      assert.include(statuses as ReadonlyArray<number>, statusOf(text), bytes.slice(0, 80))
      assert.include(text, '{"error":{"message":')
    }
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A body that turns out too large while it comes is refused and the connection closed", () =>
  Effect.gen(function* () {
    const { key } = yield* World
    const chunk = `${(1024 * 1024).toString(16)}\r\n${" ".repeat(1024 * 1024)}\r\n`
    const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`
    const text = yield* exchange(head + chunk.repeat(9), isWhole)
    assert.strictEqual(statusOf(text), 413)
    assert.match(text, /connection: close/i)
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Search filters are an allow-list with bounds", () =>
  Effect.gen(function* () {
    const queries = [
      "model[$ne]=x",
      "sort=$natural",
      "q=(a%2B)%2B$",
      "limit=0",
      "limit=-1",
      "limit=1000000000",
      "limit=1e3",
      "limit=NaN",
      "from=2026-02-30",
      "from=0000-00-00",
      "from=275760-01-01",
      "from=2026-01-01T00:00:00%2B99:99",
      "from=2016-01-01&to=2026-01-01",
      "from=2026-02-01&to=2026-01-01",
      "type=images",
      "status=lost",
      "cursor=abc",
      "cursor=%00",
      "limit=1&limit=2",
      "user=%00"
    ]
    for (const query of queries) {
      const answer = yield* ask(`/v1/jobs?${query}`)
      assert.strictEqual(answer.status, 400, query)
      isRefusal(answer, query)
    }
    assert.strictEqual((yield* ask("/v1/jobs?from=2026-01-31&to=2026-02-28T12:00:00Z&limit=5")).status, 200)
    assert.strictEqual((yield* ask("/v1/models?limit=1000000000")).status, 400)
    assert.strictEqual((yield* ask("/v1/usage?group_by=prompt")).status, 400)
  }).pipe(Effect.provide(makeWorld()))
)
