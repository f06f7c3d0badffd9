import { assert, describe, it } from "@effect/vitest"
import { hunt } from "./Hunt.ts"
import { PLANTED } from "./planted/All.ts"

/** Schedules from where a bug showed last; the whole proof, from the first one on, is `npm run simulate -- --planted`. */
const SEEDS_MAX = 60

describe("a planted bug is caught", () => {
  for (const planted of PLANTED) {
    const { plant, without, from } = planted
    it(`${plant.name}${without.length > 0 ? `, without ${without.join(" and ")}` : ""}`, async () => {
      const caught = await hunt(planted, from, SEEDS_MAX)
      if (caught === null) return assert.fail(`not within ${SEEDS_MAX} schedules from ${from}`)
    })
  }
})
