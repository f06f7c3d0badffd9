/** Versions of the settings that were stored before a rule was there are read with the rule as it starts. */
import { assert, it } from "@effect/vitest"
import { Schema } from "effect"
import { initialSettings, RuntimeSettings } from "../../src/schemas/RuntimeSettings.ts"

const YOUNGER = [
  "blindPerHour",
  "replicaShare",
  "quarantineBelow",
  "quarantineSamples",
  "retestPasses",
  "retestPerHour"
] as const

const decode = Schema.decodeUnknownSync(RuntimeSettings)

it("an older version has every younger rule as a new installation has it", () => {
  const older = Object.fromEntries(
    Object.entries(initialSettings).filter(([name]) => !YOUNGER.some((young) => young === name))
  )
  assert.strictEqual(Object.keys(older).length, Object.keys(initialSettings).length - YOUNGER.length)
  assert.deepStrictEqual(decode(older), decode(initialSettings))
})

it("a rule that was set stays as it was set", () => {
  const set = { ...initialSettings, blindPerHour: 2, quarantineBelow: 0 }
  assert.deepInclude(decode(set), { blindPerHour: 2, quarantineBelow: 0 })
  assert.throws(() => decode({ ...initialSettings, replicaShare: 2 }))
})
