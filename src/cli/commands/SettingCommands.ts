/** `settings`: the rules that may change while daemons run. A change names only what changes, and makes a whole new version. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { readFileSync } from "node:fs"
import { type CliFailed, usage } from "../CliFailed.ts"
import { gets } from "../Ask.ts"
import { type Command, type Input, REASON, reasonOf } from "../Command.ts"
import { at, Control } from "../Control.ts"
import { instant } from "../Plain.ts"
import { show } from "../Show.ts"
import { facts } from "../Table.ts"
import { changesOf } from "./SettingChanges.ts"

const Version = Schema.Struct({
  version: Schema.Finite,
  digest: Schema.String,
  settings: Schema.Record(Schema.String, Schema.Json),
  by: Schema.String,
  reason: Schema.String,
  at: Schema.Finite
})

/** Every leaf under the key that `settings set` takes for it. */
const leavesOf = (value: Schema.Json, path: string): ReadonlyArray<readonly [string, string]> => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return [[path, typeof value === "string" ? value : JSON.stringify(value)]]
  }
  const inner = Object.entries(value).flatMap(([key, member]) => leavesOf(member, path === "" ? key : `${path}.${key}`))
  return inner.length === 0 ? [[path, "none"]] : inner
}

const showVersion = show(
  Version,
  ({ version, digest, settings, by, reason, at }) =>
    `${facts([
      ["version", version],
      ["digest", digest],
      ["by", by],
      ["reason", reason],
      ["at", instant(at)]
    ])}\n${facts(leavesOf(settings, ""))}`
)
const showSet = show(Version, ({ version, digest }) => `The settings are version ${version} now, digest ${digest}.\n`)

/** From the words, or from a file that holds the changes as one JSON object. */
const changesIn = ({ args, flags }: Input): Effect.Effect<Schema.JsonObject, CliFailed> => {
  const path = flags.get("file")
  if ((path === undefined) === (args.length === 0)) {
    return Effect.fail(usage("settings set needs either KEY=VALUE or --file FILE (see resultity settings set --help)"))
  }
  if (path === undefined) return Effect.fromResult(changesOf(args))
  return Effect.try({
    try: (): unknown => JSON.parse(readFileSync(path, "utf8")),
    catch: (cause) => usage(`--file ${path}: ${cause instanceof Error ? cause.message : String(cause)}`)
  }).pipe(
    Effect.flatMap((value) =>
      typeof value === "object" && value !== null && !Array.isArray(value)
        ? Effect.succeed(value as Schema.JsonObject)
        : Effect.fail(usage(`--file ${path}: the top level has to be an object`))
    )
  )
}

const set = Effect.fnUntraced(function* (input: Input) {
  const changes = yield* changesIn(input)
  const answer = yield* (yield* Control).post(at("settings"), { changes, reason: reasonOf(input) })
  return yield* showSet(input, answer)
})

export const settingCommands: ReadonlyArray<Command> = [
  {
    path: ["settings", "show"],
    args: [],
    flags: [],
    summary: "the settings in force, and who made them so",
    notes: "Prices are whole micro-credits, millionths of a credit; names that end in Ms are milliseconds.",
    examples: ["resultity settings show", "resultity settings show --json | jq .settings.prices"],
    run: gets(() => at("settings"), showVersion)
  },
  {
    path: ["settings", "set"],
    args: [
      { name: "KEY=VALUE", help: "a key as `settings show` names it; null takes a price or an alias away", many: true }
    ],
    flags: [{ name: "file", value: "FILE", help: "the changes as a JSON object instead" }, REASON],
    summary: "changes settings; jobs that are admitted keep their prices",
    notes: "A model that has no price yet needs all three kinds at once: perPromptToken, perOutputToken, perRequest.",
    examples: [
      "resultity settings set outputTokensDefault=2048 deadlineMs.sync=60000 --reason 'slower models'",
      "resultity settings set prices.default.perOutputToken=4 --reason 'energy costs more'",
      "resultity settings set aliases.gpt-4o-mini=llama-3.1-8b --reason 'customers ask for it'",
      "resultity settings set aliases.gpt-4o-mini=null --reason 'no longer wanted'"
    ],
    run: set
  }
]
