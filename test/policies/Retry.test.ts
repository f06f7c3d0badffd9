import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { backoffMs, isJobsFault, mayRetry, type Failure } from "../../src/policies/Retry.ts"
import { nodeId } from "./Samples.ts"

const rules = { firstMs: 250, maxMs: 15_000 }
const chance = Arbitrary.map(Arbitrary.schema(Schema.Natural), (value) => (value % 1_000) / 1_000)
const failure = (node: number, code: string): Failure => ({ nodeId: nodeId(node), code })

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

  it("a job is at fault, when two different nodes failed in the same way", () => {
    assert.isTrue(isJobsFault([failure(1, "runtime_error"), failure(2, "runtime_error")]))
    assert.isTrue(isJobsFault([failure(1, "a"), failure(2, "b"), failure(3, "a")]))
  })

  it("a job is not at fault, when the nodes failed differently or one node failed twice", () => {
    assert.isFalse(isJobsFault([]))
    assert.isFalse(isJobsFault([failure(1, "a"), failure(2, "b")]))
    assert.isFalse(isJobsFault([failure(1, "a"), failure(1, "a"), failure(2, "b")]))
  })

  it("a job is not at fault, when its nodes were lost", () => {
    assert.isFalse(isJobsFault([failure(1, "node_lost"), failure(2, "node_lost")]))
  })

  it.prop(
    "whose fault it is does not depend on the order",
    { seeds: Arbitrary.array(Arbitrary.schema(Schema.Natural), { maxLength: 6 }) },
    ({ seeds }) => {
      const failures = seeds.map((seed) => failure(seed % 3, ["a", "b", "c", "node_lost"][seed % 4]!))
      const pair = failures.some((a) =>
        failures.some((b) => a.code === b.code && a.nodeId !== b.nodeId && a.code !== "node_lost")
      )
      assert.strictEqual(isJobsFault(failures), pair)
      assert.strictEqual(isJobsFault(failures.toReversed()), pair)
    }
  )

  it("another attempt is allowed while failures are left, time is left and the job is not to blame", () => {
    const facts = { failures: [failure(1, "a")], failuresMax: 3, now: 1_000, delayMs: 100, deadlineAt: 2_000 }
    assert.isTrue(mayRetry(facts))
    assert.isFalse(mayRetry({ ...facts, failuresMax: 1 }))
    assert.isFalse(mayRetry({ ...facts, delayMs: 1_000 }))
    assert.isFalse(mayRetry({ ...facts, failures: [failure(1, "a"), failure(2, "a")] }))
  })
})
