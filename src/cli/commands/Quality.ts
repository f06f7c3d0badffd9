/** `quality`: evaluation sets, what nodes were asked that was known, and how they stand. For administrators: it tells blind jobs from others. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { readFileSync } from "node:fs"
import { TrialKind, TrialState } from "../../schemas/Quality.ts"
import { gets } from "../Ask.ts"
import { type CliFailed, usage } from "../CliFailed.ts"
import { argument, type Command, type Flag, type Input, OPTIONAL_REASON, reasonOf } from "../Command.ts"
import { at, Control, type Query } from "../Control.ts"
import { counted, harmless, instant } from "../Plain.ts"
import { show } from "../Show.ts"
import { type Column, facts, table } from "../Table.ts"

const SetLine = Schema.Struct({
  id: Schema.String,
  version: Schema.Finite,
  endpoint: Schema.String,
  models: Schema.String,
  prompts: Schema.Finite,
  by: Schema.String,
  reason: Schema.String,
  at: Schema.Finite
})

const SET_COLUMNS: ReadonlyArray<Column<typeof SetLine.Type>> = [
  { title: "SET", of: ({ id }) => id },
  { title: "VERSION", of: ({ version }) => version, right: true },
  { title: "KIND", of: ({ endpoint }) => endpoint },
  { title: "MODELS", of: ({ models }) => models, max: 32 },
  { title: "PROMPTS", of: ({ prompts }) => prompts, right: true },
  { title: "SINCE", of: ({ at }) => instant(at) },
  { title: "BY", of: ({ by }) => by },
  { title: "REASON", of: ({ reason }) => reason, max: 48 }
]

const ShownSet = Schema.Struct({
  set: Schema.Struct({
    id: Schema.String,
    version: Schema.Finite,
    endpoint: Schema.String,
    models: Schema.String,
    sha256: Schema.String,
    prompts: Schema.Array(
      Schema.Struct({ id: Schema.String, text: Schema.String, expect: Schema.Array(Schema.JsonObject) })
    )
  }),
  versions: Schema.Array(SetLine)
})

const showSet = show(ShownSet, ({ set: { id, version, endpoint, models, sha256, prompts }, versions }) => {
  const head = facts([
    ["set", id],
    ["version", version],
    ["kind", endpoint],
    ["models", models],
    ["sha256", sha256]
  ])
  const body = prompts.map(
    ({ id, text, expect }) =>
      `\n${id}: ${harmless(text)}\n${expect.map((one) => `  expects ${harmless(JSON.stringify(one))}\n`).join("")}`
  )
  return `${head}${body.join("")}\n${table(SET_COLUMNS, versions)}`
})

const list: Command = {
  path: ["quality", "sets", "list"],
  args: [],
  flags: [],
  summary: "evaluation sets in their newest versions, without their prompts",
  examples: ["resultity quality sets list"],
  run: gets(
    () => at("quality", "sets"),
    show(Schema.Struct({ data: Schema.Array(SetLine) }), ({ data }) =>
      data.length === 0 ? "No evaluation sets.\n" : table(SET_COLUMNS, data)
    )
  )
}

const chosen =
  (names: ReadonlyArray<string>) =>
  (input: Input): Query =>
    Object.fromEntries(
      names.flatMap((name) => {
        const text = input.flags.get(name)
        return text === undefined ? [] : [[name, name === "node" ? text.toLowerCase() : text]]
      })
    )

const showOne: Command = {
  path: ["quality", "sets", "show"],
  args: [{ name: "SET", help: "its id" }],
  flags: [{ name: "version", value: "N", help: "this one; the newest" }],
  summary: "a set with its prompts and what they expect, and its versions",
  examples: ["resultity quality sets show capitals --version 1"],
  run: gets((input) => at("quality", "sets", argument(input, 0)), showSet, chosen(["version"]))
}

const fileOf = (path: string): Effect.Effect<Schema.JsonObject, CliFailed> =>
  Effect.try({
    try: (): unknown => JSON.parse(readFileSync(path, "utf8")),
    catch: (cause) => usage(`${path}: ${cause instanceof Error ? cause.message : String(cause)}`)
  }).pipe(
    Effect.filterOrElse(
      (value): value is Schema.JsonObject => typeof value === "object" && value !== null && !Array.isArray(value),
      () => Effect.fail(usage(`${path}: the top level has to be an object`))
    )
  )

const showAdded = show(Schema.Struct({ set: SetLine, added: Schema.Boolean }), ({ set, added }) =>
  added
    ? `${set.id} is version ${set.version} now, with ${counted(set.prompts, "prompt")}.\n`
    : `${set.id} says this already since version ${set.version}; nothing changed.\n`
)

const add: Command = {
  path: ["quality", "sets", "add"],
  args: [{ name: "FILE", help: "the set as JSON: id, endpoint, models, prompts" }],
  flags: [OPTIONAL_REASON],
  summary: "makes a new version of a set; what was judged by an older one stays judged by it",
  examples: ["resultity quality sets add docs/operations/capitals.json --reason 'a first set'"],
  run: Effect.fnUntraced(function* (input: Input) {
    const set = yield* fileOf(argument(input, 0))
    const answer = yield* (yield* Control).post(at("quality", "sets"), { ...set, reason: reasonOf(input) })
    return yield* showAdded(input, answer)
  })
}

const Interval = Schema.NullOr(
  Schema.Struct({ samples: Schema.Finite, rate: Schema.Finite, low: Schema.Finite, high: Schema.Finite })
)
const Standing = Schema.Struct({
  nodeId: Schema.String,
  model: Schema.String,
  score: Schema.NullOr(
    Schema.Struct({
      trials: Interval,
      checks: Interval,
      faults: Schema.Record(Schema.String, Schema.Finite),
      at: Schema.Finite
    })
  )
})

const within = (interval: typeof Interval.Type | undefined): string | null => {
  if (interval === null || interval === undefined) return null
  const { rate, low, high, samples } = interval
  return `${rate.toFixed(3)} (${low.toFixed(3)}-${high.toFixed(3)}) of ${samples.toFixed(1)}`
}

const faultsOf = (faults: Readonly<Record<string, number>>): string =>
  Object.entries(faults)
    .map(([check, count]) => `${check} ${count}`)
    .join(", ")

const SCORE_COLUMNS: ReadonlyArray<Column<typeof Standing.Type>> = [
  { title: "NODE", of: ({ nodeId }) => nodeId },
  { title: "MODEL", of: ({ model }) => model, max: 32 },
  { title: "TRIALS PASSED", of: ({ score }) => within(score?.trials) },
  { title: "CHECKS HELD", of: ({ score }) => within(score?.checks) },
  { title: "FAULTS", of: ({ score }) => faultsOf(score?.faults ?? {}), max: 60 },
  { title: "AS OF", of: ({ score }) => instant(score?.at) }
]

const NODE: Flag = { name: "node", value: "ID", help: "of this node" }
const MODEL: Flag = { name: "model", value: "NAME", help: "with this model" }
const LIMIT: Flag = { name: "limit", value: "N", help: "so many; 100" }

const scores: Command = {
  path: ["quality", "scores"],
  args: [],
  flags: [NODE, MODEL, LIMIT],
  summary: "how nodes stand with their models: shares with their 95 % intervals, of so many samples",
  notes: "Samples fade: one counts half after three days.",
  examples: [
    "resultity quality scores",
    "resultity quality scores --json | jq '.data[] | select(.score.trials.high < 0.8)'"
  ],
  run: gets(
    () => at("quality", "scores"),
    show(Schema.Struct({ data: Schema.Array(Standing) }), ({ data }) =>
      data.length === 0 ? "No scores.\n" : table(SCORE_COLUMNS, data)
    ),
    chosen(["node", "model", "limit"])
  )
}

const Trial = Schema.Struct({
  id: Schema.String,
  kind: Schema.String,
  state: Schema.String,
  nodeId: Schema.String,
  model: Schema.String,
  setId: Schema.NullOr(Schema.String),
  setVersion: Schema.NullOr(Schema.Finite),
  promptId: Schema.NullOr(Schema.String),
  jobId: Schema.NullOr(Schema.String),
  plannedAt: Schema.Finite,
  score: Schema.NullOr(Schema.Finite),
  code: Schema.NullOr(Schema.String)
})

const TRIAL_COLUMNS: ReadonlyArray<Column<typeof Trial.Type>> = [
  { title: "PLANNED", of: ({ plannedAt }) => instant(plannedAt) },
  { title: "KIND", of: ({ kind }) => kind },
  { title: "STATE", of: ({ state, code }) => (code === null ? state : `${state} (${code})`) },
  { title: "SCORE", of: ({ score }) => score?.toFixed(3), right: true },
  {
    title: "OF",
    of: ({ setId, setVersion, promptId }) => (setId === null ? null : `${setId}@${setVersion}/${promptId}`)
  },
  { title: "NODE", of: ({ nodeId }) => nodeId },
  { title: "MODEL", of: ({ model }) => model, max: 32 },
  { title: "JOB", of: ({ jobId }) => jobId }
]

const trials: Command = {
  path: ["quality", "trials"],
  args: [],
  flags: [
    { name: "kind", value: "KIND", help: TrialKind.literals.join(", "), oneOf: TrialKind.literals },
    { name: "state", value: "STATE", help: TrialState.literals.join(", "), oneOf: TrialState.literals },
    NODE,
    MODEL,
    { name: "set", value: "SET", help: "of this evaluation set" },
    LIMIT
  ],
  summary: "what nodes were asked that was known, newest first, and what came of it",
  notes: "Expectations and answers are in --json.",
  examples: ["resultity quality trials --state failed --limit 20"],
  run: gets(
    () => at("quality", "trials"),
    show(Schema.Struct({ data: Schema.Array(Trial) }), ({ data }) =>
      data.length === 0 ? "No trials.\n" : table(TRIAL_COLUMNS, data)
    ),
    chosen(["kind", "state", "node", "model", "set", "limit"])
  )
}

export const qualityCommands: ReadonlyArray<Command> = [list, showOne, add, scores, trials]
