/**
 * Seeds that run with every test. Those in seeds.json showed a real bug once; by now each says that it has not come back, however the schedule may
 * have shifted since. `npm run simulate -- … --keep` adds to them.
 */
import { readFileSync, writeFileSync } from "node:fs"
import type { Sweep } from "./support/Modes.ts"

export const FIXED: ReadonlyArray<number> = Array.from({ length: 30 }, (_, at) => at + 1)
export const FIXED_BARE: ReadonlyArray<number> = Array.from({ length: 15 }, (_, at) => at + 101)

export interface Found {
  readonly seed: number
  readonly without: ReadonlyArray<Sweep>
  readonly what: string
  /** The number of a bug that is known and not fixed yet: the test is skipped aloud. */
  readonly open?: string
}

const FILE = new URL("./seeds.json", import.meta.url)

export const found = (): ReadonlyArray<Found> => JSON.parse(readFileSync(FILE, "utf8")) as ReadonlyArray<Found>

export const keepSeed = (seed: number, without: ReadonlyArray<Sweep>, what: string): void => {
  const known = found()
  if (known.some((one) => one.seed === seed && one.without.join() === without.join())) return
  const lines = [...known, { seed, without, what }].map((one) => `  ${JSON.stringify(one)}`)
  writeFileSync(FILE, `[\n${lines.join(",\n")}\n]\n`)
}
