import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { textByChoice } from "../../src/schemas/TokenEvent.ts"

const pieces = Arbitrary.map(
  Arbitrary.array(Arbitrary.all({ choice: Arbitrary.schema(Schema.Natural), text: Arbitrary.schema(Schema.String) }), {
    maxLength: 40
  }),
  (all) => all.map(({ choice, text }) => ({ choice: choice % 12, text }))
)

describe("textByChoice", () => {
  it.prop(
    "each choice has its own texts joined in their order, and choices stand by number",
    { pieces },
    ({ pieces }) => {
      const texts = textByChoice(pieces)
      const choices = [...new Set(pieces.map(({ choice }) => choice))].toSorted((a, b) => a - b)
      assert.deepStrictEqual(
        texts.map(({ choice }) => choice),
        choices
      )
      for (const { choice, text } of texts) {
        assert.strictEqual(
          text,
          pieces
            .filter((piece) => piece.choice === choice)
            .map((piece) => piece.text)
            .join("")
        )
      }
    }
  )

  it.prop("how choices are interleaved does not matter", { pieces }, ({ pieces }) => {
    assert.deepStrictEqual(textByChoice(pieces.toSorted((a, b) => b.choice - a.choice)), textByChoice(pieces))
  })

  it("nothing said is nothing, and an empty piece is a choice that said nothing yet", () => {
    assert.deepStrictEqual(textByChoice([]), [])
    assert.deepStrictEqual(
      textByChoice([
        { choice: 10, text: "" },
        { choice: 2, text: "a" }
      ]),
      [
        { choice: 2, text: "a" },
        { choice: 10, text: "" }
      ]
    )
  })
})
