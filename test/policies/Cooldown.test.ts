import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { afterFault, afterSuccess, noFaults, type NodeFaults } from "../../src/policies/Cooldown.ts"

const rules = { cooldownFaults: 3, cooldownMs: 1_000, cooldownMaxMs: 5_000 }
/** Faults at these instants, in turn. */
const faultsAt = (...instants: ReadonlyArray<number>) => {
  let faults: NodeFaults = noFaults
  return instants.map((now) => {
    const verdict = afterFault(faults, now, rules)
    faults = verdict.faults
    return verdict.cooldownMs
  })
}

describe("Cooldown", () => {
  it("a node goes on, until it has failed as often in a row as the rules say", () => {
    assert.deepStrictEqual(faultsAt(1, 2, 3), [null, null, 1_000])
  })

  it("faults during a cooldown belong to it", () => {
    assert.deepStrictEqual(faultsAt(1, 2, 3, 4, 5, 1_002), [null, null, 1_000, null, null, null])
  })

  it("each fault after a cooldown brings one twice as long, up to the most", () => {
    assert.deepStrictEqual(faultsAt(0, 0, 0, 1_000, 3_000, 7_000, 12_000), [
      null,
      null,
      1_000,
      2_000,
      4_000,
      5_000,
      5_000
    ])
  })

  it("a success starts the count anew", () => {
    const { faults } = afterFault(afterFault(noFaults, 1, rules).faults, 2, rules)
    assert.strictEqual(afterFault(faults, 3, rules).cooldownMs, 1_000)
    assert.deepStrictEqual(afterFault(afterSuccess(faults), 3, rules), {
      faults: { consecutive: 1, cooldowns: 0, until: 0 },
      cooldownMs: null
    })
  })

  it("a success during a cooldown lets it run out without counting its faults", () => {
    const cooling: NodeFaults = { consecutive: 3, cooldowns: 1, until: 1_000 }
    assert.isNull(afterFault(afterSuccess(cooling), 999, rules).cooldownMs)
    assert.strictEqual(afterFault(afterSuccess(cooling), 999, rules).faults.consecutive, 0)
  })

  it.prop(
    "a cooldown is never longer than the most, after any number of faults",
    { cooldowns: Schema.Natural, consecutive: Schema.Natural },
    ({ cooldowns, consecutive }) => {
      const { cooldownMs, faults } = afterFault({ cooldowns: cooldowns * 1_000, consecutive, until: 0 }, 10, rules)
      assert.isTrue(cooldownMs === null ? consecutive + 1 < 3 : cooldownMs >= 1_000 && cooldownMs <= 5_000)
      assert.isTrue(Number.isFinite(faults.until))
    }
  )
})
