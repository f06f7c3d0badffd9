/**
 * The life of one job, in order. A customer reads it too, so nodes get names that hold within this job only; the names are put into the
 * finished text, where no field can be forgotten.
 */
import * as Effect from "effect/Effect"
import { JobRecords, type Scope } from "../../layers/JobRecords.ts"
import { Logs } from "../../layers/Logs.ts"
import type { JobId } from "../../schemas/Ids.ts"
import type { JobRecord, LogEntry } from "../../schemas/JobRecord.ts"
import type { AttemptView, JobTrace } from "../../schemas/openai/JobView.ts"
import { refuse } from "../../schemas/Refusal.ts"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { type KeyedCall, scopeOf } from "../Call.ts"
import { keyed } from "../Route.ts"
import { rowOf } from "./Jobs.ts"

const LOGS_MAX = 1000

export const jobTrace = keyed(
  Effect.fnUntraced(function* (call: KeyedCall) {
    const { job, state } = yield* rowOf(call)
    const { record, logs } = yield* traceOf(scopeOf(call), job.id)
    const trace: JobTrace = {
      id: job.id,
      object: "job.trace",
      state,
      attempts: record.routing.attempts.map(attemptOf),
      moments: record.moments.map(momentOf),
      logs: logs.map(({ at, type, code, data }) => ({ at, type, code, data })),
      pieces: piecesOf(record)
    }
    return HttpServerResponse.text(withPseudonyms(JSON.stringify(trace)), { contentType: "application/json" })
  })
)

/** What both listeners tell from. Refused with `archived` when the record has left. */
export const traceOf = Effect.fnUntraced(function* (scope: Scope, jobId: JobId) {
  const record = yield* (yield* JobRecords).get(scope, jobId)
  if (record === null) return yield* refuse("archived", "The job's record is not kept here any more.", { jobId })
  const logs: ReadonlyArray<LogEntry> = yield* (yield* Logs).query(scope, { jobId, limit: LOGS_MAX })
  return { record, logs }
})

export const piecesOf = ({ routing }: JobRecord): number =>
  routing.attempts.reduce((sum, { tokens }) => sum + tokens, 0)

const attemptOf = (attempt: JobRecord["routing"]["attempts"][number]): AttemptView => ({
  attempt: attempt.attempt,
  node: attempt.nodeId,
  state: attempt.state,
  leased_at: attempt.leasedAt,
  assigned_at: attempt.assignedAt,
  first_token_at: attempt.firstTokenAt,
  ended_at: attempt.endedAt,
  cause: attempt.cause,
  tokens: attempt.tokens
})

const momentOf = ({ at, moment: { _tag: name, ...detail } }: JobRecord["moments"][number]) => ({ at, name, detail })

/** `node-1` for the first node that is named, and so on. */
const withPseudonyms = (text: string): string => {
  const names = new Map<string, string>()
  return text.replaceAll(/0x[0-9a-fA-F]{40}/g, (nodeId) => {
    const key = nodeId.toLowerCase()
    const name = names.get(key) ?? `node-${names.size + 1}`
    names.set(key, name)
    return name
  })
}
