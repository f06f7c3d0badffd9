/** `logs` and `stats`: what happened, by type and time, and what it sums up to. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { LogType } from "../../schemas/JobRecord.ts"
import { gets } from "../Ask.ts"
import type { Command, Flag, Input } from "../Command.ts"
import { at, type Query } from "../Control.ts"
import { Output } from "../Output.ts"
import { instant, instantFault } from "../Plain.ts"
import { document, reading, show } from "../Show.ts"
import { type Column, page, table } from "../Table.ts"

const NAMESPACE: Flag = { name: "namespace", value: "ID", help: "of this namespace only" }
const FROM: Flag = {
  name: "from",
  value: "TIME",
  help: "then or later: ISO 8601 or epoch milliseconds",
  check: instantFault
}
const TO: Flag = { name: "to", value: "TIME", help: "before then", check: instantFault }

/** Options that are the query's own names. */
const queryOf =
  (names: ReadonlyArray<string>) =>
  ({ flags }: Input): Query =>
    Object.fromEntries(
      names.flatMap((name) => {
        const text = flags.get(name)
        return text === undefined ? [] : [[name, text]]
      })
    )

const LogLine = Schema.Struct({
  at: Schema.Finite,
  type: Schema.String,
  code: Schema.String,
  jobId: Schema.NullOr(Schema.String),
  nodeId: Schema.NullOr(Schema.String),
  namespaceId: Schema.String,
  data: Schema.Json
})

const LOG_COLUMNS: ReadonlyArray<Column<typeof LogLine.Type>> = [
  { title: "AT", of: ({ at }) => instant(at) },
  { title: "TYPE", of: ({ type }) => type },
  { title: "CODE", of: ({ code }) => code, max: 32 },
  { title: "JOB", of: ({ jobId }) => jobId },
  { title: "NODE", of: ({ nodeId }) => nodeId },
  { title: "NAMESPACE", of: ({ namespaceId }) => namespaceId },
  { title: "DATA", of: ({ data }) => JSON.stringify(data), max: 60 }
]

const readLogs = reading(Schema.Struct({ data: Schema.Array(LogLine), nextCursor: Schema.NullOr(Schema.String) }))

const LIMIT_MAX = 1000
const isLimit = (text: string): string | null =>
  /^\d{1,4}$/.test(text) && Number(text) >= 1 && Number(text) <= LIMIT_MAX ? null : `is a number from 1 to ${LIMIT_MAX}`

const LOG_FLAGS: ReadonlyArray<Flag> = [
  NAMESPACE,
  { name: "type", value: "TYPE", help: "one of", oneOf: LogType.literals },
  { name: "job", value: "ID", help: "of this job only" },
  FROM,
  TO,
  { name: "limit", value: "N", help: `lines, up to ${LIMIT_MAX}; 100`, check: isLimit },
  { name: "cursor", value: "CURSOR", help: "go on where a page ended, with the same filters" }
]

const logs: Command = {
  path: ["logs"],
  args: [],
  flags: LOG_FLAGS,
  summary: "what happened, by type and time, oldest first",
  notes: "Without --namespace of all of them. The daemon writes down in the audit who looked.",
  examples: [
    "resultity logs --type anomaly --from 2026-11-25",
    "resultity logs --namespace ns_01j0example --type rejection --limit 20",
    "resultity logs --job job_01j0example --json"
  ],
  run: gets(
    () => at("logs"),
    Effect.fnUntraced(function* (input, answer) {
      if (input.json) return yield* document(answer)
      const out = yield* Output
      const { data, nextCursor } = yield* readLogs(answer)
      if (data.length === 0) return yield* out.write("Nothing in the log.\n")
      yield* out.write(page(LOG_COLUMNS, data).text)
      if (nextCursor !== null) yield* out.note(`There are more: --cursor ${nextCursor}`)
    }),
    queryOf(LOG_FLAGS.map(({ name }) => name))
  )
}

const Percentiles = Schema.NullOr(Schema.Struct({ p50: Schema.Finite, p95: Schema.Finite, p99: Schema.Finite }))
const StatsLine = Schema.Struct({
  group: Schema.Record(Schema.String, Schema.NullOr(Schema.String)),
  jobs: Schema.Finite,
  completed: Schema.Finite,
  failed: Schema.Finite,
  errorRate: Schema.NullOr(Schema.Finite),
  promptTokens: Schema.Finite,
  outputTokens: Schema.Finite,
  cost: Schema.String,
  queueMs: Percentiles,
  firstTokenMs: Percentiles,
  totalMs: Percentiles
})
type StatsLine = typeof StatsLine.Type

const times = (of: StatsLine["totalMs"]) => (of === null ? null : `${of.p50}/${of.p95}/${of.p99}`)

const statsColumns = (groupBy: ReadonlyArray<string>): ReadonlyArray<Column<StatsLine>> => [
  ...groupBy.map((name): Column<StatsLine> => ({ title: name.toUpperCase(), of: ({ group }) => group[name] })),
  { title: "JOBS", of: ({ jobs }) => jobs, right: true },
  { title: "COMPLETED", of: ({ completed }) => completed, right: true },
  { title: "FAILED", of: ({ failed }) => failed, right: true },
  {
    title: "ERRORS",
    of: ({ errorRate }) => (errorRate === null ? null : `${(errorRate * 100).toFixed(1)}%`),
    right: true
  },
  { title: "TOKENS", of: ({ promptTokens, outputTokens }) => `${promptTokens}+${outputTokens}`, right: true },
  { title: "COST", of: ({ cost }) => cost, right: true },
  { title: "QUEUE MS", of: ({ queueMs }) => times(queueMs), right: true },
  { title: "FIRST MS", of: ({ firstTokenMs }) => times(firstTokenMs), right: true },
  { title: "TOTAL MS", of: ({ totalMs }) => times(totalMs), right: true }
]

const showStats = show(
  Schema.Struct({ groupBy: Schema.Array(Schema.String), data: Schema.Array(StatsLine) }),
  ({ groupBy, data }) => (data.length === 0 ? "No jobs.\n" : table(statsColumns(groupBy), data))
)

const stats: Command = {
  path: ["stats"],
  args: [],
  flags: [
    { name: "by", value: "GROUPS", help: "one or two of model, key, namespace, node, hour, day: model,day; day" },
    NAMESPACE,
    FROM,
    TO
  ],
  summary: "volume, errors, tokens, cost and times of jobs, by groups",
  notes: `Of jobs created in the range: 30 days, or one day by hour, unless --from is given. TOKENS are prompt+output; times are
p50/p95/p99 of completed jobs; ERRORS are failed of completed and failed.`,
  examples: [
    "resultity stats --by model,day --from 2026-11-25",
    "resultity stats --by node",
    "resultity stats --by hour --namespace ns_01j0example --json"
  ],
  run: gets(
    () => at("stats"),
    showStats,
    (input) => {
      const by = input.flags.get("by")
      return { ...(by === undefined ? {} : { group_by: by }), ...queryOf(["namespace", "from", "to"])(input) }
    }
  )
}

export const recordCommands: ReadonlyArray<Command> = [logs, stats]
