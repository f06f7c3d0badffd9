/** One request yields one error, the first on the way: size, key, rate, drain, schema, admission. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Readiness } from "../../src/layers/Readiness.ts"
import { refuse } from "../../src/schemas/Refusal.ts"
import { exchange, isWhole, statusOf } from "./RawSocket.ts"
import { ask, chat, makeWorld, World } from "./World.ts"

const forbidden = { takes: [], refuse: refuse("forbidden", "No.") }

it.effect("A request that is wrong in every way gets the first error, and the next once that is mended", () =>
  Effect.gen(function* () {
    const world = yield* World
    world.play(forbidden)
    const wrong = { messages: [] }
    const statuses = [
      // Too large by its own word: nothing else of it is looked at.
      statusOf(
        yield* exchange(
          "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 99999999\r\n\r\n",
          isWhole
        )
      ),
      (yield* ask("/v1/chat/completions", { body: wrong, key: null, headers: { "content-type": "text/plain" } }))
        .status,
      (yield* ask("/v1/chat/completions", { body: wrong, key: "rsk-wrong" })).status,
      (yield* ask("/v1/chat/completions", { body: wrong })).status,
      (yield* ask("/v1/chat/completions", { body: chat() })).status
    ]
    assert.deepStrictEqual(statuses, [413, 415, 401, 400, 403])
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A key above its rate is refused before its body is looked at, while another key is served", () =>
  Effect.gen(function* () {
    const world = yield* World
    const answers = yield* Effect.forEach([1, 2, 3], () => ask("/v1/chat/completions", { body: "not JSON" }))
    assert.deepStrictEqual(
      answers.map(({ status }) => status),
      [400, 400, 429]
    )
    const last = answers[2]
    assert.strictEqual(last?.body.error.code, "rate_limited")
    assert.match(last?.headers.get("retry-after") ?? "", /^[1-9]\d*$/)
    assert.strictEqual(last?.headers.get("x-ratelimit-remaining-requests"), "0")
    assert.strictEqual((yield* ask("/v1/balance", { key: world.otherKey })).status, 200)
  }).pipe(Effect.provide(makeWorld({ ratePerSecond: 1 })))
)

it.effect("Submissions are refused while reading goes on, when the daemon drains", () =>
  Effect.gen(function* () {
    yield* (yield* Readiness).startDrain
    const { status, headers, body } = yield* ask("/v1/chat/completions", { body: "not JSON" })
    assert.deepStrictEqual([status, body.error.code], [503, "draining"])
    assert.strictEqual(headers.get("retry-after"), "1")
    assert.strictEqual((yield* ask("/v1/balance")).status, 200)
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("An address that tries a thousand keys is slowed down, while a valid key from it is served", () =>
  Effect.gen(function* () {
    const statuses = yield* Effect.forEach(
      Array.from({ length: 1000 }, (_, at) => at),
      (at) => Effect.map(ask("/v1/models", { key: `rsk-${at}` }), ({ status }) => status),
      { concurrency: 20 }
    )
    assert.strictEqual(statuses.filter((status) => status === 401).length, 200)
    assert.strictEqual(statuses.filter((status) => status === 429).length, 800)
    assert.strictEqual((yield* ask("/v1/models")).status, 200)
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Every kind of wrong key is the same 401", () =>
  Effect.gen(function* () {
    const { key } = yield* World
    const tries = [
      ask("/v1/models", { key: null }),
      ask("/v1/models", { key: null, headers: { authorization: `Basic ${key}` } }),
      ask("/v1/models", { key: null, headers: { authorization: "Bearer" } }),
      ask(`/v1/models?api_key=${key}`, { key: null }),
      ask("/v1/models", { key: `${key}x` }),
      ask("/v1/models", { key: key.toUpperCase() }),
      ask("/v1/models", { key: "sk-foreign" }),
      ask("/v1/models", { key: null, headers: { "x-forwarded-for": "127.0.0.1" } })
    ]
    for (const answer of yield* Effect.all(tries)) {
      assert.strictEqual(answer.status, 401)
      assert.strictEqual(answer.headers.get("www-authenticate"), "Bearer")
      assert.strictEqual(answer.headers.get("x-should-retry"), "false")
      assert.strictEqual(answer.body.error.type, "authentication_error")
      assert.notInclude(answer.text, key)
    }
  }).pipe(Effect.provide(makeWorld()))
)
