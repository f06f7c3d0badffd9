/** `GET /v1/stats`: figures of a namespace's own jobs for dashboards, by model, key, hour and day. */
import * as Effect from "effect/Effect"
import { JobSearch } from "../../layers/JobSearch.ts"
import { errorRate, type StatsRow } from "../../layers/JobTally.ts"
import { toDecimal } from "../../schemas/Credits.ts"
import type { StatsView } from "../../schemas/openai/JobView.ts"
import { json, type KeyedCall, scopeOf } from "../Call.ts"
import { readQuery } from "../Query.ts"
import { keyed } from "../Route.ts"
import { readStatsQuery } from "../StatsQuery.ts"

export const retrieveStats = keyed(
  Effect.fnUntraced(function* (call: KeyedCall) {
    const params = yield* readQuery(call.query, ["group_by", "from", "to"])
    const query = yield* readStatsQuery(params, ["model", "key", "hour", "day"])
    const rows = yield* (yield* JobSearch).stats(scopeOf(call), query)
    const { groupBy, from, to } = query
    return json({
      object: "stats",
      group_by: groupBy,
      from,
      to,
      data: rows.map((row) => lineOf(groupBy, row))
    } satisfies StatsView)
  })
)

/** The values of the groups under the names that they were asked for by. */
export const groupOf = (groupBy: ReadonlyArray<string>, { groups }: StatsRow): Record<string, string | null> =>
  Object.fromEntries(groupBy.map((name, at) => [name, groups[at] ?? null]))

const lineOf = (groupBy: ReadonlyArray<string>, row: StatsRow): StatsView["data"][number] => ({
  group: groupOf(groupBy, row),
  jobs: row.jobs,
  completed: row.completed,
  failed: row.failed,
  error_rate: errorRate(row),
  prompt_tokens: row.promptTokens,
  output_tokens: row.outputTokens,
  cost: toDecimal(row.cost),
  queue_ms: row.queueMs,
  first_token_ms: row.firstTokenMs,
  total_ms: row.totalMs
})
