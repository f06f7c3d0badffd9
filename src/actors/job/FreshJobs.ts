/**
 * Row and document of jobs that were admitted here moments ago, for the actor that is about to start here: two reads less for each job. A copy may be
 * out of date at once, which harms nobody: the claim is guarded by the epoch. Few, small, and each is taken once.
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import type { JobId } from "../../schemas/Ids.ts"
import type { JobRecord } from "../../schemas/JobRecord.ts"
import type { JobRow } from "../../schemas/JobState.ts"

export interface FreshJob {
  readonly row: JobRow
  readonly record: JobRecord
}

const FRESH_MAX = 512
/** Larger requests are read again: these copies together stay within some tens of megabytes. */
const PROMPT_TOKENS_MAX = 16_384

export class FreshJobs extends Context.Service<
  FreshJobs,
  {
    readonly keep: (job: FreshJob) => void
    /** The copy, once. */
    readonly take: (jobId: JobId) => FreshJob | undefined
  }
>()("resultity/actors/job/FreshJobs") {
  static readonly layer = Layer.sync(FreshJobs, () => {
    const jobs = new Map<JobId, FreshJob>()
    return FreshJobs.of({
      keep: (fresh) => {
        const { job } = fresh.row
        if (job.promptTokensMax > PROMPT_TOKENS_MAX) return
        jobs.set(job.id, fresh)
        if (jobs.size <= FRESH_MAX) return
        for (const oldest of jobs.keys()) return void jobs.delete(oldest)
      },
      take: (jobId) => {
        const fresh = jobs.get(jobId)
        jobs.delete(jobId)
        return fresh
      }
    })
  })
}
