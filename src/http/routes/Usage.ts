/** What a namespace has and what it used. As CSV, no cell begins in a way that a spreadsheet would run. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { CreditLedger } from "../../layers/CreditLedger.ts"
import { JobSearch, type UsageRow } from "../../layers/JobSearch.ts"
import { toDecimal } from "../../schemas/Credits.ts"
import type { BalanceView, UsageView } from "../../schemas/openai/JobView.ts"
import { header, json, type KeyedCall, scopeOf } from "../Call.ts"
import { harmlessCell } from "../CsvCells.ts"
import { csvResponse } from "../CsvText.ts"
import { readOneOf, readQuery, readRange } from "../Query.ts"
import { keyed } from "../Route.ts"

const SPAN_DEFAULT_MS = 30 * 86_400_000

const balance = keyed(
  Effect.fnUntraced(function* (call: KeyedCall) {
    const { granted, available, reserved, spent } = yield* (yield* CreditLedger).balance(call.caller.namespace.id)
    const view: BalanceView = {
      object: "balance",
      unit: "credits",
      granted: toDecimal(granted),
      available: toDecimal(available),
      reserved: toDecimal(reserved),
      spent: toDecimal(spent)
    }
    return json(view)
  })
)

const usage = keyed(
  Effect.fnUntraced(function* (call: KeyedCall) {
    const query = yield* readQuery(call.query, ["from", "to", "group_by", "format"])
    const groupBy = (yield* readOneOf("group_by", query.group_by, ["model", "key", "day"])) ?? "day"
    const range = yield* readRange(query, yield* Clock.currentTimeMillis, SPAN_DEFAULT_MS)
    const asked = yield* readOneOf("format", query.format, ["json", "csv"])
    const rows = yield* (yield* JobSearch).usage(scopeOf(call), { groupBy, ...range })
    const data = rows.map(lineOf)
    const csv = asked === undefined ? (header(call, "accept") ?? "").startsWith("text/csv") : asked === "csv"
    if (!csv) return json({ object: "usage", group_by: groupBy, ...range, data } satisfies UsageView)
    const cells = data.map((line) => COLUMNS.map((column) => harmlessCell(line[column])))
    return csvResponse(`usage-by-${groupBy}.csv`, COLUMNS, cells)
  })
)

const lineOf = (row: UsageRow): UsageView["data"][number] => ({
  group: row.group,
  jobs: row.jobs,
  failed: row.failed,
  prompt_tokens: row.promptTokens,
  output_tokens: row.outputTokens,
  cost: toDecimal(row.cost),
  total_ms_p50: row.totalMsP50,
  total_ms_p95: row.totalMsP95
})

const COLUMNS = [
  "group",
  "jobs",
  "failed",
  "prompt_tokens",
  "output_tokens",
  "cost",
  "total_ms_p50",
  "total_ms_p95"
] as const

export const usageRoutes = { retrieveBalance: balance, retrieveUsage: usage }
