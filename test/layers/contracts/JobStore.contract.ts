/**
 * What every JobStore must do, whatever it is made of. Four parts: how a job comes in, who acts for it, how it ends, and what holds in any
 * order of calls. All instants are passed, so no test depends on how long it takes.
 */
import type { Layer } from "effect"
import { jobAdmissions } from "./JobAdmissions.ts"
import { jobClaims } from "./JobClaims.ts"
import { jobEndings } from "./JobEndings.ts"
import { jobLaws } from "./JobLaws.ts"
import type { JobServices, StateCapabilities } from "./StateProbes.ts"

export const jobStoreContract = <E>(
  backEnd: string,
  over: Layer.Layer<JobServices, E>,
  capabilities: StateCapabilities = {}
) => {
  jobAdmissions(backEnd, over)
  jobClaims(backEnd, over, capabilities)
  jobEndings(backEnd, over, capabilities)
  jobLaws(backEnd, over, capabilities)
}
