import { randomInt } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { commandFor, runSeed } from "./Campaign.ts"
import { doAll } from "./Pool.ts"
import { FIXED, FIXED_BARE, found } from "./Seeds.ts"
import { BARE, SWEEPS, type Sweep } from "./support/Modes.ts"
import { isBroken, type Task } from "./Tasks.ts"

const holds = async (seed: number, without: ReadonlyArray<Sweep> = []) => {
  const { violations } = await runSeed({ seed, without })
  const told = violations.slice(0, 5).map(({ checker, what }) => `${checker}: ${what}`)
  assert.deepStrictEqual(told, [], commandFor(seed, without))
}

/** The event hashes of these schedules, run in a process of their own. */
const hashesElsewhere = async (seeds: ReadonlyArray<number>): Promise<ReadonlyArray<string>> => {
  const hashes = new Map<number, string>()
  const tasks = seeds.map((seed): Task => ({
    _tag: "Schedules",
    seed,
    count: 1,
    without: [],
    trace: false
  }))
  await doAll(tasks, 1, (_, outcome) => {
    if (outcome instanceof Error) throw outcome
    if (outcome._tag !== "Ran") return
    for (const report of outcome.reports) hashes.set(report.seed, isBroken(report) ? report.why : report.hash)
  })
  return seeds.map((seed) => hashes.get(seed) ?? "nothing")
}

describe("the runtime under faults", () => {
  it("keeps every promise on the fixed seeds", async () => {
    for (const seed of FIXED) await holds(seed)
  })

  it("keeps every promise with the repairing sweeps off", async () => {
    for (const seed of FIXED_BARE) await holds(seed, BARE)
  })

  for (const [at, sweep] of SWEEPS.entries()) {
    it(`stays safe without ${sweep}`, async () => {
      for (let seed = 201 + 10 * at; seed < 206 + 10 * at; seed++) await holds(seed, [sweep])
    })
  }

  for (const { seed, without, what, open } of found()) {
    const isOpen = open === undefined ? "" : ` (open: ${open})`
    it.skipIf(open !== undefined)(`does not fall again into: ${what}${isOpen}`, () => holds(seed, without))
  }

  it("goes the same way again for the same seed, here and in another process", async () => {
    const seeds = Array.from({ length: 20 }, () => randomInt(1_000_000_000))
    const once: Array<string> = []
    for (const seed of seeds) once.push((await runSeed({ seed })).hash)
    const again: Array<string> = []
    for (const seed of seeds.toReversed()) again.unshift((await runSeed({ seed })).hash)
    assert.deepStrictEqual(again, once, `of ${seeds.join(", ")}`)
    assert.deepStrictEqual(await hashesElsewhere(seeds), once, `of ${seeds.join(", ")}`)
    assert.lengthOf(new Set(once), seeds.length)
  })
})
