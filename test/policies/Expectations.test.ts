/** What an answer has to be, by kind of expectation; and which models a set is for. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { likeness, normal } from "../../src/policies/AnswerText.ts"
import { isMeant, judge } from "../../src/policies/Expectations.ts"
import { evaluationSetFields, type Expectation } from "../../src/schemas/Quality.ts"

const holds = (expectation: Expectation, answer: string) => judge([expectation], answer).passed
const Words = Arbitrary.array(Arbitrary.schema(Schema.Literals(["one", "two", "three", "four", "five"])), {
  minLength: 1,
  maxLength: 12
})

describe("Expectations", () => {
  const ANSWERS: ReadonlyArray<readonly [Expectation, ReadonlyArray<string>, ReadonlyArray<string>]> = [
    [{ kind: "exact", text: "It is 4" }, ["it is 4", "  IT  is\n4 "], ["It is 4.", "4", ""]],
    [{ kind: "contains", all: ["Paris", "seine"] }, ["PARIS, on the Seine"], ["Paris", "the Seine", ""]],
    [{ kind: "regex", pattern: "\\b(four|4)\\b" }, ["Four!", "it is 4"], ["fourteen", "14", ""]],
    [
      { kind: "json", required: { name: "string", legs: "number", tags: "array", of: "object", no: "null" } },
      [
        '{"name":"ant","legs":6,"tags":[],"of":{},"no":null,"more":1}',
        '```json\n{"name":"","legs":0,"tags":[1],"of":{"a":1},"no":null}\n```'
      ],
      ['{"name":"ant","legs":"6","tags":[],"of":{},"no":null}', '{"name":"ant"}', "[]", "no JSON", "null", ""]
    ],
    [{ kind: "length", min: 2, max: 4 }, ["ab", "abcd"], ["a", "abcde"]]
  ]
  for (const [expectation, right, wrong] of ANSWERS) {
    it(`${expectation.kind}: takes what is right and nothing else`, () => {
      for (const answer of right) assert.isTrue(holds(expectation, answer), answer)
      for (const answer of wrong) assert.isFalse(holds(expectation, answer), answer)
    })
  }

  it("a field that every object has anyway is no field of the answer", () => {
    assert.isFalse(holds({ kind: "json", required: { ["__proto__"]: "object" } }, "{}"))
    assert.isFalse(holds({ kind: "json", required: { toString: "object" } as never }, "{}"))
  })

  it("all have to hold, and the score is the share that did", () => {
    const expect: ReadonlyArray<Expectation> = [
      { kind: "contains", all: ["4"] },
      { kind: "length", min: 0, max: 1 }
    ]
    assert.deepStrictEqual(judge(expect, "4"), {
      checks: [
        { check: "contains", ok: true },
        { check: "length", ok: true }
      ],
      score: 1,
      passed: true
    })
    assert.deepInclude(judge(expect, "it is 4"), { score: 0.5, passed: false })
    assert.deepInclude(judge([], "anything"), { score: 0, passed: false })
  })

  it("a set is meant for models by name, and * stands for anything", () => {
    for (const [pattern, model, meant] of [
      ["*", "anything/at.all", true],
      ["llama-*", "llama-3.1", true],
      ["llama-*", "a-llama-3", false],
      ["*-instruct", "qwen-instruct", true],
      ["a*b*c", "a-b-c", true],
      ["a*b*c", "abc", true],
      ["a*b*c", "acb", false],
      ["ab*ba", "aba", false],
      ["llama", "llama", true],
      ["llama", "llama-3", false],
      ["l.ama", "llama", false]
    ] as const) {
      assert.strictEqual(isMeant(pattern, model), meant, `${pattern} ${model}`)
    }
  })

  it("a pattern that is no regular expression is refused with the set", () => {
    const isPrompts = Schema.is(evaluationSetFields.prompts)
    const prompts = (pattern: string) => [{ id: "a", text: "b", tokensMin: 8, expect: [{ kind: "regex", pattern }] }]
    assert.isTrue(isPrompts(prompts("^a+$")))
    assert.isFalse(isPrompts(prompts("(")))
    assert.isFalse(isPrompts([...prompts("a"), ...prompts("b")]))
  })
})

describe("likeness", () => {
  it.prop("is 1 for the same text, whatever its letter case and spaces", { words: Words }, ({ words }) => {
    assert.strictEqual(likeness(words.join(" "), `  ${words.join("\n ").toUpperCase()} `), 1)
  })
  it.prop("is symmetric, between 0 and 1, and 1 for the same words alone", { a: Words, b: Words }, ({ a, b }) => {
    const [left, right] = [a.join(" "), b.join(" ")]
    const like = likeness(left, right)
    assert.strictEqual(like, likeness(right, left))
    assert.isAtLeast(like, 0)
    assert.isAtMost(like, 1)
    if (normal(left) === normal(right)) assert.strictEqual(like, 1)
  })
  it("one changed word of many costs little, and another text everything", () => {
    const text = "the quick brown fox jumps over the lazy dog and runs away from it"
    assert.isAbove(likeness(text, text.replace("lazy", "sleepy")), 0.8)
    assert.strictEqual(likeness(text, "something else altogether"), 0)
    assert.strictEqual(likeness("", "a"), 0)
    assert.strictEqual(likeness("", ""), 1)
  })
})
