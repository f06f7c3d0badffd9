/** Streams that break, pause, resume and are left; and what becomes of their jobs. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { aJob, endedRow } from "../support/factories.ts"
import { ask, chat, dataOf, ended, makeWorld, pieces, tokens, World } from "./World.ts"

/** Reads a stream piece by piece; `leave` closes the connection. */
const openStream = (path: string, { body, headers = {} }: { body?: unknown; headers?: Record<string, string> }) =>
  Effect.flatMap(World, ({ url, key }) =>
    Effect.promise(async () => {
      const response = await fetch(`${url}${path}`, {
        method: body === undefined ? "GET" : "POST",
        headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) })
      })
      const reader = response.body!.getReader()
      let text = ""
      return {
        status: response.status,
        // Not by the signal: the client forgets it once the head is read and memory is collected.
        leave: () => reader.cancel(),
        /** Reads until the text holds this, or the stream ends. */
        until: async (part: string) => {
          while (!text.includes(part)) {
            const { done, value } = await reader.read()
            if (done) break
            text += Buffer.from(value).toString("utf8")
          }
          return text
        }
      }
    })
  )

for (const mode of ["stream", "sync"] as const) {
  it.effect(`A job is cancelled for its client, when the client leaves a ${mode} request`, () =>
    Effect.gen(function* () {
      const world = yield* World
      world.play({ takes: [[pieces("Hel")]] })
      const abort = new AbortController()
      const answer = yield* Effect.forkChild(
        Effect.promise(() =>
          fetch(`${world.url}/v1/chat/completions`, {
            method: "POST",
            headers: { authorization: `Bearer ${world.key}`, "content-type": "application/json" },
            body: JSON.stringify(chat({ stream: mode === "stream" })),
            signal: abort.signal
          }).then(
            (response) => response.text().catch(() => "left"),
            () => "left"
          )
        )
      )
      yield* Effect.promise(async () => {
        while (world.admitted.length === 0) await new Promise(setImmediate)
        // One more turn, so that the request waits for the job.
        await new Promise(setImmediate)
        abort.abort()
      })
      yield* world.firstCancel
      assert.deepStrictEqual(
        world.cancelled.map(({ cause }) => cause),
        ["client_gone"]
      )
      assert.isDefined(yield* Fiber.join(answer))
    }).pipe(Effect.provide(makeWorld()))
  )
}

it.effect("A job that was there already is not cancelled, when a repeat of its submission is left", () =>
  Effect.gen(function* () {
    const world = yield* World
    world.play({ takes: [[pieces("Hel")]] })
    const asked = { body: chat({ stream: true }), headers: { "idempotency-key": "once" } }
    const first = yield* openStream("/v1/chat/completions", asked)
    const second = yield* openStream("/v1/chat/completions", asked)
    yield* Effect.promise(() => second.until("Hel"))
    yield* Effect.promise(second.leave)
    // Enough turns for the server to see that it left.
    for (let turn = 0; turn < 10; turn++) {
      yield* ask("/v1/balance")
    }
    assert.deepStrictEqual(world.cancelled, [])
    yield* Effect.promise(() => first.until("Hel"))
    yield* Effect.promise(first.leave)
    yield* world.firstCancel
    assert.strictEqual(world.cancelled.length, 1)
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A stream ends with an error event and no [DONE], when its job fails after the first piece", () =>
  Effect.gen(function* () {
    const world = yield* World
    for (const [state, code] of [
      ["failed", "job_failed"],
      ["timed_out", "job_timed_out"],
      ["cancelled", "job_cancelled"]
    ] as const) {
      world.play({ takes: [[pieces("Hel")], [ended({ state, errorCode: "node_lost" })]] })
      const { status, text } = yield* ask("/v1/chat/completions", { body: chat({ stream: true }) })
      assert.strictEqual(status, 200)
      const data = dataOf(text)
      assert.notInclude(text, "[DONE]")
      assert.strictEqual(JSON.parse(data.at(-1) ?? "{}").error.code, code)
    }
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A stream is an ordinary error, when its job ends badly before the first piece", () =>
  Effect.gen(function* () {
    const world = yield* World
    for (const [state, errorCode, status, code] of [
      ["failed", "runtime_400", 422, "job_rejected"],
      ["failed", "declined", 503, "job_failed"],
      ["timed_out", "deadline", 504, "job_timed_out"],
      ["expired", "deadline", 504, "job_expired"],
      ["cancelled", "operator", 409, "job_cancelled"]
    ] as const) {
      world.play({ takes: [[ended({ state, errorCode })]] })
      for (const stream of [true, false]) {
        const answer = yield* ask("/v1/chat/completions", { body: chat({ stream }) })
        assert.deepStrictEqual([answer.status, answer.body.error.code], [status, code])
        assert.match(answer.headers.get("x-job-id") ?? "", /^job_/)
      }
    }
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A quiet stream is kept alive with comments, and goes on after them", () =>
  Effect.gen(function* () {
    const world = yield* World
    world.play({ takes: [] })
    const asked = yield* Effect.forkChild(openStream("/v1/chat/completions", { body: chat({ stream: true }) }))
    yield* Effect.promise(async () => {
      while (world.admitted.length === 0) await new Promise(setImmediate)
    })
    yield* TestClock.adjust("6 seconds")
    const stream = yield* Fiber.join(asked)
    assert.strictEqual(stream.status, 200)
    yield* TestClock.adjust("6 seconds")
    const text = yield* Effect.promise(() => stream.until(": keep-alive\n\n: keep-alive\n\n"))
    assert.strictEqual(text, ": keep-alive\n\n: keep-alive\n\n")
    yield* Effect.promise(stream.leave)
    yield* world.firstCancel
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A reader that was cut but keeps up goes on from its position", () =>
  Effect.gen(function* () {
    const world = yield* World
    world.play({
      takes: [
        [tokens({ seq: 1, choice: 0, text: "Hel" })],
        [{ _tag: "Behind", lastSeq: 1 }],
        [tokens({ seq: 2, choice: 0, text: "lo" })],
        [ended()]
      ]
    })
    const { body } = yield* ask("/v1/chat/completions", { body: chat() })
    assert.include(JSON.stringify(body), '"content":"Hello"')
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A stream that is cut again and again ends as overloaded with the position to go on from", () =>
  Effect.gen(function* () {
    const world = yield* World
    world.play({ takes: [[tokens({ seq: 1, choice: 0, text: "Hel" })], [{ _tag: "Behind", lastSeq: 99 }]] })
    const { text } = yield* ask("/v1/chat/completions", { body: chat({ stream: true }) })
    const { error } = JSON.parse(dataOf(text).at(-1) ?? "{}")
    assert.strictEqual(error.code, "overloaded")
    assert.match(error.message, /after piece 1\..*events\?after=1/)
    assert.notInclude(text, "[DONE]")
  }).pipe(Effect.provide(makeWorld()))
)

const script = [
  [tokens({ seq: 1, choice: 0, text: "Hel" }, { seq: 2, choice: 0, text: "lo" })],
  [tokens({ seq: 3, choice: 0, text: "!", finish: "stop" }), ended()]
]

const eventsOf = (text: string) =>
  text
    .split("\n\n")
    .filter((event) => event.startsWith("event: "))
    .map((event) => {
      const field = (name: string) =>
        event
          .split("\n")
          .find((line) => line.startsWith(`${name}: `))
          ?.slice(name.length + 2)
      return { event: field("event"), id: field("id"), data: JSON.parse(field("data") ?? "null") }
    })

it.effect("A job's events come in batches with the number of the last piece, then its end", () =>
  Effect.gen(function* () {
    const world = yield* World
    const job = aJob({ namespaceId: world.namespace.id })
    world.place(endedRow({ job }), script)
    const { text } = yield* ask(`/v1/jobs/${job.id}/events`)
    assert.deepStrictEqual(eventsOf(text), [
      {
        event: "tokens",
        id: "2",
        data: [
          { seq: 1, choice: 0, text: "Hel" },
          { seq: 2, choice: 0, text: "lo" }
        ]
      },
      { event: "tokens", id: "3", data: [{ seq: 3, choice: 0, text: "!", finish: "stop" }] },
      {
        event: "ended",
        id: undefined,
        data: {
          state: "completed",
          usage: { prompt_tokens: 7, output_tokens: 3, total_tokens: 10 },
          cost: "0.000016",
          error: null
        }
      }
    ])
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A reader goes on without gap or repeat from any position, by header or by query", () =>
  Effect.gen(function* () {
    const world = yield* World
    const job = aJob({ namespaceId: world.namespace.id })
    world.place(endedRow({ job }), script)
    for (const [query, headers, seqs] of [
      ["", { "last-event-id": "1" }, [2, 3]],
      ["?after=2", {}, [3]],
      ["?after=3", {}, []]
    ] as const) {
      const { text } = yield* ask(`/v1/jobs/${job.id}/events${query}`, { headers })
      const read = eventsOf(text).flatMap(({ event, data }) =>
        event === "tokens" ? data.map(({ seq }: { seq: number }) => seq) : []
      )
      assert.deepStrictEqual(read, seqs as never)
    }
    for (const id of ["../../", "-1", "1e3", "9".repeat(30), ""]) {
      assert.strictEqual((yield* ask(`/v1/jobs/${job.id}/events?after=${encodeURIComponent(id)}`)).status, 400, id)
    }
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A reader that fell behind is told where to go on", () =>
  Effect.gen(function* () {
    const world = yield* World
    const job = aJob({ namespaceId: world.namespace.id })
    world.place(endedRow({ job, state: "active" }), [
      [tokens({ seq: 1, choice: 0, text: "x" }), { _tag: "Behind", lastSeq: 1 }]
    ])
    const { text } = yield* ask(`/v1/jobs/${job.id}/events`)
    assert.deepStrictEqual(eventsOf(text).at(-1), { event: "behind", id: undefined, data: { last_seq: 1 } })
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A reader of events may leave without a word to the job", () =>
  Effect.gen(function* () {
    const world = yield* World
    const job = aJob({ namespaceId: world.namespace.id })
    world.place(endedRow({ job, state: "active" }), [[tokens({ seq: 1, choice: 0, text: "x" })]])
    const stream = yield* openStream(`/v1/jobs/${job.id}/events`, {})
    yield* Effect.promise(() => stream.until("tokens"))
    yield* Effect.promise(stream.leave)
    yield* ask("/healthz")
    assert.deepStrictEqual(world.cancelled, [])
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("An open stream ends with the word that the server stops, and its job is left alone", () =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(makeWorld(), scope)
    const world = yield* Effect.provide(World, context)
    world.play({ takes: [[pieces("Hel")]] })
    const stream = yield* Effect.provide(openStream("/v1/chat/completions", { body: chat({ stream: true }) }), context)
    yield* Effect.promise(() => stream.until("Hel"))
    yield* Scope.close(scope, Exit.void)
    const text = yield* Effect.promise(() => stream.until("never"))
    assert.strictEqual(JSON.parse(dataOf(text).at(-1) ?? "{}").error.code, "draining")
    assert.notInclude(text, "[DONE]")
    assert.deepStrictEqual(world.cancelled, [])
  })
)

it.effect("A defect is told as internal_error without a word of itself", () =>
  Effect.gen(function* () {
    const world = yield* World
    world.play({
      takes: [],
      get refuse(): never {
        throw new Error("secret detail")
      }
    })
    const { status, headers, text, body } = yield* ask("/v1/chat/completions", { body: chat() })
    assert.deepStrictEqual([status, body.error.code], [500, "internal_error"])
    assert.strictEqual(headers.get("x-should-retry"), "false")
    assert.notInclude(text, "secret")
  }).pipe(Effect.provide(makeWorld()))
)
