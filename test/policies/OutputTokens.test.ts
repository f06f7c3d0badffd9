import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import {
  addPiece,
  countOutput,
  HIDDEN_TOKENS_PER_CHOICE,
  measureOutput,
  reconcile,
  reconcilePrompt
} from "../../src/policies/OutputTokens.ts"

type Piece = Parameters<typeof addPiece>[1]
const piece = (text: string, extra?: Piece["extra"]): Piece => (extra === undefined ? { text } : { text, extra })
const pieces = Arbitrary.map(Arbitrary.array(Arbitrary.schema(Schema.String), { maxLength: 30 }), (texts) =>
  texts.map((text) => piece(text))
)
const words = Arbitrary.array(Arbitrary.schema(Schema.NonEmptyString), { minLength: 1, maxLength: 40 })

describe("counting output", () => {
  it("a piece that says nothing counts nothing", () => {
    assert.strictEqual(
      countOutput([
        piece(""),
        piece("", { embedding: [0.1, 0.2] }),
        piece("", { logprobs: { content: [] }, role: "assistant" })
      ]),
      0
    )
  })

  it("a small piece counts one and a big one its sixteenths, by bytes and not by characters", () => {
    assert.strictEqual(countOutput([piece("a")]), 1)
    assert.strictEqual(countOutput([piece("x".repeat(16))]), 1)
    assert.strictEqual(countOutput([piece("x".repeat(17))]), 2)
    assert.strictEqual(countOutput([piece("ü".repeat(17))]), 3)
  })

  it("reasoning counts once, when a runtime sends it under both of its names", () => {
    assert.strictEqual(countOutput([piece("", { reasoning: "hm" })]), 1)
    assert.strictEqual(countOutput([piece("", { reasoning: "x".repeat(32), reasoning_content: "x".repeat(32) })]), 2)
  })

  it("whatever a model says outside of the text counts, under each name that runtimes have for it", () => {
    const said = "x".repeat(20)
    for (const field of ["reasoning", "reasoning_content", "refusal"])
      assert.strictEqual(countOutput([piece("", { [field]: said })]), 2, field)
    assert.strictEqual(countOutput([piece("", { function_call: { name: "f", arguments: said } })]), 2)
    assert.strictEqual(countOutput([piece("", { tool_calls: [], reasoning: null, audio: { id: said } })]), 0)
    assert.strictEqual(countOutput([piece("abcd", { reasoning: said })]), 2)
  })

  it("a tool call counts what the model wrote and not the ids around it", () => {
    const call = (name: string, args: string) =>
      piece("", {
        tool_calls: [
          { index: 0, id: "call_0123456789abcdef0123456789", type: "function", function: { name, arguments: args } }
        ]
      })
    assert.strictEqual(countOutput([call("", "")]), 0)
    assert.strictEqual(countOutput([call("weather", '{"a":1}')]), 1)
  })

  it.prop("a count adds up piece by piece, in any cut of the stream", { a: pieces, b: pieces }, ({ a, b }) => {
    assert.strictEqual(countOutput([...a, ...b]), countOutput(a) + countOutput(b))
    assert.deepStrictEqual([...a, ...b].reduce(addPiece, { tokens: 0, plausible: 0 }), measureOutput([...a, ...b]))
  })

  it.prop("a count is never above what is plausible, and never above the bytes", { pieces }, ({ pieces }) => {
    const { tokens, plausible } = measureOutput(pieces)
    const bytes = pieces.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0)
    assert.isAtMost(tokens, plausible)
    assert.isAtMost(plausible, bytes)
  })
})

describe("reconciling a node's claim", () => {
  const of = (texts: ReadonlyArray<string>, claimed: number, max = 10_000, choices = 1) =>
    reconcile({ claimed, counted: measureOutput(texts.map((text) => piece(text))), choices, max })

  it.prop(
    "an honest claim stands, when each token is a piece and the end is counted with it",
    { words },
    ({ words }) => {
      assert.deepStrictEqual(of(words, words.length + 1), { tokens: words.length + 1, suspicious: false })
    }
  )

  it.prop(
    "an honest claim stands, when the whole answer is one piece of tokens of any length",
    { words },
    ({ words }) => {
      const text = words.join("")
      // A byte a token is the worst tokenizer there is.
      const claimed = Buffer.byteLength(text) > 16 ? Buffer.byteLength(text) : Math.min(4, words.length)
      assert.deepStrictEqual(of([text], claimed), { tokens: claimed, suspicious: false })
    }
  )

  it.prop("an honest claim stands, when each character is a piece", { words }, ({ words }) => {
    const claimed = words.length
    assert.deepStrictEqual(
      of(
        words.flatMap((word) => [...word]),
        claimed
      ),
      { tokens: claimed, suspicious: false }
    )
  })

  it("a claim below the count stands as it is", () => {
    assert.deepStrictEqual(of(["a", "b", "c"], 1), { tokens: 1, suspicious: false })
    assert.deepStrictEqual(of(["a", "b", "c"], 0), { tokens: 0, suspicious: false })
  })

  it("an inflated claim is replaced by our count, and not cut down to the most we would have believed", () => {
    const texts = Array.from({ length: 50 }, () => "word ")
    assert.deepStrictEqual(of(texts, 50 * 4 + HIDDEN_TOKENS_PER_CHOICE), { tokens: 204, suspicious: false })
    assert.deepStrictEqual(of(texts, 50 * 4 + HIDDEN_TOKENS_PER_CHOICE + 1), { tokens: 50, suspicious: true })
  })

  it("a claim is bounded by the bytes, when the pieces are tiny", () => {
    assert.deepStrictEqual(of(["a", "b"], 2 + HIDDEN_TOKENS_PER_CHOICE + 1), { tokens: 2, suspicious: true })
  })

  it("a claim above what the job may have is never charged", () => {
    assert.deepStrictEqual(of(["word "], 3, 2), { tokens: 1, suspicious: true })
    assert.deepStrictEqual(of(["a", "b", "c"], 9, 2), { tokens: 2, suspicious: true })
  })

  it("a short tool call may be claimed with the markers that the runtime parses away", () => {
    const counted = measureOutput([
      piece("", {
        tool_calls: [{ index: 0, id: "call_1", type: "function", function: { name: "now", arguments: "{}" } }]
      })
    ])
    assert.deepStrictEqual(reconcile({ claimed: 18, counted, choices: 1, max: 100 }), { tokens: 18, suspicious: false })
  })

  it.prop(
    "what is charged is never above the bound, the claim or the count, whichever stands",
    { pieces, claimed: Schema.Natural, max: Schema.Natural, choices: Schema.Natural },
    ({ pieces, claimed, max, choices }) => {
      const counted = measureOutput(pieces)
      const { tokens, suspicious } = reconcile({ claimed, counted, choices, max })
      assert.isAtMost(tokens, max)
      assert.strictEqual(tokens, suspicious ? Math.min(counted.tokens, max) : claimed)
    }
  )

  it.prop(
    "claiming more never pays, once it is not believed",
    { pieces, claimed: Schema.Natural, more: Schema.Natural },
    ({ pieces, claimed, more }) => {
      const counted = measureOutput(pieces)
      const at = (claim: number) => reconcile({ claimed: claim, counted, choices: 1, max: 1_000_000 })
      if (at(claimed).suspicious) assert.deepStrictEqual(at(claimed + more), at(claimed))
    }
  )

  it("a claim for the prompt stands up to the bound and is cut there", () => {
    assert.deepStrictEqual(reconcilePrompt(10, 10), { tokens: 10, suspicious: false })
    assert.deepStrictEqual(reconcilePrompt(11, 10), { tokens: 10, suspicious: true })
  })
})
