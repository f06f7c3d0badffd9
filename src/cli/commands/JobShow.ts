/** `jobs show`: the deciding row, its history and its tries. What was asked and answered is not an operator's to read. */
import * as Schema from "effect/Schema"
import { gets } from "../Ask.ts"
import { argument, type Command } from "../Command.ts"
import { at } from "../Control.ts"
import { counted, instant, orDash } from "../Plain.ts"
import { show } from "../Show.ts"
import { facts, table } from "../Table.ts"

const Text = Schema.NullOr(Schema.String)
const Time = Schema.NullOr(Schema.Finite)

export const JobRowView = Schema.Struct({
  job: Schema.Struct({
    id: Schema.String,
    namespaceId: Schema.String,
    keyId: Schema.String,
    environment: Schema.String,
    endpoint: Schema.String,
    mode: Schema.String,
    model: Schema.String,
    priority: Schema.String,
    clientTag: Text,
    reserved: Schema.String,
    acceptedAt: Schema.Finite,
    deadlineAt: Schema.Finite
  }),
  state: Schema.String,
  owner: Text,
  attempt: Schema.Finite,
  failures: Schema.Finite,
  crashes: Schema.Finite,
  nodeId: Text,
  usage: Schema.Struct({ promptTokens: Schema.Finite, outputTokens: Schema.Finite }),
  charged: Schema.String,
  errorCode: Text,
  finishedAt: Time
})

const Event = Schema.Struct({
  seq: Schema.Finite,
  kind: Schema.String,
  to: Schema.String,
  attempt: Schema.Finite,
  nodeId: Text,
  code: Text,
  at: Schema.Finite
})

const Attempt = Schema.Struct({
  attempt: Schema.Finite,
  nodeId: Schema.String,
  state: Schema.String,
  leasedAt: Schema.Finite,
  firstTokenAt: Time,
  endedAt: Time,
  cause: Text,
  tokens: Schema.Finite
})

const Shown = Schema.Struct({
  row: JobRowView,
  events: Schema.Array(Event),
  record: Schema.NullOr(
    Schema.Struct({
      completeness: Schema.String,
      held: Schema.Boolean,
      routing: Schema.Struct({ attempts: Schema.Array(Attempt) })
    })
  )
})
type Shown = typeof Shown.Type

const factsOf = ({ row, record }: Shown): string => {
  const { job, usage } = row
  const tookMs = row.finishedAt === null ? "" : ` after ${row.finishedAt - job.acceptedAt} ms`
  const held = record?.held === true ? ", held" : ""
  return facts([
    ["job", job.id],
    ["state", row.errorCode === null ? row.state : `${row.state}: ${row.errorCode}`],
    ["namespace", job.namespaceId],
    ["key", job.keyId],
    ["user", job.clientTag],
    ["model", `${job.model} (${job.endpoint}, ${job.mode}, ${job.priority}, ${job.environment})`],
    ["accepted", instant(job.acceptedAt)],
    ["deadline", instant(job.deadlineAt)],
    ["finished", `${instant(row.finishedAt)}${tookMs}`],
    ["node", row.nodeId],
    ["owner", row.owner],
    [
      "attempts",
      `${row.attempt} (${counted(row.failures, "node fault")}, ${counted(row.crashes, "death")} of actor or daemon)`
    ],
    ["tokens", `${usage.promptTokens} prompt, ${usage.outputTokens} output`],
    ["credits", `${job.reserved} reserved, ${row.charged} charged`],
    ["record", record === null ? "not kept here any more" : `${record.completeness}${held}`]
  ])
}

const textOf = (shown: Shown): string => {
  const events = table(
    [
      { title: "EVENT", of: ({ kind }) => kind },
      { title: "AT", of: (event) => instant(event.at) },
      { title: "STATE", of: ({ to }) => to },
      { title: "ATTEMPT", of: ({ attempt }) => attempt, right: true },
      { title: "NODE", of: ({ nodeId }) => nodeId },
      { title: "CODE", of: ({ code }) => code }
    ],
    shown.events
  )
  const attempts = table(
    [
      { title: "ATTEMPT", of: ({ attempt }) => attempt, right: true },
      { title: "NODE", of: ({ nodeId }) => nodeId },
      { title: "STATE", of: ({ state }) => state },
      { title: "LEASED", of: ({ leasedAt }) => instant(leasedAt) },
      { title: "FIRST TOKEN", of: ({ firstTokenAt }) => instant(firstTokenAt) },
      { title: "ENDED", of: ({ endedAt }) => instant(endedAt) },
      { title: "PIECES", of: ({ tokens }) => tokens, right: true },
      { title: "CAUSE", of: ({ cause }) => orDash(cause), max: 40 }
    ],
    shown.record?.routing.attempts ?? []
  )
  const tried = (shown.record?.routing.attempts.length ?? 0) > 0
  return `${factsOf(shown)}\n${events}${tried ? `\n${attempts}` : ""}`
}

const showJob = show(Shown, textOf)

export const jobShow: Command = {
  path: ["jobs", "show"],
  args: [{ name: "ID", help: "the job" }],
  flags: [],
  summary: "one job: where it stands, its history, its tries on nodes",
  examples: ["resultity jobs show job_01j0example", "resultity jobs show job_01j0example --json | jq .row.state"],
  run: gets((input) => at("jobs", argument(input, 0)), showJob)
}
