/**
 * What operators ask of the records of all namespaces: figures, the log, and jobs as a file. Never what was asked and answered. Who reads the log or
 * takes jobs along leaves a row in the audit, because these are the customers' own.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { Audit } from "../../../layers/Audit.ts"
import { JobSearch, type JobSummary } from "../../../layers/JobSearch.ts"
import { errorRate, GROUPINGS } from "../../../layers/JobTally.ts"
import { toDecimal } from "../../../schemas/Credits.ts"
import { OPERATOR_COLUMNS, type OperatorColumn } from "../../../schemas/ExportColumns.ts"
import { type Call, header } from "../../Call.ts"
import { EXPORT_PARAMS, exportJobs, makeGate } from "../../JobExport.ts"
import { readOperatorQuery, readScope } from "../../JobQuery.ts"
import { findLogs, LOG_PARAMS } from "../../LogQuery.ts"
import { actorOf } from "../../Operator.ts"
import { plain } from "../../OperatorViews.ts"
import { readQuery } from "../../Query.ts"
import { open } from "../../Route.ts"
import { readStatsQuery } from "../../StatsQuery.ts"
import { groupOf } from "../Stats.ts"

const EXPORTS_MAX = 4

const rowOf = (job: JobSummary): Record<OperatorColumn, Schema.Json> => ({
  ...job,
  cost: job.cost === null ? null : toDecimal(job.cost)
})

/** Once for a list, not for each of its pages. */
const auditRead = Effect.fnUntraced(function* (call: Call, action: string, namespace: string | undefined) {
  yield* (yield* Audit).append({
    actor: actorOf(call),
    action,
    subject: namespace === undefined ? "namespaces" : `namespace/${namespace}`,
    reason: header(call, "x-reason") ?? "read",
    detail: {},
    at: yield* Clock.currentTimeMillis
  })
})

const stats = open(
  Effect.fnUntraced(function* (call: Call) {
    const params = yield* readQuery(call.query, ["namespace", "group_by", "from", "to"])
    const scope = yield* readScope(call, params.namespace)
    const query = yield* readStatsQuery(params, GROUPINGS)
    const rows = yield* (yield* JobSearch).stats(scope, query)
    const data = rows.map(({ groups, ...row }) => ({
      group: groupOf(query.groupBy, { groups, ...row }),
      ...row,
      errorRate: errorRate(row)
    }))
    return plain({ ...query, data })
  })
)

const logs = open(
  Effect.fnUntraced(function* (call: Call) {
    const params = yield* readQuery(call.query, [...LOG_PARAMS, "namespace"])
    const scope = yield* readScope(call, params.namespace)
    const { entries, next } = yield* findLogs(scope, "operator", params)
    if (params.cursor === undefined) yield* auditRead(call, "logs.read", params.namespace)
    return plain({ data: entries, nextCursor: next })
  })
)

export const makeRecordRoutes = Effect.sync(() => {
  const gate = makeGate(EXPORTS_MAX)
  return {
    retrieveStats: stats,
    searchLogs: logs,
    exportJobs: open(
      Effect.fnUntraced(function* (call: Call) {
        const { query, params } = yield* readOperatorQuery(call, EXPORT_PARAMS)
        yield* auditRead(call, "jobs.export", params.namespace)
        return yield* gate.enter(exportJobs(call, params, { query, columns: OPERATOR_COLUMNS, rowOf, bodies: null }))
      })
    )
  }
})
