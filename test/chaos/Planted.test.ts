import { assert, describe, it } from "@effect/vitest"
import { commandFor, runSeed } from "./Campaign.ts"
import { hunt } from "./Hunt.ts"
import { PLANTED } from "./planted/All.ts"

/** Seeds that a bug may need to show, from where it showed last. */
const SEEDS_MAX = 60

describe("a planted bug is caught", () => {
  for (const planted of PLANTED) {
    const { plant, bare, from } = planted
    it(`${plant.name}${bare ? ", with the repairing sweeps off" : ""}`, async () => {
      const caught = await hunt(planted, from, SEEDS_MAX)
      if (caught === null) return assert.fail(`not within ${SEEDS_MAX} seeds from ${from}`)
      const { seed, tried, first } = caught
      console.log(`${plant.name}: seed ${seed} (${tried} tried), ${first.checker}: ${first.what.slice(0, 100)}`)
      const { violations } = await runSeed({ seed, bare })
      assert.deepStrictEqual(violations, [], `without the bug: ${commandFor(seed, bare)}`)
    })
  }
})
