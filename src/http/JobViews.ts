/** Rows and summaries as the wire tells them to customers: amounts in credits, and no node anywhere. */
import { toDecimal } from "../schemas/Credits.ts"
import type { Erasure } from "../schemas/Erasure.ts"
import type { JobId } from "../schemas/Ids.ts"
import type { JobRow } from "../schemas/JobState.ts"
import type { Evaluation } from "../schemas/JobRecord.ts"
import type { EvaluationView, JobErasure, JobLine, JobView } from "../schemas/openai/JobView.ts"
import type { ErasureStone } from "../schemas/Tombstone.ts"
import type { JobSummary } from "../layers/JobSearch.ts"
import { errorOf, hasEnded } from "./JobOutcome.ts"

export const viewOf = (row: JobRow): JobView => {
  const { job, usage } = row
  return {
    id: job.id,
    request_id: job.id,
    object: "job",
    endpoint: job.endpoint,
    mode: job.mode,
    model: job.model,
    state: row.state,
    priority: job.priority,
    attempts: row.attempt,
    created_at: job.acceptedAt,
    deadline_at: job.deadlineAt,
    finished_at: row.finishedAt,
    user: job.clientTag,
    usage: {
      prompt_tokens: usage.promptTokens,
      output_tokens: usage.outputTokens,
      total_tokens: usage.promptTokens + usage.outputTokens
    },
    cost: hasEnded(row) ? toDecimal(row.charged) : null,
    error: errorOf(row)
  }
}

export const evaluationOf = (evaluation: Evaluation): EvaluationView => ({
  failure: evaluation.failure,
  low_confidence: evaluation.lowConfidence,
  moderation: evaluation.moderation,
  feedback: evaluation.feedback ?? null
})

export const erasureView = (id: JobId, { doneAt }: Erasure, stone: ErasureStone | null): JobErasure => ({
  id,
  object: "job.erasure",
  erased: doneAt !== null,
  sha256: stone?.sha256 ?? null,
  erased_at: stone?.erasedAt ?? doneAt,
  key: stone?.key ?? null,
  signature: stone?.signature ?? null
})

export const lineOf = (summary: JobSummary): JobLine => ({
  id: summary.jobId,
  object: "job",
  endpoint: summary.endpoint,
  mode: summary.mode,
  model: summary.model,
  state: summary.state,
  priority: summary.priority,
  error_code: summary.errorCode,
  user: summary.clientTag,
  key_id: summary.keyId,
  created_at: summary.createdAt,
  finished_at: summary.finishedAt,
  prompt_tokens: summary.promptTokens,
  output_tokens: summary.outputTokens,
  cost: summary.cost === null ? null : toDecimal(summary.cost),
  queue_ms: summary.queueMs,
  first_token_ms: summary.firstTokenMs,
  total_ms: summary.totalMs
})
