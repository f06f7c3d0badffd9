/** Text in a field: itself wherever that is safe, and never taken for another text. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { readText, storedText } from "../../../src/layers/mongodb/StoredText.ts"

describe("text in a field", () => {
  it("is itself where every server keeps it", () => {
    for (const text of ["", "llama-3.1-8b", "é😀", "$where", "a.b", "\u2028"])
      assert.strictEqual(storedText(text), text)
  })

  it.effect.prop(
    "comes back, and has neither NUL nor a lone surrogate while it is stored",
    { text: Schema.String },
    ({ text }) =>
      Effect.sync(() => {
        for (const each of [text, `${text}\u0000`, `\ud800${text}`, `json:${text}`, storedText(`\udfff${text}`)]) {
          const stored = storedText(each)
          assert.strictEqual(readText(stored), each)
          assert.isTrue(stored.isWellFormed() && !stored.includes("\u0000"))
        }
      })
  )
})
