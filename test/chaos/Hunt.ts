/** Looks for the first seed at which a planted bug shows, and nothing without it. */
import { runSeed } from "./Campaign.ts"
import type { Planted } from "./planted/All.ts"
import type { Violation } from "./support/Report.ts"

export interface Caught {
  readonly seed: number
  readonly tried: number
  readonly first: Violation
}

export const hunt = async (
  { plant, without }: Planted,
  from: number,
  seedsMax: number,
  begins: (seed: number) => void = () => {}
): Promise<Caught | null> => {
  for (let tried = 1; tried <= seedsMax; tried++) {
    const seed = from + tried - 1
    begins(seed)
    // A run that breaks down altogether shows the bug too.
    const violations = await runSeed({ seed, without, plant }).then(
      (report) => report.violations,
      (error: unknown) => [{ checker: "run", what: String(error), atMs: 0 }]
    )
    const [first] = violations
    if (first === undefined) continue
    // A seed that shows something without the bug says nothing about it.
    const { violations: clean } = await runSeed({ seed, without })
    if (clean.length === 0) return { seed, tried, first }
  }
  return null
}
