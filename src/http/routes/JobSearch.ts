/** `GET /v1/jobs`: newest first, by filters that an index serves, page by page. */
import * as Effect from "effect/Effect"
import { json, type KeyedCall } from "../Call.ts"
import { findPage, jobCursor, readCustomerQuery, readJobCursor } from "../JobQuery.ts"
import { lineOf } from "../JobViews.ts"
import { readInt } from "../Query.ts"
import { keyed } from "../Route.ts"

export const PAGE = { least: 1, most: 100, otherwise: 20 } as const

export const searchJobs = keyed(
  Effect.fnUntraced(function* (call: KeyedCall) {
    const { query, params } = yield* readCustomerQuery(call, ["limit", "cursor"])
    const limit = yield* readInt("limit", params.limit, PAGE)
    const after = yield* readJobCursor("cursor", params.cursor, query)
    const { jobs, next } = yield* findPage(query, after, limit)
    return json({
      object: "list",
      data: jobs.map(lineOf),
      has_more: next !== null,
      next_cursor: next === null ? null : jobCursor(next, query)
    })
  })
)
