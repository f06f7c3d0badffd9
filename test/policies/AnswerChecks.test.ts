/** What is seen of any answer: structure where it was asked for, length, pace against the node's own, confidence where it is known. */
import { assert, describe, it } from "@effect/vitest"
import {
  checksOf,
  PACE_FACTOR,
  type Pace,
  paceAfter,
  type SeenAnswer,
  usualOf
} from "../../src/policies/AnswerChecks.ts"
import { chanceWithin, fits, isRepeatable, plainShape, roomier, shapedLike } from "../../src/policies/TrialShape.ts"

const seen = (over: Partial<SeenAnswer> = {}): SeenAnswer => ({
  request: { messages: [] },
  texts: () => assert.fail("the text is nobody's business here"),
  stopped: () => true,
  outputTokens: 10,
  outputTokensMax: 10,
  tokensPerSecond: null,
  usualTokensPerSecond: null,
  lowConfidence: null,
  ...over
})
const faults = (over: Partial<SeenAnswer>) => checksOf(seen(over)).flatMap(({ check, ok }) => (ok ? [] : [check]))
const json = { request: { response_format: { type: "json_object" } } } as const

describe("AnswerChecks", () => {
  it("D217: what nobody can tell is no check", () => {
    assert.deepStrictEqual(checksOf(seen()), [{ check: "length", ok: true }])
  })

  it("D217: JSON is looked for where it was asked for, and where the answer was not cut off", () => {
    const texts = (...all: ReadonlyArray<string>) => ({ ...json, texts: () => all })
    assert.deepStrictEqual(faults(texts('{"a":1}', "```json\n{}\n```")), [])
    assert.deepStrictEqual(faults(texts('{"a":1}', "sorry")), ["structure"])
    assert.deepStrictEqual(faults(texts("[1]")), ["structure"])
    assert.deepStrictEqual(faults({ ...texts('{"a":'), stopped: () => false }), [])
    assert.deepStrictEqual(faults({ request: { response_format: { type: "text" } } }), [])
  })

  it("D217: an answer has at least one token and at most as many as were asked for", () => {
    assert.deepStrictEqual(faults({ outputTokens: 0 }), ["length"])
    assert.deepStrictEqual(faults({ outputTokens: 11 }), ["length"])
  })

  it("D217: a pace far from the node's own counts against it, too fast as well as too slow", () => {
    const usualTokensPerSecond = 40
    for (const pace of [40, 40 * PACE_FACTOR, 40 / PACE_FACTOR]) {
      assert.deepStrictEqual(faults({ usualTokensPerSecond, tokensPerSecond: pace }), [])
    }
    for (const pace of [41 * PACE_FACTOR, 39 / PACE_FACTOR]) {
      assert.deepStrictEqual(faults({ usualTokensPerSecond, tokensPerSecond: pace }), ["pace"])
    }
  })

  it("confidence counts where it is known", () => {
    assert.deepStrictEqual(faults({ lowConfidence: true }), ["confidence"])
    assert.deepStrictEqual(faults({ lowConfidence: false }), [])
  })

  it("a pace is usual after some answers, and one wild answer does not move it far", () => {
    let pace: Pace | undefined
    for (let answers = 0; answers < 7; answers++) pace = paceAfter(pace, 40)
    assert.isNull(usualOf(pace))
    pace = paceAfter(pace, 40)
    assert.closeTo(usualOf(pace)!, 40, 1e-9)
    const moved = usualOf(paceAfter(pace, 1e9))!
    assert.isBelow(moved, 40 * PACE_FACTOR)
    assert.isAbove(usualOf(paceAfter(pace, 0))!, 35)
  })
})

describe("TrialShape", () => {
  const asking = { text: "What is 2 + 2?", tokensMin: 32 }
  const request = {
    temperature: 0.7,
    messages: [{ role: "system", content: "a secret" }],
    user: "somebody",
    tools: [{ secret: 1 }],
    max_tokens: 64,
    metadata: { a: "b" },
    stop: "secret",
    model: "mine",
    stream: true
  }

  it("keeps names, order, figures and switches of the customer's request, and none of its texts", () => {
    const shaped = shapedLike(request, "chat", asking)!
    assert.deepStrictEqual(shaped, {
      temperature: 0.7,
      messages: [{ role: "user", content: "What is 2 + 2?" }],
      max_tokens: 64,
      model: "",
      stream: true
    })
    assert.deepStrictEqual(Object.keys(shaped), ["temperature", "messages", "max_tokens", "model", "stream"])
    assert.deepStrictEqual(shapedLike({ model: "a", prompt: "b" }, "completions", asking), {
      model: "",
      prompt: asking.text
    })
  })

  it("is nothing where there is no such text", () => {
    assert.isNull(shapedLike(null, "chat", asking))
    assert.isNull(shapedLike([1], "chat", asking))
    assert.isNull(shapedLike({ model: "a", prompt: "b" }, "chat", asking))
  })

  it("needs room for a good answer, and makes it where there is none", () => {
    assert.isTrue(fits({ max_tokens: 32 }, asking))
    assert.isTrue(fits({}, asking))
    assert.isFalse(fits({ max_completion_tokens: 31 }, asking))
    assert.isFalse(fits(null, asking))
    assert.deepStrictEqual(roomier({ seed: 1, max_tokens: 8 }, asking), { seed: 1, max_tokens: 32 })
    assert.isTrue(fits(plainShape("chat", asking), asking))
  })

  it("only what is asked for at temperature 0, once, is repeatable", () => {
    assert.isTrue(isRepeatable({ temperature: 0 }))
    assert.isTrue(isRepeatable({ temperature: 0, n: 1 }))
    for (const other of [{}, { temperature: 0.1 }, { temperature: 0, n: 2 }, null, [0]])
      assert.isFalse(isRepeatable(other))
  })

  it("a chance grows with the time, and never knows of the last one", () => {
    assert.strictEqual(chanceWithin(0, 1e9), 0)
    assert.strictEqual(chanceWithin(60, 0), 0)
    assert.closeTo(chanceWithin(60, 60_000), 1 - Math.exp(-1), 1e-12)
    // Two short times are as good as one long one.
    const [once, twice] = [chanceWithin(10, 1000), chanceWithin(10, 2000)]
    assert.closeTo(1 - (1 - once) ** 2, twice, 1e-12)
  })
})
