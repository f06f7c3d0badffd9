import { assert, describe, it } from "@effect/vitest"
import { commandFor, runSeed } from "./Campaign.ts"
import { FIXED, FIXED_BARE, FOUND } from "./Seeds.ts"

const holds = async (seed: number, bare: boolean) => {
  const { violations } = await runSeed({ seed, bare })
  const told = violations.slice(0, 5).map(({ checker, what }) => `${checker}: ${what}`)
  assert.deepStrictEqual(told, [], commandFor(seed, bare))
}

describe("the runtime under faults", () => {
  it("keeps every promise on the fixed seeds", async () => {
    for (const seed of FIXED) await holds(seed, false)
  })

  it("keeps every promise with the repairing sweeps off", async () => {
    for (const seed of FIXED_BARE) await holds(seed, true)
  })

  for (const { seed, bare, what } of FOUND) {
    it(`does not fall again into: ${what}`, () => holds(seed, bare))
  }

  it("does the same again, to the last step, for the same seed", async () => {
    const once = async () => {
      const lines: Array<string> = []
      await runSeed({ seed: 77, trace: (atMs, what) => void lines.push(`${atMs} ${what}`) })
      return lines
    }
    const [first, second] = [await once(), await once()]
    assert.isAbove(first.length, 100)
    assert.deepStrictEqual(first, second)
  })
})
