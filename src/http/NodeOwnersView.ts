/**
 * What whoever runs a node may see of the jobs that it did: what was done, how it ended and what it cost. Neither prompt nor answer, nor who asked, nor
 * for whom it was meant: all of these, and their absence too, would tell a job of the network from one of a customer.
 */
import { type Credits, toDecimal } from "../schemas/Credits.ts"
import type { Endpoint } from "../schemas/Job.ts"
import type { JobState } from "../schemas/JobState.ts"

export interface DoneJob {
  readonly jobId: string
  readonly endpoint: Endpoint
  readonly model: string
  readonly state: JobState
  readonly errorCode: string | null
  readonly createdAt: number
  readonly finishedAt: number | null
  readonly promptTokens: number
  readonly outputTokens: number
  readonly cost: Credits | null
  readonly totalMs: number | null
}

/** By name, so that a field which a job gets later is not shown until somebody decides so. */
export const ownersViewOf = (job: DoneJob) => ({
  jobId: job.jobId,
  endpoint: job.endpoint,
  model: job.model,
  state: job.state,
  errorCode: job.errorCode,
  createdAt: job.createdAt,
  finishedAt: job.finishedAt,
  promptTokens: job.promptTokens,
  outputTokens: job.outputTokens,
  cost: job.cost === null ? null : toDecimal(job.cost),
  totalMs: job.totalMs
})
