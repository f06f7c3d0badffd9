/**
 * How good a node is with a model, as far as the evidence goes: a Wilson interval over outcomes that fade with age. Trials and checks make an interval
 * each, and the worse one decides: a thousand answers of the right form must not outweigh twenty wrong ones.
 */
import type { Evidence, Interval, Score } from "../schemas/Quality.ts"

/** An outcome counts half after so long. */
export const HALF_LIFE_MS = 3 * 86_400_000

/** Of the normal distribution, for 95 %. */
const Z = 1.96

export type Outcome = Pick<Evidence, "at" | "passed" | "failed">

/** null when nothing is known. Samples are what was seen, faded; they need not be whole. */
export const intervalOf = (outcomes: ReadonlyArray<Outcome>, now: number): Interval | null => {
  let [passed, failed] = [0, 0]
  for (const outcome of outcomes) {
    const weight = 0.5 ** (Math.max(0, now - outcome.at) / HALF_LIFE_MS)
    passed += weight * outcome.passed
    failed += weight * outcome.failed
  }
  const samples = passed + failed
  if (!(samples > 0)) return null
  const rate = passed / samples
  const square = Z * Z
  const middle = (rate + square / (2 * samples)) / (1 + square / samples)
  const reach =
    (Z / (1 + square / samples)) * Math.sqrt((rate * (1 - rate)) / samples + square / (4 * samples * samples))
  // Rounding must not push the rate out of its own interval.
  return {
    samples,
    rate,
    low: Math.max(0, Math.min(rate, middle - reach)),
    high: Math.min(1, Math.max(rate, middle + reach))
  }
}

export const scoreOf = (trials: ReadonlyArray<Evidence>, checks: ReadonlyArray<Evidence>, now: number): Score => ({
  trials: intervalOf(trials, now),
  checks: intervalOf(checks, now),
  faults: faultsOf([...trials, ...checks]),
  at: now
})

const faultsOf = (evidence: ReadonlyArray<Evidence>): Score["faults"] => {
  const sums: Record<string, number> = {}
  for (const { faults } of evidence) {
    for (const [check, count] of Object.entries(faults)) sums[check] = (sums[check] ?? 0) + count
  }
  return sums
}

export interface QuarantineRules {
  /** A share below which nobody can be trusted; 0: never. */
  readonly quarantineBelow: number
  /** Samples without which nothing is decided: no single answer sends anybody away. */
  readonly quarantineSamples: number
}

/** By which evidence the node is certainly worse than the rules allow; null: by none. */
export const tooLow = ({ trials, checks }: Score, rules: QuarantineRules): "trials" | "checks" | null => {
  const isLow = (interval: Interval | null) =>
    interval !== null && interval.samples >= rules.quarantineSamples && interval.high < rules.quarantineBelow
  if (isLow(trials)) return "trials"
  return isLow(checks) ? "checks" : null
}

/** Whether the newest re-tests, newest first, were all passed, and are as many as it takes. Void ones say nothing. */
export const hasRecovered = (states: ReadonlyArray<string>, passes: number): boolean => {
  const told = states.filter((state) => state === "passed" || state === "failed").slice(0, passes)
  return told.length === passes && told.every((state) => state === "passed")
}
