/** Names of trials: a fresh one, and that of the replica of a job, which is planned once however often it is looked at. */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { JobId } from "../../schemas/Ids.ts"
import { TrialId } from "../../schemas/Quality.ts"

const DIGITS = 32

export const freshTrialId = Effect.gen(function* () {
  let text = ""
  while (text.length < DIGITS) text += (yield* Random.nextIntBetween(0, 35)).toString(36)
  return TrialId.make(`trial_${text}`)
})

export const replicaIdOf = (jobId: JobId): TrialId => TrialId.make(`trial_of-${jobId.slice("job_".length)}`)
