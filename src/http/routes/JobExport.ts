/** `GET /v1/jobs/export`: any search of a customer as CSV, NDJSON or Parquet. Without requests and answers, unless they are asked for; never with a node. */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { JobRecords } from "../../layers/JobRecords.ts"
import type { JobSummary } from "../../layers/JobSearch.ts"
import { type Column, CUSTOMER_COLUMNS } from "../../schemas/ExportColumns.ts"
import type { JobRecord } from "../../schemas/JobRecord.ts"
import { refuse } from "../../schemas/Refusal.ts"
import type { KeyedCall } from "../Call.ts"
import { EXPORT_PARAMS, exportJobs, makeGate } from "../JobExport.ts"
import { readCustomerQuery } from "../JobQuery.ts"
import { lineOf } from "../JobViews.ts"
import { keyed } from "../Route.ts"

/** Of all customers of one daemon. */
const EXPORTS_MAX = 8

const rowOf = (job: JobSummary): Record<string, Schema.Json> => {
  const { object: _, ...line } = lineOf(job)
  return line
}

const PARTS: Readonly<Record<string, (record: JobRecord) => Schema.Json>> = {
  request: ({ input }) => input.request,
  output: ({ output }) => (output === null ? null : (output.choices as unknown as Schema.Json))
}

const readInclude = (text: string | undefined) => {
  const names = text === undefined ? [] : [...new Set(text.split(","))]
  return names.every((name) => Object.hasOwn(PARTS, name))
    ? Effect.succeed(Object.keys(PARTS).filter((name) => names.includes(name)))
    : Effect.fail(refuse("invalid_request", "include must be request, output or request,output.", { param: "include" }))
}

export const makeJobExport = Effect.sync(() => {
  const gate = makeGate(EXPORTS_MAX)
  return {
    exportJobs: keyed(
      Effect.fnUntraced(function* (call: KeyedCall) {
        const { query, params } = yield* readCustomerQuery(call, [...EXPORT_PARAMS, "include"])
        const names = yield* readInclude(params.include)
        const { get } = yield* JobRecords
        const bodiesOf = (job: JobSummary) =>
          Effect.map(get(query.scope, job.jobId), (record) =>
            // One that went to the archive in between has a row and no bodies here.
            Object.fromEntries(names.map((name) => [name, record === null ? null : (PARTS[name]?.(record) ?? null)]))
          )
        const columns = names.map((name): Column => ({ name, kind: "json" }))
        const bodies = names.length === 0 ? null : { columns, of: bodiesOf }
        return yield* gate.enter(exportJobs(call, params, { query, columns: CUSTOMER_COLUMNS, rowOf, bodies }))
      })
    )
  }
})
