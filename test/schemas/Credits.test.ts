import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Credits, CREDITS_MAX, CreditsFromString, fromDecimal, toDecimal } from "../../src/schemas/Credits.ts"

describe("Credits", () => {
  it.prop("an amount survives being printed for a person", { amount: Credits }, ({ amount }) => {
    assert.strictEqual(fromDecimal(toDecimal(amount)), amount)
  })

  it("amounts are printed without trailing zeros and with their sign", () => {
    const printed = [0n, 1n, 10n, 1_000_000n, 1_500_000n, 1_234_567n, CREDITS_MAX, -2_500_000n].map(toDecimal)
    assert.deepStrictEqual(printed, [
      "0",
      "0.000001",
      "0.00001",
      "1",
      "1.5",
      "1.234567",
      "9223372036854.775807",
      "-2.5"
    ])
  })

  it("what is no amount is none", () => {
    for (const text of [
      "",
      ".",
      ".5",
      "1.",
      "-1",
      "+1",
      "1e3",
      "0x10",
      "1,5",
      "1.1234567",
      "99999999999999",
      "9223372036854.775808",
      "١"
    ]) {
      assert.isUndefined(fromDecimal(text), text)
    }
    assert.strictEqual(fromDecimal(" 1.5 "), 1_500_000n)
    assert.strictEqual(fromDecimal("007"), 7_000_000n)
  })

  it("an amount is never negative and never more than a column holds", () => {
    const isCredits = Schema.is(Credits)
    assert.deepStrictEqual(
      [-1n, 0n, CREDITS_MAX, CREDITS_MAX + 1n].map((amount) => isCredits(amount)),
      [false, true, true, false]
    )
    const decode = Schema.decodeUnknownOption(CreditsFromString)
    assert.deepStrictEqual(
      ["-1", "0", `${CREDITS_MAX}`, `${CREDITS_MAX + 1n}`, "1.5", "", 5].map((text) => decode(text)._tag),
      ["None", "Some", "Some", "None", "None", "None", "None"]
    )
  })

  it.prop("an amount travels as a decimal string", { amount: CreditsFromString }, ({ amount }) => {
    assert.strictEqual(Schema.encodeSync(CreditsFromString)(amount), amount.toString())
  })
})
