/**
 * What a customer thinks of an answer: kept in the evaluation of the job's record, so it is archived, exported and let go with it. The last word counts.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { JobRecords } from "../../layers/JobRecords.ts"
import type { Feedback } from "../../schemas/JobRecord.ts"
import { FeedbackOrder } from "../../schemas/openai/JobView.ts"
import { refuse } from "../../schemas/Refusal.ts"
import { readJson } from "../Body.ts"
import { json, type KeyedCall, scopeOf } from "../Call.ts"
import { decoder } from "../Decode.ts"
import { hasEnded } from "../JobOutcome.ts"
import { evaluationOf } from "../JobViews.ts"
import { keyed } from "../Route.ts"
import { rowOf } from "./Jobs.ts"

const decodeFeedback = decoder(FeedbackOrder, { strict: true })

const PAUSE_MS = 1000

const tooEarly = refuse("conflict", "The job has not ended yet. Say what you think of its answer when it is there.", {
  retryAfterMs: PAUSE_MS
})
const gone = refuse("archived", "The job's record is not kept here any more, so nothing can be added to it.")

const give = Effect.fnUntraced(function* (call: KeyedCall) {
  const row = yield* rowOf(call)
  const { score, label = null, comment = null } = yield* decodeFeedback(yield* readJson(call))
  if (!hasEnded(row)) return yield* tooEarly
  const records = yield* JobRecords
  const record = yield* records.get(scopeOf(call), row.job.id)
  if (record === null) return yield* gone
  // Whoever writes the last word of the job would write over it.
  if (record.completeness === "open") return yield* tooEarly
  const feedback: Feedback = { score, label, comment, at: yield* Clock.currentTimeMillis }
  const evaluation = { ...record.evaluation, feedback }
  // Under the epoch that ended the job: nothing of an earlier one changes it any more.
  const change = { jobId: row.job.id, epoch: row.epoch, patch: { evaluation }, durable: true }
  const patched = yield* records.patch(change)
  if (patched === "missing") return yield* gone
  return patched === "stale" ? yield* tooEarly : json(evaluationOf(evaluation))
})

export const feedbackRoutes = { giveFeedback: keyed(give) }
