/** Many runs, one after the other, and what came of them: violations with the line that repeats them, and which faults fell where. */
import { I01 } from "./checkers/I01Credits.ts"
import { I02 } from "./checkers/I02Reservations.ts"
import { I03 } from "./checkers/I03Histories.ts"
import { makeI04 } from "./checkers/I04Order.ts"
import { I05 } from "./checkers/I05Slots.ts"
import { I06 } from "./checkers/I06Streams.ts"
import { I07 } from "./checkers/I07Epochs.ts"
import { I09 } from "./checkers/I09Text.ts"
import { I10 } from "./checkers/I10Namespaces.ts"
import { makeI11 } from "./checkers/I11Bounds.ts"
import { I12 } from "./checkers/I12Places.ts"
import type { Checker } from "./support/History.ts"
import { planOf, type Plan } from "./support/Plan.ts"
import type { Plant } from "./support/Plant.ts"
import { Run, type Report } from "./support/Run.ts"

/** Fresh ones for each run: some remember what they saw. */
export const makeCheckers = (): ReadonlyArray<Checker> => [
  I01,
  I02,
  I03,
  makeI04(),
  I05,
  I06,
  I07,
  I09,
  I10,
  makeI11(),
  I12
]

export interface RunWish {
  readonly seed: number
  readonly bare?: boolean
  readonly plant?: Plant
  readonly plan?: Plan
  readonly trace?: (atMs: number, what: string) => void
}

export const runSeed = ({ seed, bare = false, plant, plan, trace }: RunWish): Promise<Report> =>
  new Run(plan ?? planOf(seed, bare), {
    checkers: makeCheckers(),
    ...(plant === undefined ? {} : { plant }),
    ...(trace === undefined ? {} : { trace })
  }).perform()

export const commandFor = (seed: number, bare: boolean): string =>
  `node scripts/faults.ts --seed ${seed}${bare ? " --bare" : ""}`
