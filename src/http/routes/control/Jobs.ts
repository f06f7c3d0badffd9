/** Jobs of all namespaces, for operators: everything but what was asked and answered. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { JobStreams } from "../../../actors/job/JobStreams.ts"
import { JobRecords } from "../../../layers/JobRecords.ts"
import { JobStore, JobSurvey } from "../../../layers/JobStore.ts"
import { RecordRetention } from "../../../layers/RecordRetention.ts"
import { Transport } from "../../../layers/Transport.ts"
import { laneName } from "../../../schemas/Job.ts"
import type { JobRecord } from "../../../schemas/JobRecord.ts"
import { refuse } from "../../../schemas/Refusal.ts"
import type { Call } from "../../Call.ts"
import { findPage, jobCursor, readJobCursor, readOperatorQuery } from "../../JobQuery.ts"
import { audit, operatorScope, readOrder, readReason } from "../../Operator.ts"
import { plain } from "../../OperatorViews.ts"
import { readInt } from "../../Query.ts"
import { open } from "../../Route.ts"
import { streamEvents } from "../JobEvents.ts"
import { jobIdOf, jobNotFound } from "../Jobs.ts"
import { PAGE } from "../JobSearch.ts"
import { piecesOf, traceOf } from "../JobTrace.ts"

const search = open(
  Effect.fnUntraced(function* (call: Call) {
    const { query, params } = yield* readOperatorQuery(call, ["limit", "cursor"])
    const limit = yield* readInt("limit", params.limit, PAGE)
    const after = yield* readJobCursor("cursor", params.cursor, query)
    const { jobs, next } = yield* findPage(query, after, limit)
    return plain({ data: jobs, nextCursor: next === null ? null : jobCursor(next, query) })
  })
)

const get = open(
  Effect.fnUntraced(function* (call: Call) {
    const id = yield* jobIdOf(call)
    const store = yield* JobStore
    const row = yield* store.get(id)
    if (row === null) return yield* jobNotFound
    const record = yield* (yield* JobRecords).get(operatorScope(call), id)
    return plain({ row, events: yield* store.events(id), record: record === null ? null : withoutText(record) })
  })
)

/** Operators do not read what customers ask, are answered, and say of it, nor the salt of its hashes. The receipt has a route of its own. */
const withoutText = (all: JobRecord) => {
  const { salt: _salt, receipt: _receipt, ...record } = all
  const { request: _, ...input } = record.input
  const { choices, ...output } = record.output ?? { choices: [] }
  const { feedback, ...evaluation } = record.evaluation
  const rated =
    feedback === undefined ? {} : { feedback: { score: feedback.score, label: feedback.label, at: feedback.at } }
  return {
    ...record,
    input,
    evaluation: { ...evaluation, ...rated },
    output:
      record.output === null ? null : { ...output, choices: choices.map(({ choice, finish }) => ({ choice, finish })) }
  }
}

const explain = open(
  Effect.fnUntraced(function* (call: Call) {
    const jobId = yield* jobIdOf(call)
    return plain({ jobId, sentences: yield* (yield* JobStreams).explain(operatorScope(call), jobId) })
  })
)

const events = open(
  Effect.fnUntraced(function* (call: Call) {
    const id = yield* jobIdOf(call)
    yield* (yield* JobStreams).row(operatorScope(call), id)
    return yield* streamEvents(call, operatorScope(call), id)
  })
)

const trace = open(
  Effect.fnUntraced(function* (call: Call) {
    const jobId = yield* jobIdOf(call)
    const { state } = yield* (yield* JobStreams).row(operatorScope(call), jobId)
    const { record, logs } = yield* traceOf(operatorScope(call), jobId)
    const { attempts, decisions, fallbacks } = record.routing
    return plain({
      jobId,
      state,
      attempts,
      fallbacks,
      decisions,
      moments: record.moments,
      logs,
      pieces: piecesOf(record)
    })
  })
)

const cancel = open(
  Effect.fnUntraced(function* (call: Call) {
    const id = yield* jobIdOf(call)
    const order = yield* readReason(call)
    const row = yield* (yield* JobStreams).cancel(operatorScope(call), id, "operator")
    yield* audit(order, "job.cancel", `job/${id}`)
    return plain({ row })
  })
)

export const HoldOrder = Schema.Struct({ held: Schema.Boolean })
const readHold = readOrder(HoldOrder)

const hold = open(
  Effect.fnUntraced(function* (call: Call) {
    const jobId = yield* jobIdOf(call)
    const order = yield* readHold(call)
    const { held } = order.body
    if ((yield* (yield* JobStore).get(jobId)) === null) return yield* jobNotFound
    if (!(yield* (yield* RecordRetention).hold(jobId, held))) {
      return yield* refuse("conflict", "The job is being archived and can no longer be held here.")
    }
    yield* audit(order, held ? "job.hold" : "job.release", `job/${jobId}`)
    return plain({ jobId, held })
  })
)

const lanes = open(
  Effect.fnUntraced(function* () {
    const waiting = yield* (yield* JobSurvey).lanes
    const depths = yield* (yield* Transport).depths
    return plain({
      waiting: waiting.map(({ lane, waiting, oldestAt }) => ({ lane, name: laneName(lane), waiting, oldestAt })),
      depths
    })
  })
)

export const controlJobRoutes = {
  searchJobs: search,
  getJob: get,
  explainJob: explain,
  followJob: events,
  traceJob: trace,
  cancelJob: cancel,
  holdJob: hold,
  listLanes: lanes
}
