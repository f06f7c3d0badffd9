import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { charge, isPriced, quoteFor, reservation } from "../../src/policies/Pricing.ts"
import { Credits, CREDITS_MAX } from "../../src/schemas/Credits.ts"
import { initialSettings, RuntimeSettings } from "../../src/schemas/RuntimeSettings.ts"
import { quote } from "./Samples.ts"

const settings = Schema.decodeSync(RuntimeSettings)({
  ...initialSettings,
  prices: {
    default: { perPromptToken: "1", perOutputToken: "3", perRequest: "5" },
    big: { perPromptToken: "10", perOutputToken: "30", perRequest: "0" }
  }
})
const bounds = { promptMax: Schema.Natural, outputMax: Schema.Natural }
const prices = { perPrompt: Credits, perOutput: Credits, perRequest: Credits }

describe("Pricing", () => {
  it("a quote holds the model's own price, when it has one", () => {
    assert.deepStrictEqual(quoteFor(settings, 7, "big", "chat"), { ...quote(10n, 30n, 0n), version: 7 })
  })

  it("a quote holds the default price, when the model has none", () => {
    assert.deepStrictEqual(quoteFor(settings, 7, "small", "completions"), { ...quote(1n, 3n, 5n), version: 7 })
  })

  it("a quote takes nothing from a prototype, when a model is named after a part of it", () => {
    for (const model of ["constructor", "__proto__", "toString"]) {
      assert.strictEqual(quoteFor(settings, 1, model, "chat").perOutputToken, 3n)
    }
  })

  it("a quote of embeddings has no price for output", () => {
    assert.deepStrictEqual(quoteFor(settings, 1, "big", "embeddings"), quote(10n, 0n, 0n))
  })

  it("a quote is refused, when neither the model nor a default has a price", () => {
    const unpriced = { ...settings, prices: {} }
    assert.isFalse(isPriced(unpriced, "big"))
    assert.isTrue(isPriced(settings, "small"))
    assert.throws(() => quoteFor(unpriced, 3, "big", "chat"), /no price/)
  })

  it.prop(
    "a charge is never above the reservation, when the usage is within the bounds",
    { ...prices, ...bounds, a: Schema.Natural, b: Schema.Natural },
    ({ perPrompt, perOutput, perRequest, promptMax, outputMax, a, b }) => {
      const priced = quote(perPrompt, perOutput, perRequest)
      const usage = { promptTokens: a % (promptMax + 1), outputTokens: b % (outputMax + 1) }
      const reserved = reservation(priced, promptMax, outputMax)
      const owed = perRequest + perPrompt * BigInt(usage.promptTokens) + perOutput * BigInt(usage.outputTokens)
      assert.strictEqual(charge(priced, usage, reserved), owed > CREDITS_MAX ? CREDITS_MAX : owed)
      assert.isTrue(charge(priced, usage, reserved) <= reserved)
    }
  )

  it.prop(
    "a charge is cut at what was reserved, when the usage is beyond the bounds",
    { ...prices, ...bounds, reserved: Credits },
    ({ perPrompt, perOutput, perRequest, promptMax, outputMax, reserved }) => {
      const usage = { promptTokens: promptMax, outputTokens: outputMax }
      const owed = perRequest + perPrompt * BigInt(promptMax) + perOutput * BigInt(outputMax)
      assert.strictEqual(
        charge(quote(perPrompt, perOutput, perRequest), usage, reserved),
        owed < reserved ? owed : reserved
      )
    }
  )

  it.prop(
    "reservation and charge grow with each token",
    { ...prices, ...bounds },
    ({ perPrompt, perOutput, perRequest, promptMax, outputMax }) => {
      const priced = quote(perPrompt, perOutput, perRequest)
      const here = reservation(priced, promptMax, outputMax)
      assert.isTrue(here <= reservation(priced, promptMax + 1, outputMax))
      assert.isTrue(here <= reservation(priced, promptMax, outputMax + 1))
      const all = Credits.make(CREDITS_MAX)
      const paid = (promptTokens: number, outputTokens: number) => charge(priced, { promptTokens, outputTokens }, all)
      assert.isTrue(paid(promptMax, outputMax) <= paid(promptMax + 1, outputMax))
      assert.isTrue(paid(promptMax, outputMax) <= paid(promptMax, outputMax + 1))
    }
  )

  it.prop("a price of zero costs nothing", bounds, ({ promptMax, outputMax }) => {
    const free = quote(0n, 0n, 0n)
    const reserved = reservation(free, promptMax, outputMax)
    assert.strictEqual(reserved, 0n)
    assert.strictEqual(
      charge(free, { promptTokens: promptMax, outputTokens: outputMax }, Credits.make(CREDITS_MAX)),
      0n
    )
  })

  it("a reservation stops at the most there can be, when the price is absurd", () => {
    const absurd = quote(CREDITS_MAX, CREDITS_MAX, CREDITS_MAX)
    assert.strictEqual(reservation(absurd, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER), CREDITS_MAX)
  })

  it("sums are exact, when they are beyond what a JSON number holds", () => {
    assert.strictEqual(reservation(quote(1n, 3n, 7n), 9_007_199_254_740_991, 1), 9_007_199_254_741_001n)
  })
})
