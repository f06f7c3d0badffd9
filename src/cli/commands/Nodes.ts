/** `nodes`: who serves, and holding them back or letting them go. Restrictions are told apart by kind, so lifting one leaves the others. */
import * as Schema from "effect/Schema"
import { gets, posts } from "../Ask.ts"
import { argument, type Command, type Flag, type Input, REASON } from "../Command.ts"
import { at } from "../Control.ts"
import { instant, instantFault, toInstant } from "../Plain.ts"
import { show } from "../Show.ts"
import { type Column, table } from "../Table.ts"

const Restriction = Schema.Struct({ kind: Schema.String, until: Schema.NullOr(Schema.Finite) })

const NodeLine = Schema.Struct({
  nodeId: Schema.String,
  name: Schema.optionalKey(Schema.String),
  lifecycle: Schema.String,
  link: Schema.String,
  region: Schema.NullOr(Schema.String),
  slots: Schema.Finite,
  leased: Schema.Finite,
  models: Schema.Array(Schema.String),
  restrictions: Schema.Array(Restriction),
  lastSeenAt: Schema.Finite
})

const named = (restrictions: ReadonlyArray<typeof Restriction.Type>): string =>
  restrictions.map(({ kind, until }) => (until === null ? kind : `${kind} until ${instant(until)}`)).join(", ")

const COLUMNS: ReadonlyArray<Column<typeof NodeLine.Type>> = [
  { title: "NODE", of: ({ nodeId }) => nodeId },
  { title: "NAME", of: ({ name }) => name, max: 24 },
  { title: "LIFECYCLE", of: ({ lifecycle }) => lifecycle },
  { title: "LINK", of: ({ link }) => link },
  { title: "LEASED", of: ({ leased, slots }) => `${leased}/${slots}`, right: true },
  { title: "REGION", of: ({ region }) => region, max: 16 },
  { title: "MODELS", of: ({ models }) => models.join(","), max: 40 },
  { title: "RESTRICTIONS", of: ({ restrictions }) => named(restrictions) },
  { title: "LAST SEEN", of: ({ lastSeenAt }) => instant(lastSeenAt) }
]

const showNodes = show(Schema.Struct({ data: Schema.Array(NodeLine) }), ({ data }) =>
  data.length === 0 ? "No nodes.\n" : table(COLUMNS, data)
)

const showNode = show(
  Schema.Struct({ node: Schema.Struct({ nodeId: Schema.String, restrictions: Schema.Array(Restriction) }) }),
  ({ node }) => `${node.nodeId} is ${node.restrictions.length === 0 ? "unrestricted" : named(node.restrictions)}.\n`
)

const showDraining = show(
  Schema.Struct({ nodeId: Schema.String }),
  ({ nodeId }) => `${nodeId} takes nothing new, finishes what it runs and leaves.\n`
)

const NODE = { name: "ID", help: "the node: its address, 0x…" } as const

const UNTIL: Flag = {
  name: "until",
  value: "TIME",
  help: "lifted by itself then; ISO 8601 or epoch milliseconds",
  check: instantFault
}

const untilOf = ({ flags }: Input): { readonly until?: number } => {
  const text = flags.get("until")
  const until = text === undefined ? null : toInstant(text)
  return until === null ? {} : { until }
}

const change = (verb: string, summary: string, example: string, more: Partial<Command> = {}): Command => ({
  path: ["nodes", verb],
  args: [NODE],
  flags: [REASON],
  summary,
  examples: [`resultity nodes ${verb} 0x52908400098527886e0f7030069857d2e4169ee7 ${example}`],
  run: posts(
    (input) => at("nodes", argument(input, 0).toLowerCase(), verb),
    verb === "drain" ? showDraining : showNode,
    untilOf
  ),
  ...more
})

const list: Command = {
  path: ["nodes", "list"],
  args: [],
  flags: [],
  summary: "every node that was ever registered, and how it is now",
  notes: "LINK suspect: connected, but its runtime does not answer.",
  examples: [
    "resultity nodes list",
    "resultity nodes list --json | jq '.data[] | select(.link == \"online\") | .nodeId'"
  ],
  run: gets(() => at("nodes"), showNodes)
}

const DoneJob = Schema.Struct({
  jobId: Schema.String,
  endpoint: Schema.String,
  model: Schema.String,
  state: Schema.String,
  errorCode: Schema.NullOr(Schema.String),
  createdAt: Schema.Finite,
  promptTokens: Schema.Finite,
  outputTokens: Schema.Finite,
  cost: Schema.NullOr(Schema.String),
  totalMs: Schema.NullOr(Schema.Finite)
})

const JOB_COLUMNS: ReadonlyArray<Column<typeof DoneJob.Type>> = [
  { title: "JOB", of: ({ jobId }) => jobId },
  { title: "CREATED", of: ({ createdAt }) => instant(createdAt) },
  { title: "STATE", of: ({ state, errorCode }) => (errorCode === null ? state : `${state} (${errorCode})`) },
  { title: "KIND", of: ({ endpoint }) => endpoint },
  { title: "MODEL", of: ({ model }) => model, max: 32 },
  { title: "TOKENS", of: ({ promptTokens, outputTokens }) => `${promptTokens}+${outputTokens}`, right: true },
  { title: "COST", of: ({ cost }) => cost, right: true },
  { title: "MS", of: ({ totalMs }) => totalMs, right: true }
]

const jobs: Command = {
  path: ["nodes", "jobs"],
  args: [NODE],
  flags: [{ name: "limit", value: "N", help: "so many; 100" }],
  summary: "its jobs as its owner may see them, newest first",
  notes: "Neither who asked nor what: nothing here tells a customer's job from one of the network.",
  examples: ["resultity nodes jobs 0x52908400098527886e0f7030069857d2e4169ee7 --limit 20"],
  run: gets(
    (input) => at("nodes", argument(input, 0).toLowerCase(), "jobs"),
    show(Schema.Struct({ data: Schema.Array(DoneJob) }), ({ data }) =>
      data.length === 0 ? "No jobs.\n" : table(JOB_COLUMNS, data)
    ),
    ({ flags }) => {
      const limit = flags.get("limit")
      return limit === undefined ? {} : { limit }
    }
  )
}

const restricting = { flags: [REASON, UNTIL] }

export const nodeCommands: ReadonlyArray<Command> = [
  list,
  jobs,
  change(
    "pause",
    "no new work; what it runs goes on",
    "--reason 'driver update' --until 2026-11-25T18:00Z",
    restricting
  ),
  change("resume", "lifts a pause", "--reason 'driver is new'"),
  change("drain", "no new work, and it leaves when it is done", "--reason 'moves to another rack'"),
  change("freeze", "no work while it is looked into", "--reason 'answers differ from its peers'", restricting),
  change("unfreeze", "lifts a freeze", "--reason 'peers were wrong'"),
  change("shadow-ban", "no work, and nothing to notice it by", "--reason 'forged results'", restricting),
  change("maintenance", "no work while it is repaired", "--reason 'new fan'", restricting),
  change("reinstate", "lifts every restriction", "--reason 'checked by hand'")
]
