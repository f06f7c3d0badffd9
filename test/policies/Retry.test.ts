import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { backoffMs } from "../../src/policies/Retry.ts"

const rules = { firstMs: 250, maxMs: 15_000 }
const chance = Arbitrary.map(Arbitrary.schema(Schema.Natural), (value) => (value % 1_000) / 1_000)

describe("Retry", () => {
  it.prop(
    "a wait lies between one millisecond and the doubled bound",
    { failures: Schema.Natural, chance },
    ({ failures, chance }) => {
      const wait = backoffMs(failures, rules, chance)
      assert.isTrue(Number.isInteger(wait) && wait >= 1)
      assert.isAtMost(wait, Math.min(15_000, 250 * 2 ** Math.max(0, failures - 1)))
    }
  )

  it("the bound of a wait doubles with each failure, up to the most", () => {
    const longest = Array.from({ length: 9 }, (_, index) => backoffMs(index + 1, rules, 0.999_999_999))
    assert.deepStrictEqual(longest, [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000])
    assert.strictEqual(backoffMs(5_000, rules, 0.999_999_999), 15_000)
    assert.strictEqual(backoffMs(3, rules, 0), 1)
    assert.strictEqual(backoffMs(3, rules, 0.5), 501)
  })
})
