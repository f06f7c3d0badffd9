/** The official client, unchanged, against the listener: what it reads, what it throws, and what it tries again. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import OpenAI, {
  APIError,
  AuthenticationError,
  BadRequestError,
  ConflictError,
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError,
  UnprocessableEntityError
} from "openai"
import { type RefusalCode, REFUSALS, refuse } from "../../src/schemas/Refusal.ts"
import { chat, ended, makeWorld, pieces, tokens, World } from "./World.ts"

const client = Effect.map(
  World,
  (world) => new OpenAI({ apiKey: world.key, baseURL: `${world.url}/v1`, maxRetries: 1, timeout: 10_000 })
)

const messages = [{ role: "user" as const, content: "Hi" }]

it.effect("The client reads chats, streams, completions, embeddings and models", () =>
  Effect.gen(function* () {
    const world = yield* World
    const openai = yield* client
    const whole = yield* Effect.promise(() => openai.chat.completions.create({ model: "tiny", messages }))
    assert.strictEqual(whole.choices[0]?.message.content, "Hello")
    assert.strictEqual(whole.usage?.total_tokens, 10)
    const streamed = yield* Effect.promise(async () => {
      const stream = await openai.chat.completions.create({
        model: "tiny",
        messages,
        stream: true,
        stream_options: { include_usage: true }
      })
      let text = ""
      let usage: unknown = null
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? ""
        usage = chunk.usage
      }
      return { text, usage }
    })
    assert.deepStrictEqual(streamed, {
      text: "Hello",
      usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 }
    })
    const text = yield* Effect.promise(() => openai.completions.create({ model: "tiny", prompt: "Hi" }))
    assert.strictEqual(text.choices[0]?.text, "Hello")
    world.play({ takes: [[tokens({ seq: 1, choice: 0, text: "", extra: { embedding: [0.5, 1] } }), ended()]] })
    const vectors = yield* Effect.promise(() => openai.embeddings.create({ model: "vec", input: "Hi" }))
    assert.deepStrictEqual(vectors.data[0]?.embedding, [0.5, 1])
    const models = yield* Effect.promise(() => openai.models.list())
    assert.deepStrictEqual(models.data, [])
  }).pipe(Effect.provide(makeWorld()))
)

type ErrorClass = abstract new (...given: never) => Error

const CLASSES: Partial<Record<RefusalCode, ErrorClass>> = {
  invalid_request: BadRequestError,
  invalid_api_key: AuthenticationError,
  insufficient_credits: APIError,
  forbidden: PermissionDeniedError,
  model_not_found: NotFoundError,
  job_cancelled: ConflictError,
  idempotency_mismatch: UnprocessableEntityError,
  job_rejected: UnprocessableEntityError,
  rate_limited: RateLimitError,
  not_available: InternalServerError,
  internal_error: InternalServerError,
  job_failed: InternalServerError,
  model_unavailable: InternalServerError,
  job_timed_out: InternalServerError
}

it.effect("The client throws the class of each refusal, and asks again only where that may help", () =>
  Effect.gen(function* () {
    const world = yield* World
    const openai = yield* client
    for (const [code, kind] of Object.entries(CLASSES) as ReadonlyArray<[RefusalCode, ErrorClass]>) {
      world.play({ takes: [], refuse: refuse(code, "No.", { retryAfterMs: 1 }) })
      const before = world.admitted.length
      const error = yield* Effect.promise(() =>
        openai.chat.completions.create({ model: "tiny", messages }).then(
          () => null,
          (thrown: unknown) => thrown
        )
      )
      assert.isTrue(error instanceof kind, code)
      assert.strictEqual((error as APIError).code, code)
      assert.strictEqual(world.admitted.length - before, REFUSALS[code].retry ? 2 : 1, code)
    }
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("The client raises a failure that comes within the stream", () =>
  Effect.gen(function* () {
    const world = yield* World
    world.play({ takes: [[pieces("Hel")], [ended({ state: "failed", errorCode: "node_lost" })]] })
    const openai = yield* client
    const { text, error } = yield* Effect.promise(async () => {
      let text = ""
      try {
        const stream = await openai.chat.completions.create({ model: "tiny", messages, stream: true })
        for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ""
        return { text, error: null }
      } catch (error) {
        return { text, error }
      }
    })
    assert.strictEqual(text, "Hel")
    assert.instanceOf(error, APIError)
    assert.strictEqual((error as APIError).code, "job_failed")
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Planned routes are refused once and for all, when the client calls them", () =>
  Effect.gen(function* () {
    const openai = yield* client
    const error = yield* Effect.promise(() =>
      openai.images.generate({ prompt: "x" }).catch((thrown: unknown) => thrown)
    )
    assert.strictEqual((error as APIError).status, 501)
    assert.strictEqual((error as APIError).headers?.get("x-should-retry"), "false")
    assert.deepStrictEqual(chat().model, "tiny")
  }).pipe(Effect.provide(makeWorld()))
)
