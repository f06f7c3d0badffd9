/** What a request leaves behind: one line, one rejection, and never what it said. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { Rejections, REJECTIONS_MAX } from "../../src/http/Rejections.ts"
import { Incidents, make as makeIncidents } from "../../src/layers/Incidents.ts"
import { Outage } from "../../src/layers/Outage.ts"
import { refuse } from "../../src/schemas/Refusal.ts"
import { operator } from "../support/recordFactories.ts"
import { ask, chat, ended, makeWorld, pieces, World } from "./World.ts"

const lines: Array<string> = []
const capture = Logger.layer([
  Logger.make((options) => void lines.push(JSON.stringify([options.message, options.cause])))
])

it.effect("Each request leaves one line that holds no key, no query and nothing it said", () =>
  Effect.gen(function* () {
    const { key, play } = yield* World
    lines.length = 0
    const secret = "the-secret-prompt"
    const body = chat({ messages: [{ role: "user", content: secret }] })
    yield* ask("/v1/chat/completions", { body })
    yield* ask("/v1/chat/completions", { body: { ...body, temperature: secret } })
    yield* ask(`/v1/jobs?user=${secret}`)
    yield* ask(`/${secret}`)
    play({ takes: [[pieces("half")], [ended({ state: "failed", errorCode: "declined" })]] })
    yield* ask("/v1/chat/completions", { body: { ...body, stream: true } })
    play({
      takes: [],
      get refuse(): never {
        throw new Error(secret)
      }
    })
    yield* ask("/v1/chat/completions", { body })
    const requests = lines.filter((line) => line.includes('"request"'))
    assert.strictEqual(requests.length, 6)
    assert.isTrue(lines.some((line) => line.includes('"defect"')))
    const text = lines.join("\n")
    assert.notInclude(text, secret)
    assert.notInclude(text, key)
    assert.include(text, '"route":"/v1/chat/completions","status":200')
  }).pipe(Effect.provide(makeWorld({ logs: true }).pipe(Layer.provideMerge(capture))))
)

it.effect(
  "A refused submission writes one rejection with code, stage and namespace, and reading routes write none",
  () =>
    Effect.gen(function* () {
      const { namespace, play } = yield* World
      yield* ask("/v1/chat/completions", { body: chat({ n: 0 }) })
      yield* ask("/v1/chat/completions", { body: chat(), key: "rsk-wrong" })
      play({ takes: [], refuse: refuse("insufficient_credits", "No.") })
      yield* ask("/v1/embeddings", { body: { model: "vec", input: "x" } })
      yield* ask("/v1/jobs/none")
      yield* TestClock.adjust("2 seconds")
      const found = yield* (yield* Incidents).list(operator, { kind: "rejection", limit: 10 })
      const told = found.map(({ type, stage, namespaceId, subject }) => `${type} ${stage} ${namespaceId} ${subject}`)
      assert.deepStrictEqual(told.toSorted(), [
        `insufficient_credits admission ${namespace.id} namespace/${namespace.id}`,
        "invalid_api_key key null listener/public",
        `invalid_request schema ${namespace.id} namespace/${namespace.id}`
      ])
    }).pipe(Effect.provide(makeWorld()))
)

const rejection = { refusal: refuse("rate_limited", "No."), stage: "rate", caller: null, model: null, at: 0 } as const

it.effect("Rejections are bounded while the store is out, and answers do not wait for it", () =>
  Effect.gen(function* () {
    const { note, flush } = yield* Rejections
    for (let at = 0; at < REJECTIONS_MAX; at++) assert.isTrue(note(rejection))
    assert.isFalse(note(rejection))
    yield* flush
    assert.isTrue(note(rejection))
  }).pipe(
    Effect.provide(
      Rejections.layer.pipe(
        Layer.provide(
          Layer.succeed(
            Incidents,
            makeIncidents({
              raise: () => Effect.fail(new Outage({ of: "Incidents", during: "raise", cause: null })),
              list: () => Effect.succeed([]),
              after: () => Effect.succeed([]),
              latest: () => Effect.succeed(null),
              put: () => Effect.succeed(true)
            })
          )
        )
      )
    )
  )
)
