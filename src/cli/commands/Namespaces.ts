/** `namespaces`: the units that pay and are limited. */
import * as Schema from "effect/Schema"
import { Environment } from "../../schemas/Job.ts"
import { gets, posts } from "../Ask.ts"
import { argument, type Command, type Flag, type Input, REASON } from "../Command.ts"
import { at } from "../Control.ts"
import { instant, oneLine } from "../Plain.ts"
import { show } from "../Show.ts"
import { type Column, table } from "../Table.ts"

const Namespace = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  environment: Schema.String,
  rules: Schema.Struct({
    urgent: Schema.Boolean,
    weight: Schema.Finite,
    openJobsMax: Schema.Finite,
    retentionDays: Schema.NullOr(Schema.Finite),
    retentionTier: Schema.optionalKey(Schema.String),
    held: Schema.optionalKey(Schema.Boolean),
    persistPayloads: Schema.Boolean
  }),
  createdAt: Schema.Finite
})

/** Days of its own, or its tier; a hold beats both. */
const keptOf = ({ retentionDays, retentionTier = "standard", held }: (typeof Namespace.Type)["rules"]): string => {
  const kept = retentionDays === null ? retentionTier : `${retentionDays} days`
  return held === true ? `${kept}, held` : kept
}

const COLUMNS: ReadonlyArray<Column<typeof Namespace.Type>> = [
  { title: "NAMESPACE", of: ({ id }) => id },
  { title: "NAME", of: ({ name }) => name },
  { title: "ENVIRONMENT", of: ({ environment }) => environment },
  { title: "URGENT", of: ({ rules }) => (rules.urgent ? "yes" : "no") },
  { title: "WEIGHT", of: ({ rules }) => rules.weight, right: true },
  { title: "OPEN JOBS", of: ({ rules }) => rules.openJobsMax, right: true },
  { title: "KEPT", of: ({ rules }) => keptOf(rules) },
  { title: "PAYLOADS", of: ({ rules }) => (rules.persistPayloads ? "kept" : "dropped") },
  { title: "CREATED", of: ({ createdAt }) => instant(createdAt) }
]

const showAll = show(Schema.Struct({ data: Schema.Array(Namespace) }), ({ data }) =>
  data.length === 0 ? "No namespaces.\n" : table(COLUMNS, data)
)
const showMade = show(
  Schema.Struct({ namespace: Namespace }),
  ({ namespace }) => `${namespace.id} is ${namespace.name} on ${namespace.environment}. It has no credits yet.\n`
)

const showAmended = show(
  Schema.Struct({ namespace: Namespace }),
  ({ namespace }) => `${namespace.id}: ${oneLine(JSON.stringify(namespace.rules))}\n`
)

/** The rules that were given; the daemon knows the others. */
const rulesOf = ({ flags }: Input): Schema.JsonObject => {
  const figures = { weight: "weight", "open-jobs": "openJobsMax", "retention-days": "retentionDays" }
  return {
    ...(flags.has("urgent") ? { urgent: true } : {}),
    ...(flags.has("drop-payloads") ? { persistPayloads: false } : {}),
    ...(flags.has("keep-payloads") ? { persistPayloads: true } : {}),
    ...(flags.has("tier") ? { retentionTier: flags.get("tier") ?? "" } : {}),
    ...Object.fromEntries(
      Object.entries(figures).flatMap(([flag, rule]) => {
        const text = flags.get(flag)
        return text === undefined ? [] : [[rule, Number(text)]]
      })
    )
  }
}

const orderOf = (input: Input): Schema.JsonObject => {
  const rules = rulesOf(input)
  return {
    name: argument(input, 0),
    environment: input.flags.get("environment") ?? "testnet",
    ...(Object.keys(rules).length === 0 ? {} : { rules })
  }
}

const isWhole = (text: string): string | null => (/^\d{1,7}$/.test(text) ? null : "is a whole number")

const list: Command = {
  path: ["namespaces", "list"],
  args: [],
  flags: [],
  summary: "all namespaces with their rules, by name",
  notes:
    "OPEN JOBS is the most that may be open at once; KEPT is the tier of retention, or how many days finished jobs stay in the live records.",
  examples: ["resultity namespaces list", "resultity namespaces list --json | jq -r '.data[].id'"],
  run: gets(() => at("namespaces"), showAll)
}

const KEEPING: ReadonlyArray<Flag> = [
  { name: "tier", value: "NAME", help: "of retention, as the settings name them; standard" },
  { name: "retention-days", value: "N", help: "days in the live records, up to 180; by its tier", check: isWhole },
  { name: "drop-payloads", help: "prompt and answer are not kept after the result window" }
]

const create: Command = {
  path: ["namespaces", "create"],
  args: [{ name: "NAME", help: "letters, digits, space, dot, dash, underscore; unique in its environment" }],
  flags: [
    { name: "environment", value: "NAME", help: "testnet unless said otherwise; one of", oneOf: Environment.literals },
    { name: "urgent", help: "may ask for priority urgent" },
    { name: "weight", value: "N", help: "share of a lane against others, 1 to 1000; 1", check: isWhole },
    { name: "open-jobs", value: "N", help: "jobs open at once; 10000", check: isWhole },
    ...KEEPING,
    REASON
  ],
  summary: "makes a namespace; keys and credits are given to it after that",
  notes: "A namespace is never deleted, because its entries stay.",
  examples: [
    "resultity namespaces create 'web shop' --reason 'new customer'",
    "resultity namespaces create lab --environment mainnet --urgent --weight 5 --reason 'in-house'"
  ],
  run: posts(() => at("namespaces"), showMade, orderOf)
}

const amend: Command = {
  path: ["namespaces", "amend"],
  args: [{ name: "ID", help: "the namespace" }],
  flags: [
    { name: "urgent", help: "may ask for priority urgent" },
    { name: "weight", value: "N", help: "share of a lane against others, 1 to 1000", check: isWhole },
    { name: "open-jobs", value: "N", help: "jobs open at once", check: isWhole },
    ...KEEPING,
    { name: "keep-payloads", help: "prompt and answer are kept as long as its tier says" },
    REASON
  ],
  summary: "changes rules of a namespace; what is not named stays",
  notes:
    "A tier takes the place of days of its own. What it changes for finished jobs holds from the next pass of retention on.",
  examples: ["resultity namespaces amend ns_01j0example --tier extended --reason 'contract 4'"],
  run: posts(
    (input) => at("namespaces", argument(input, 0), "rules"),
    showAmended,
    (input) => ({ rules: rulesOf(input) })
  )
}

export const namespaceCommands: ReadonlyArray<Command> = [list, create, amend]
