/** A question to the log as a query string asks it, and the page that answers it. */
import * as Effect from "effect/Effect"
import type { Scope } from "../layers/JobRecords.ts"
import { Logs } from "../layers/Logs.ts"
import { JobId } from "../schemas/Ids.ts"
import { LogType } from "../schemas/JobRecord.ts"
import * as Cursors from "./Cursors.ts"
import { given, readId, readSpan } from "./JobQuery.ts"
import { type Params, readInt, readOneOf } from "./Query.ts"

export const LOG_PARAMS = ["type", "job", "from", "to", "limit", "cursor"] as const

const PAGE = { least: 1, most: 1000, otherwise: 100 } as const

/** Oldest first. `owner`: whose cursors it takes and gives. */
export const findLogs = Effect.fnUntraced(function* (
  scope: Scope,
  owner: string,
  params: Params<(typeof LOG_PARAMS)[number]>
) {
  const whose = `log ${owner}`
  const type = yield* readOneOf("type", params.type, LogType.literals)
  const jobId = yield* readId("job", params.job, JobId)
  const span = yield* readSpan(params)
  const limit = yield* readInt("limit", params.limit, PAGE)
  const after = (yield* Cursors.readCursor("cursor", params.cursor, whose)) ?? undefined
  const found = yield* (yield* Logs).page(scope, { ...given({ type, jobId, after }), ...span, limit: limit + 1 })
  const page = found.slice(0, limit)
  const last = found.length > limit ? page.at(-1) : undefined
  return {
    entries: page.map(({ entry }) => entry),
    next: last === undefined ? null : Cursors.writeCursor(last.place, whose)
  }
})
