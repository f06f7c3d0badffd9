/** What a job that did not complete is told as, on every route alike. Permanent for the SDKs unless another try may well go better. */
import { isRequestFault, isTerminal, type JobRow } from "../schemas/JobState.ts"
import type { JobView } from "../schemas/openai/JobView.ts"
import { type Refusal, type RefusalCode, refuse } from "../schemas/Refusal.ts"

/** null: it completed, or has not ended. */
export const failureOf = ({ job, state, errorCode }: JobRow): Refusal | null => {
  const told = (code: RefusalCode, message: string) => refuse(code, message, { jobId: job.id })
  switch (state) {
    case "failed":
      return isRequestFault(errorCode)
        ? told("job_rejected", `The model's runtime does not accept this request (${errorCode}). Nothing was charged.`)
        : told("job_failed", `The job failed on every node that tried it (${codeOf(errorCode)}). Nothing was charged.`)
    case "timed_out":
      return told("job_timed_out", "The job did not finish in time. Nothing was charged.")
    case "expired":
      return told("job_expired", "No node was free before the job's deadline. Nothing was charged.")
    case "cancelled":
      return told("job_cancelled", "The job was cancelled. What it had produced by then was charged.")
    default:
      return null
  }
}

/** A code may have come from a node, so only a plain word is repeated. */
const codeOf = (code: string | null): string => (code !== null && /^[a-z0-9_]{1,64}$/.test(code) ? code : "unknown")

/** The same within a view; `cause` is the finer code of what went wrong. */
export const errorOf = (row: JobRow): JobView["error"] => {
  const failure = failureOf(row)
  return failure === null
    ? null
    : { code: failure.code, cause: row.errorCode === null ? null : codeOf(row.errorCode), message: failure.message }
}

export const hasEnded = (row: JobRow): boolean => isTerminal(row.state)
