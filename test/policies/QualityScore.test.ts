/** What evidence says of a node, when that is too bad, and when it has recovered. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { HALF_LIFE_MS, hasRecovered, intervalOf, scoreOf, tooLow } from "../../src/policies/QualityScore.ts"
import { anEvidence } from "../support/qualityFactories.ts"

const NOW = 10 * HALF_LIFE_MS
const Few = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 50 }))
const Outcomes = Arbitrary.array(
  Arbitrary.map(Arbitrary.schema(Schema.Struct({ age: Few, passed: Few, failed: Few })), ({ age, passed, failed }) => ({
    at: NOW - age * 3_600_000,
    passed,
    failed
  })),
  { minLength: 1, maxLength: 12 }
)
const rules = { quarantineBelow: 0.5, quarantineSamples: 20 }
const outcomes = (passed: number, failed: number, at = NOW) => [{ at, passed, failed }]

describe("QualityScore", () => {
  it("is Wilson's interval: 8 of 10 lie between 0.49 and 0.94", () => {
    const { rate, low, high, samples } = intervalOf(outcomes(8, 2), NOW)!
    assert.deepStrictEqual([samples, rate], [10, 0.8])
    assert.closeTo(low, 0.4902, 0.0005)
    assert.closeTo(high, 0.9433, 0.0005)
  })

  it("nothing seen is nothing known", () => {
    assert.isNull(intervalOf([], NOW))
    assert.isNull(intervalOf(outcomes(0, 0), NOW))
  })

  it("an outcome counts half after its half-life, and never more than once when it comes from the future", () => {
    assert.strictEqual(intervalOf(outcomes(4, 0, NOW - HALF_LIFE_MS), NOW)!.samples, 2)
    assert.strictEqual(intervalOf(outcomes(4, 0, NOW + HALF_LIFE_MS), NOW)!.samples, 4)
  })

  it.prop("the share lies within its interval, and the interval within 0 and 1", { seen: Outcomes }, ({ seen }) => {
    const interval = intervalOf(seen, NOW)
    if (interval === null) return
    const { low, rate, high } = interval
    assert.isTrue(0 <= low && low <= rate && rate <= high && high <= 1, JSON.stringify(interval))
  })

  it.prop("more of the same narrows it; one more failure never lifts it", { seen: Outcomes }, ({ seen }) => {
    const interval = intervalOf(seen, NOW)
    if (interval === null) return
    const doubled = intervalOf([...seen, ...seen], NOW)!
    assert.isAtMost(doubled.high - doubled.low, interval.high - interval.low + 1e-9)
    const worse = intervalOf([...seen, ...outcomes(0, 1)], NOW)!
    assert.isAtMost(worse.high, interval.high + 1e-9)
  })

  it("no single answer, and no few, send anybody away; enough of them do, whatever else went well", () => {
    const trials = (passed: number, failed: number) => [anEvidence({ at: NOW, passed, failed })]
    const checks = [anEvidence({ source: "checks", at: NOW, passed: 100_000, failed: 0 })]
    assert.isNull(tooLow(scoreOf(trials(0, 1), [], NOW), rules))
    assert.isNull(tooLow(scoreOf(trials(0, 19), [], NOW), rules))
    assert.strictEqual(tooLow(scoreOf(trials(0, 20), [], NOW), rules), "trials")
    assert.strictEqual(tooLow(scoreOf(trials(0, 20), checks, NOW), rules), "trials")
    assert.isNull(tooLow(scoreOf(trials(8, 12), [], NOW), rules))
    assert.strictEqual(tooLow(scoreOf([], [anEvidence({ at: NOW, passed: 1, failed: 40 })], NOW), rules), "checks")
    assert.isNull(tooLow(scoreOf(trials(0, 1000), [], NOW), { ...rules, quarantineBelow: 0 }))
  })

  it("only so many re-tests passed in a row, the newest ones, show that it is better", () => {
    assert.isTrue(hasRecovered(["passed", "passed", "failed"], 2))
    assert.isTrue(hasRecovered(["running", "passed", "void", "passed", "failed"], 2))
    assert.isFalse(hasRecovered(["failed", "passed", "passed"], 2))
    assert.isFalse(hasRecovered(["passed", "failed", "passed"], 2))
    assert.isFalse(hasRecovered(["passed"], 2))
    assert.isFalse(hasRecovered([], 2))
  })
})
