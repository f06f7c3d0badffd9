/**
 * Event streams as runtimes really send them: cut anywhere, with other line ends, comments, without an end, and broken.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import { readEvents, readWhole } from "../../src/agent/ChunkReader.ts"
import { type RuntimeChunk, RuntimeFailed } from "../../src/agent/Runtime.ts"

const data = (value: unknown, end = "\n\n"): string => `data: ${JSON.stringify(value)}${end}`
const say = (content: string, more: object = {}) => ({ choices: [{ index: 0, delta: { content }, ...more }] })
const finish = (reason: string, index = 0) => ({ choices: [{ index, delta: {}, finish_reason: reason }] })
const usage = { choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } }

const read = (writes: ReadonlyArray<Uint8Array>) =>
  Stream.runCollect(readEvents(Stream.fromIterable(writes).pipe(Stream.rechunk(1), Stream.decodeText())))
const readText = (...texts: ReadonlyArray<string>) => read(texts.map((text) => Buffer.from(text)))
const failure = (...texts: ReadonlyArray<string>) => Effect.flip(readText(...texts))

const delta = (text: string, more: object = {}): RuntimeChunk => ({ _tag: "Delta", choice: 0, text, ...more })
const counted: RuntimeChunk = { _tag: "Usage", promptTokens: 3, outputTokens: 2 }
const whole = data(say("Grüße ")) + data(say("🙂 日本")) + data(finish("stop")) + data(usage) + "data: [DONE]\n\n"
const expected = [delta("Grüße "), delta("🙂 日本"), delta("", { finish: "stop" }), counted]

describe("a runtime's event stream", () => {
  it.effect.prop(
    "reads the same, cut into writes at any bytes",
    { cuts: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 400 }))) },
    ({ cuts }) =>
      Effect.gen(function* () {
        const bytes = Buffer.from(whole)
        const ends = [...cuts, bytes.length].toSorted((a, b) => a - b)
        const writes = ends.map((end, at) => bytes.subarray(ends[at - 1] ?? 0, end)).filter(({ length }) => length > 0)
        assert.deepStrictEqual(yield* read(writes), expected)
      })
  )

  it.effect("reads the same with CRLF, with comments, and with retry and event fields", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* readText(whole.replaceAll("\n", "\r\n")), expected)
      assert.deepStrictEqual(yield* readText(whole.replaceAll("data:", ": ping\n\nretry: 500\ndata:")), expected)
      assert.deepStrictEqual(yield* readText(whole.replaceAll("data: {", "event: message\nid: 1\ndata:{")), expected)
    })
  )

  it.effect("is whole without [DONE] when every choice has finished, also when the last line has no end", () =>
    Effect.gen(function* () {
      const open = data(say("a")) + data(finish("length"))
      const read = [delta("a"), delta("", { finish: "length" })]
      assert.deepStrictEqual(yield* readText(open), read)
      assert.deepStrictEqual(yield* readText(open.trimEnd()), read)
    })
  )

  it.effect("is broken when it ends and a choice has not finished", () =>
    Effect.gen(function* () {
      for (const texts of [[data(say("a"))], [data(say("a")) + data(finish("stop", 1))], [""], [": ping\n\n"]]) {
        const failed = yield* failure(...texts)
        assert.deepStrictEqual([failed.code, failed.fault], ["runtime_cut", "node"])
      }
    })
  )

  it.effect("ends the choices that gave no reason when it says [DONE], and is empty without any", () =>
    Effect.gen(function* () {
      const chunks = yield* readText(data(say("a")), "data: [DONE]\n\n", data(say("late")))
      assert.deepStrictEqual(chunks, [delta("a"), delta("", { finish: "stop" })])
      assert.strictEqual((yield* failure("data: [DONE]\n\n")).code, "runtime_empty")
    })
  )

  it.effect("drops what comes of a choice after its last piece", () =>
    Effect.gen(function* () {
      const chunks = yield* readText(
        data(say("a", { finish_reason: "stop" })),
        data(say("", { finish_reason: "stop" })),
        "data: [DONE]\n\n"
      )
      assert.deepStrictEqual(chunks, [delta("a", { finish: "stop" })])
    })
  )

  it.effect("fails by an error in the stream, after what was said before it", () =>
    Effect.gen(function* () {
      const seen: Array<RuntimeChunk> = []
      const texts = Stream.make(data(say("a")) + data({ error: { message: "no", code: 400 } }))
      const run = Stream.runForEach(readEvents(texts), (chunk) => Effect.sync(() => void seen.push(chunk)))
      const failed = yield* Effect.flip(run)
      assert.deepStrictEqual(seen, [delta("a")])
      assert.deepStrictEqual([failed.code, failed.fault], ["runtime_400", "job"])
      const own = yield* failure(data({ error: { message: "out of memory" } }))
      assert.deepStrictEqual([own.code, own.fault], ["runtime_500", "node"])
      assert.strictEqual((yield* failure(data(finish("abort")))).code, "runtime_aborted")
    })
  )

  it.effect("fails the node when it is no JSON, or JSON of another shape", () =>
    Effect.gen(function* () {
      for (const bad of ["data: {\n\n", "data: 7\n\n", data({ choices: [7] }), data({ choices: [{ index: -1 }] })]) {
        assert.strictEqual((yield* failure(bad)).code, "runtime_bad_answer", bad)
      }
    })
  )

  it.effect("passes tools, reasoning and logprobs through, and drops what says nothing", () =>
    Effect.gen(function* () {
      const call = [{ index: 0, id: "c1", function: { name: "f", arguments: "{" } }]
      const chunks = yield* readText(
        data({ choices: [{ index: 0, delta: { role: "assistant", content: "", refusal: null, tool_calls: [] } }] }),
        data({ choices: [{ index: 0, delta: { reasoning_content: "hm" } }] }),
        data({ choices: [{ index: 0, delta: { tool_calls: call } }] }),
        data(say("a", { logprobs: { content: [] } })),
        data({ choices: [{ index: 0, text: "b", logprobs: null }] }),
        data(finish("tool_calls"))
      )
      assert.deepStrictEqual(chunks, [
        delta("", { extra: { reasoning_content: "hm" } }),
        delta("", { extra: { tool_calls: call } }),
        delta("a", { extra: { logprobs: { content: [] } } }),
        delta("b"),
        delta("", { finish: "tool_calls" })
      ])
    })
  )
})

describe("an answer in one piece", () => {
  it("is read like a stream of one event", () => {
    const message = { choices: [{ index: 0, message: { role: "assistant", content: "a" }, finish_reason: "stop" }] }
    assert.deepStrictEqual(readWhole(message), [delta("a", { finish: "stop" })])
    assert.instanceOf(readWhole({ choices: [] }), RuntimeFailed)
    assert.instanceOf(readWhole({ error: { code: 422 } }), RuntimeFailed)
  })
})
