/**
 * `GET /v1/logs`: what happened to a namespace's jobs, by type and time, oldest first. No node is named: where an entry speaks of one, it says `node`, and
 * not which one, because entries of many jobs stand beside each other here.
 */
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { LogList } from "../../schemas/openai/JobView.ts"
import { type KeyedCall, scopeOf } from "../Call.ts"
import { findLogs, LOG_PARAMS } from "../LogQuery.ts"
import { readQuery } from "../Query.ts"
import { keyed } from "../Route.ts"

export const searchLogs = keyed(
  Effect.fnUntraced(function* (call: KeyedCall) {
    const params = yield* readQuery(call.query, LOG_PARAMS)
    const { entries, next } = yield* findLogs(scopeOf(call), call.caller.namespace.id, params)
    const list: LogList = {
      object: "list",
      data: entries.map(({ at, type, code, jobId, data }) => ({ at, type, code, job_id: jobId, data })),
      has_more: next !== null,
      next_cursor: next
    }
    // In the finished text, where no field can be forgotten.
    const text = JSON.stringify(list).replaceAll(/0x[0-9a-fA-F]{40}/g, "node")
    return HttpServerResponse.text(text, { contentType: "application/json" })
  })
)
