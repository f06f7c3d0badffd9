/** What is known of one run when it is over. */
import type { Mark } from "./Coverage.ts"

export interface Violation {
  readonly checker: string
  readonly what: string
  readonly atMs: number
}

export interface Report {
  readonly seed: number
  /** Of everything that happened: the same for the same seed, wherever it runs. */
  readonly hash: string
  readonly violations: ReadonlyArray<Violation>
  /** `point kind` of each fault that came to pass. */
  readonly hit: ReadonlyArray<string>
  readonly marks: ReadonlyMap<Mark, number>
  readonly states: Readonly<Record<string, number>>
  readonly steps: number
  readonly virtualMs: number
  readonly crashes: number
}
