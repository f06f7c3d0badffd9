/** What is asked of a worker process, and what it says. One message out for each schedule it begins, so that one that hangs is known by its seed. */
import type { Caught } from "./Hunt.ts"
import type { Sweep } from "./support/Modes.ts"
import type { Report } from "./support/Report.ts"

export type Task =
  | {
      readonly _tag: "Schedules"
      readonly seed: number
      readonly count: number
      readonly without: ReadonlyArray<Sweep>
      readonly trace: boolean
    }
  | {
      readonly _tag: "Hunt"
      readonly plant: string
      readonly from: number
      readonly seedsMax: number
    }

/** A run that broke down: nothing can be said of it but this. */
export interface Broken {
  readonly seed: number
  readonly why: string
}

export type Word =
  | { readonly _tag: "Begins"; readonly seed: number }
  | { readonly _tag: "Ran"; readonly reports: ReadonlyArray<Report | Broken> }
  | { readonly _tag: "Hunted"; readonly caught: Caught | null }

export const isBroken = (report: Report | Broken): report is Broken => "why" in report
