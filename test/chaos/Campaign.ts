/** One schedule after the other, and what came of them: violations with the line that repeats them, which faults fell where, which paths were taken. */
import { I01 } from "./checkers/I01Credits.ts"
import { I02 } from "./checkers/I02Reservations.ts"
import { I03 } from "./checkers/I03Histories.ts"
import { makeI04 } from "./checkers/I04Order.ts"
import { I05 } from "./checkers/I05Slots.ts"
import { I06 } from "./checkers/I06Streams.ts"
import { makeI07 } from "./checkers/I07Epochs.ts"
import { makeI08 } from "./checkers/I08Upkeep.ts"
import { I09 } from "./checkers/I09Text.ts"
import { I10 } from "./checkers/I10Namespaces.ts"
import { makeI11 } from "./checkers/I11Bounds.ts"
import { I12 } from "./checkers/I12Places.ts"
import { I13 } from "./checkers/I13Books.ts"
import type { Checker } from "./support/History.ts"
import type { Sweep } from "./support/Modes.ts"
import { planOf, type Plan } from "./support/Plan.ts"
import type { Plant } from "./support/Plant.ts"
import type { Report } from "./support/Report.ts"
import { Run } from "./support/Run.ts"

/** Fresh ones for each run: some remember what they saw. */
export const makeCheckers = (): ReadonlyArray<Checker> => [
  I01,
  I02,
  I03,
  makeI04(),
  I05,
  I06,
  makeI07(),
  makeI08(),
  I09,
  I10,
  makeI11(),
  I12,
  I13
]

export interface RunWish {
  readonly seed: number
  readonly without?: ReadonlyArray<Sweep>
  readonly plant?: Plant
  readonly plan?: Plan
  readonly trace?: (atMs: number, what: string) => void
}

export const runSeed = ({ seed, without = [], plant, plan, trace }: RunWish): Promise<Report> =>
  new Run(plan ?? planOf(seed, without), {
    checkers: makeCheckers(),
    ...(plant === undefined ? {} : { plant }),
    ...(trace === undefined ? {} : { trace })
  }).perform()

export const commandFor = (seed: number, without: ReadonlyArray<Sweep> = []): string =>
  `npm run simulate -- --seed ${seed}${without.length === 0 ? "" : ` --without ${without.join(",")}`}`
