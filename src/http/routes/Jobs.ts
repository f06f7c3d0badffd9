/** One job, for the namespace that asked for it: how it stands, its result, why it runs where it runs, and its cancellation. */
import * as Effect from "effect/Effect"
import { JobStreams } from "../../actors/job/JobStreams.ts"
import { JobRecords } from "../../layers/JobRecords.ts"
import { JobId } from "../../schemas/Ids.ts"
import type { JobRecord } from "../../schemas/JobRecord.ts"
import type { JobRow } from "../../schemas/JobState.ts"
import type { Tombstone } from "../../schemas/Tombstone.ts"
import { type Refusal, refuse } from "../../schemas/Refusal.ts"
import * as Schema from "effect/Schema"
import type { AnswerShape } from "../AnswerShape.ts"
import { type Call, json, jsonObject, type KeyedCall, scopeOf } from "../Call.ts"
import { failureOf, hasEnded } from "../JobOutcome.ts"
import { evaluationOf, viewOf } from "../JobViews.ts"
import { keyed } from "../Route.ts"
import { wholeAnswer } from "../WholeAnswer.ts"

const isJobId = Schema.is(JobId)

/** One sentence for an id that is none, one that never was, and one of somebody else. */
export const jobNotFound = refuse("not_found", "There is no such job.")

export const jobIdOf = (call: Call): Effect.Effect<JobId, Refusal> => {
  const id = call.params["id"]
  return isJobId(id) ? Effect.succeed(id) : Effect.fail(jobNotFound)
}

/** The row, without saying more than that there is none. */
export const rowOf = Effect.fnUntraced(function* (call: KeyedCall) {
  const id = yield* jobIdOf(call)
  const streams = yield* JobStreams
  return yield* Effect.mapError(streams.row(scopeOf(call), id), (error) =>
    error._tag === "Refusal" && error.code === "not_found" ? jobNotFound : error
  )
})

const job = keyed(
  Effect.fnUntraced(function* (call: KeyedCall) {
    const row = yield* rowOf(call)
    if (!hasEnded(row)) return json(viewOf(row))
    // How it stands is the row's to say, also while the records are out.
    const record = yield* (yield* JobRecords)
      .get(scopeOf(call), row.job.id)
      .pipe(Effect.catchTag("Outage", ({ during }) => Effect.as(Effect.logDebug("no evaluation", { during }), null)))
    return json({ ...viewOf(row), ...(record === null ? {} : { evaluation: evaluationOf(record.evaluation) }) })
  })
)

const result = keyed(
  Effect.fnUntraced(function* (call: KeyedCall) {
    const row = yield* rowOf(call)
    call.answerHeaders["x-job-id"] = row.job.id
    call.answerHeaders["x-resultity-attempts"] = String(row.attempt)
    // Not 409: the SDKs would take that for a conflict and ask again at once.
    if (!hasEnded(row)) return json(viewOf(row), 202)
    const failure = failureOf(row)
    if (failure !== null) return yield* failure
    const records = yield* JobRecords
    const record = yield* records.get(scopeOf(call), row.job.id)
    const output = record?.output ?? null
    if (record === null || output === null || record.tombstone !== undefined) {
      return yield* archived(row, record?.tombstone)
    }
    return jsonObject(wholeAnswer(shapeOf(record), output.choices, row.usage))
  })
)

/** C77: what the row still knows stays, for as long as there is a row. */
const archived = (row: JobRow, tombstone?: Tombstone): Refusal => {
  const { job, usage } = row
  const why = tombstone === undefined ? "is not kept here any more" : GONE[tombstone.why]
  return refuse(
    "archived",
    `The job completed with ${usage.promptTokens} prompt and ${usage.outputTokens} output tokens; its output ${why}.`,
    { jobId: job.id, job: viewOf(row) }
  )
}

const GONE: Readonly<Record<Tombstone["why"], string>> = {
  archived: "has been archived",
  dropped: "is not kept here any more",
  unkept: "is not kept, because its namespace keeps no payloads",
  erased: "was erased on request"
}

const shapeOf = (record: JobRecord): AnswerShape => ({
  jobId: record.jobId,
  endpoint: record.input.endpoint,
  model: record.input.requestedModel,
  acceptedAt: record.createdAt,
  base64: asksForBase64(record.input.request),
  includeUsage: false
})

const asksForBase64 = (request: Schema.Json): boolean =>
  typeof request === "object" &&
  request !== null &&
  "encoding_format" in request &&
  request["encoding_format"] === "base64"

const explain = keyed(
  Effect.fnUntraced(function* (call: KeyedCall) {
    const { job } = yield* rowOf(call)
    const sentences = yield* (yield* JobStreams).explain(scopeOf(call), job.id)
    return json({ id: job.id, object: "job.explanation", sentences })
  })
)

const cancel = keyed(
  Effect.fnUntraced(function* (call: KeyedCall) {
    const { job } = yield* rowOf(call)
    return json(viewOf(yield* (yield* JobStreams).cancel(scopeOf(call), job.id, "client")))
  })
)

export const jobRoutes = { retrieveJob: job, retrieveJobResult: result, explainJob: explain, cancelJob: cancel }
