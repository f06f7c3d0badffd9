/** How sure an answer was: only where a runtime said so, in both of its dialects, and never by what is no probability. */
import { assert, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { confidenceOf, isLowConfidence } from "../../src/policies/Confidence.ts"

const chat = (choice: number, ...logprobs: ReadonlyArray<number>) => ({
  choice,
  extra: { logprobs: { content: logprobs.map((logprob) => ({ token: "t", logprob })) } }
})
const completion = (choice: number, ...logprobs: ReadonlyArray<number | null>) => ({
  choice,
  extra: { logprobs: { tokens: ["t"], token_logprobs: logprobs } }
})
const Logprob = Arbitrary.map(Arbitrary.schema(Schema.Natural), (value) => -(value % 1000) / 100)

it("S65: Without data it is unknown and not false, whatever else a node sends in the place of probabilities", () => {
  const nonsense = [null, "x", 5, [], { content: null }, { content: ["x", { logprob: "1" }, { logprob: 3 }] }]
  for (const logprobs of nonsense) {
    const piece = { choice: 0, extra: { logprobs: logprobs as Schema.Json } }
    assert.isNull(confidenceOf([piece]))
    assert.isNull(isLowConfidence([piece], 1))
  }
  assert.isNull(isLowConfidence([], 1))
  assert.isNull(isLowConfidence([{ choice: 0 }], 1))
})

it.effect.prop(
  "S65: It is the geometric mean of the tokens' probabilities, however they are cut into pieces, of the least sure answer",
  { first: Arbitrary.array(Logprob, { minLength: 1 }), second: Arbitrary.array(Logprob, { minLength: 1 }) },
  ({ first, second }) =>
    Effect.sync(() => {
      const mean = (values: ReadonlyArray<number>) =>
        Math.exp(values.reduce((sum, each) => sum + each, 0) / values.length)
      const least = Math.min(mean(first), mean(second))
      const pieces = [...first.map((value) => chat(0, value)), completion(1, null, ...second)]
      assert.approximately(confidenceOf(pieces) ?? -1, least, 1e-9)
      assert.strictEqual(isLowConfidence(pieces, least * 1.01), true)
      assert.strictEqual(isLowConfidence(pieces, least * 0.99), false)
    })
)
