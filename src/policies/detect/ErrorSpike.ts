/** Too many of the jobs that ended lately failed: of a model, or of all. */
import type { DetectorRules } from "../../schemas/DetectorRules.ts"
import { type Ended, groupBy, isFailure, isSuccess, percentOf, topCodes } from "./Ended.ts"
import { between, type Findings, type Verdict } from "./Verdict.ts"

export const EVERYTHING = "installation"

export const judge = (ended: ReadonlyArray<Ended>, rules: DetectorRules): Findings => {
  const counted = ended.filter((job) => isFailure(job) || isSuccess(job))
  const groups = [
    [EVERYTHING, counted] as const,
    ...[...groupBy(counted, ({ model }) => model)].map(([model, jobs]) => [`model/${model}`, jobs] as const)
  ]
  return {
    type: "error_spike",
    kind: "anomaly",
    verdicts: groups.flatMap(([subject, jobs]) => verdictOf(subject, jobs, rules))
  }
}

/** Of few jobs nothing can be said. */
const verdictOf = (
  subject: string,
  jobs: ReadonlyArray<Ended>,
  { errorSpike, windowMs }: DetectorRules
): ReadonlyArray<Verdict> => {
  const { volumeMin, failedPercent, recoveredPercent } = errorSpike
  if (jobs.length < volumeMin) return []
  const failed = jobs.filter((job) => isFailure(job))
  const percent = percentOf(failed.length, jobs.length)
  const codes = topCodes(failed.map(({ errorCode, state }) => errorCode ?? state))
  return [
    {
      subject,
      standing: between(percent, Math.min(recoveredPercent, failedPercent), failedPercent),
      severity: "high",
      observed: { failedPercent: percent, failed: failed.length, jobs: jobs.length, windowMs, codes },
      expected: { failedPercentBelow: failedPercent }
    }
  ]
}
