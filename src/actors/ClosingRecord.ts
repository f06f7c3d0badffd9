/**
 * The last word of a job's record, for all who may have to say it: its actor at the end, and those who come later and know only the row and the
 * stored pieces (the rescue of an answer that its node still holds, the repair of what was left).
 */
import { createHash } from "node:crypto"
import type { RecordPatch } from "../layers/JobRecords.ts"
import { canonicalJson } from "../schemas/CanonicalJson.ts"
import type { Job, Usage } from "../schemas/Job.ts"
import type { Output } from "../schemas/JobRecord.ts"
import type { JobRow } from "../schemas/JobState.ts"
import type { NodeProof } from "../schemas/NodeProof.ts"
import { joinChoices } from "../schemas/OutputChoices.ts"
import type { TokenEvent } from "../schemas/TokenEvent.ts"

/** What whoever closes a record says when a part of the output is gone. */
export const RECORD_LOST = "record_lost"

/** Null when nothing was said. */
export const outputOf = (
  job: Job,
  events: ReadonlyArray<TokenEvent>,
  { promptTokens, outputTokens }: Usage,
  endedAt: number
): Output | null => {
  if (events.length === 0) return null
  const choices = joinChoices(events)
  return {
    kind: job.endpoint === "embeddings" ? "vector" : "text",
    choices,
    tokens: { prompt: promptTokens, completion: outputTokens, total: promptTokens + outputTokens },
    latencyMs: endedAt - job.acceptedAt,
    sha256: createHash("sha256").update(canonicalJson(choices)).digest("hex")
  }
}

/** The row's word, with these pieces as the output: all of it, or what is left of it. */
export const closingOf = (
  row: JobRow,
  events: ReadonlyArray<TokenEvent>,
  isWhole: boolean,
  nodeProof: NodeProof | null = null
): RecordPatch => {
  const { job, state, errorCode, finishedAt, charged, usage } = row
  return {
    state,
    errorCode,
    finishedAt,
    cost: charged,
    output: outputOf(job, events, usage, finishedAt ?? job.acceptedAt),
    ...(nodeProof === null ? {} : { nodeProof }),
    completeness: isWhole ? "complete" : "truncated",
    truncatedReason: isWhole ? null : RECORD_LOST
  }
}
