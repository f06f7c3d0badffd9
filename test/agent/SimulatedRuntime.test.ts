/**
 * The simulated runtime: one answer on every node, from any point of it, and breaks that can be repeated.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { Assignment, RuntimeChunk } from "../../src/agent/Runtime.ts"
import { expectedAnswer, expectedEmbedding } from "../../src/agent/SimulatedAnswer.ts"
import { CHARACTERS, make } from "../../src/agent/SimulatedRuntime.ts"

const body = { model: "sim-small", messages: [{ role: "user", content: "hello" }] }
const chat = (more: Partial<Assignment> = {}): Assignment => ({
  endpoint: "chat",
  body,
  firstSeq: 1,
  prefix: [],
  outputTokensMax: 1024,
  ...more
})
const instant = (seed = 1) => make({ character: CHARACTERS.instant, seed })
const collect = (assignment: Assignment, runtime = instant()) => Stream.runCollect(runtime.run(assignment))
const textOf = (chunks: ReadonlyArray<RuntimeChunk>, choice = 0): string =>
  chunks.map((chunk) => (chunk._tag === "Delta" && chunk.choice === choice ? chunk.text : "")).join("")
const finishes = (chunks: ReadonlyArray<RuntimeChunk>) =>
  chunks.flatMap((chunk) => (chunk._tag === "Delta" && chunk.finish !== undefined ? [chunk.finish] : []))

describe("a simulated runtime", () => {
  it.effect("gives the expected answer whatever its seed is", () =>
    Effect.gen(function* () {
      const expected = expectedAnswer("chat", body, 0)
      for (const seed of [1, 2, 3]) {
        const chunks = yield* collect(chat(), instant(seed))
        assert.strictEqual(textOf(chunks), expected.text)
        assert.deepStrictEqual(finishes(chunks), ["stop"])
        assert.strictEqual(chunks.at(-1)?._tag, "Usage")
      }
      assert.isAtLeast(expected.pieces.length, 24)
    })
  )

  it("answers differently when prompt, model, seed or choice differ", () => {
    const bodies = [body, { ...body, seed: 7 }, { ...body, model: "other" }, { ...body, messages: [] }]
    const texts = [...bodies.map((one) => expectedAnswer("chat", one, 0).text), expectedAnswer("chat", body, 1).text]
    assert.strictEqual(new Set(texts).size, texts.length)
  })

  it.effect.prop(
    "goes on from any beginning to the same whole, for any cut",
    { cut: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 600 })) },
    ({ cut }) =>
      Effect.gen(function* () {
        const { text } = expectedAnswer("chat", body, 0)
        const prefix = text.slice(0, cut)
        const chunks = yield* collect(chat({ firstSeq: 2, prefix: [{ choice: 0, text: prefix }] }))
        assert.strictEqual(prefix + textOf(chunks), text)
      })
  )

  it.effect("honours max_tokens, stop, n, min_tokens and the bound of the assignment", () =>
    Effect.gen(function* () {
      const short = yield* collect(chat({ body: { ...body, max_tokens: 5 } }))
      assert.strictEqual(textOf(short).split(" ").length, 5)
      assert.deepStrictEqual(finishes(short), ["length"])
      assert.deepStrictEqual(short.at(-1), { _tag: "Usage", promptTokens: 9, outputTokens: 5 })

      const whole = expectedAnswer("chat", body, 0)
      const stop = whole.pieces[9]?.trim() ?? ""
      const stopped = yield* collect(chat({ body: { ...body, stop: [stop] } }))
      assert.strictEqual(textOf(stopped), whole.text.slice(0, whole.text.indexOf(stop)))
      assert.deepStrictEqual(finishes(stopped), ["stop"])

      const three = yield* collect(chat({ body: { ...body, n: 3 } }))
      for (const choice of [0, 1, 2]) {
        assert.strictEqual(textOf(three, choice), expectedAnswer("chat", { ...body, n: 3 }, choice).text)
      }
      const rest = yield* collect(
        chat({ body: { ...body, n: 2 }, prefix: [{ choice: 0, text: "whatever", finished: true }] })
      )
      assert.isFalse(rest.some((chunk) => chunk._tag === "Delta" && chunk.choice === 0))
      assert.strictEqual(textOf(rest, 1), expectedAnswer("chat", { ...body, n: 2 }, 1).text)
      const long = expectedAnswer("chat", { ...body, min_tokens: 300 }, 0)
      assert.strictEqual(long.pieces.length, 300)
      const bounded = yield* collect(chat({ outputTokensMax: 4 }))
      assert.strictEqual(textOf(bounded).split(" ").length, 4)
    })
  )

  it.effect("makes unit vectors of 64 dimensions, in numbers or base64", () =>
    Effect.gen(function* () {
      const ask = { model: "sim-embed", input: ["a", "b"] }
      const chunks = yield* collect(chat({ endpoint: "embeddings", body: ask }))
      const vectors = chunks.flatMap((chunk) => (chunk._tag === "Delta" ? [chunk.extra?.["embedding"]] : []))
      assert.strictEqual(vectors.length, 2)
      const [first] = vectors as ReadonlyArray<ReadonlyArray<number>>
      assert.strictEqual(first?.length, 64)
      assert.approximately(first?.reduce((sum, x) => sum + x * x, 0) ?? 0, 1, 1e-6)
      assert.notDeepEqual(vectors[0], vectors[1])
      const spelled = expectedEmbedding({ ...ask, encoding_format: "base64" }, 0) as string
      const bytes = Uint8Array.from(Buffer.from(spelled, "base64"))
      assert.deepStrictEqual([...new Float32Array(bytes.buffer)], first)
    })
  )

  it.effect("keeps to its character's pace", () =>
    Effect.gen(function* () {
      const runtime = make({ character: CHARACTERS.steady, seed: 1 })
      const said: Array<string> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(runtime.run(chat()), (chunk) =>
          Effect.sync(() => void (chunk._tag === "Delta" ? said.push(chunk.text) : 0))
        )
      )
      yield* TestClock.adjust("149 millis")
      assert.strictEqual(said.length, 0)
      yield* TestClock.adjust("501 millis")
      assert.isAtLeast(said.length, 28)
      assert.isAtMost(said.length, 34)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.strictEqual(said.join(""), expectedAnswer("chat", body, 0).text)
    })
  )

  it.effect("breaks about one stream in five in the middle, by turns in two ways, when it is flaky", () =>
    Effect.gen(function* () {
      const runs = (seed: number) => {
        const runtime = make({ character: { ...CHARACTERS.flaky, tokensPerSecond: Infinity, firstTokenMs: 0 }, seed })
        return Effect.forEach(Array.from({ length: 500 }), () =>
          Effect.match(Stream.runCollect(runtime.run(chat())), {
            onFailure: ({ code }) => code,
            onSuccess: (chunks) => (chunks.some(({ _tag }) => _tag === "LoseSession") ? "lost" : "whole")
          })
        )
      }
      const first = yield* runs(1)
      const broken = first.filter((how) => how !== "whole")
      assert.isAtLeast(broken.length, 70)
      assert.isAtMost(broken.length, 130)
      broken.forEach((how, at) => assert.strictEqual(how, at % 2 === 0 ? "simulated_break" : "lost"))
      assert.deepStrictEqual(yield* runs(1), first)
      assert.notDeepEqual(yield* runs(2), first)
    })
  )
})
