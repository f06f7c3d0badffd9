/**
 * A command line against the table of commands. Options may stand anywhere, also before the command's name. What is wrong is one sentence that
 * names it; nothing is guessed.
 */
import * as Result from "effect/Result"
import { parseArgs } from "node:util"
import { type CliFailed, usage } from "./CliFailed.ts"
import type { Command, Flag, Input } from "./Command.ts"

/** Options that every command takes. */
export const COMMON: ReadonlyArray<Flag> = [
  {
    name: "control",
    value: "URL",
    help: "the daemon's control listener; RESULTITY_CONTROL_URL, else http://127.0.0.1:8401"
  },
  {
    name: "control-key",
    value: "KEY",
    help: "its key; better in RESULTITY_CONTROL_KEY, where other users see nothing"
  },
  { name: "actor", value: "NAME", help: "who you are, for the audit; RESULTITY_ACTOR, else cli" },
  { name: "json", help: "one JSON document, for programs" },
  { name: "help", help: "what a command does, with examples" }
]

export type Parsed =
  | { readonly _tag: "Run"; readonly command: Command; readonly input: Input }
  /** Words are those before which help was asked. */
  | { readonly _tag: "Help"; readonly words: ReadonlyArray<string> }
  | { readonly _tag: "Version" }

interface Option {
  readonly name: string
  readonly value: string | undefined
  readonly inline: boolean
}

export const parse = (
  commands: ReadonlyArray<Command>,
  argv: ReadonlyArray<string>
): Result.Result<Parsed, CliFailed> => {
  const { words, options } = split(commands, argv)
  const isHelp = words.length === 0 || words[0] === "help" || options.some(({ name }) => name === "help")
  if (words.length === 0 && options.some(({ name }) => name === "version")) return Result.succeed({ _tag: "Version" })
  if (isHelp) return Result.succeed({ _tag: "Help", words: words[0] === "help" ? words.slice(1) : words })
  const command = commandOf(commands, words)
  if (command === undefined) return Result.fail(usage(noCommand(commands, words)))
  return Result.map(inputOf(command, words.slice(command.path.length), options), (input) => ({
    _tag: "Run",
    command,
    input
  }))
}

/** Knows which options take a value, whatever the command: an option's name means one thing. */
const split = (commands: ReadonlyArray<Command>, argv: ReadonlyArray<string>) => {
  const flags = [...COMMON, ...commands.flatMap((command) => command.flags)]
  const types = flags.map(({ name, value }) => [name, { type: value === undefined ? "boolean" : "string" }] as const)
  const { tokens } = parseArgs({
    args: [...argv],
    options: { ...Object.fromEntries(types), help: { type: "boolean", short: "h" } },
    strict: false,
    tokens: true
  })
  const words: Array<string> = []
  const options: Array<Option> = []
  for (const token of tokens) {
    if (token.kind === "positional") words.push(token.value)
    else if (token.kind === "option") {
      options.push({ name: token.name, value: token.value, inline: token.inlineValue === true })
    }
  }
  return { words, options }
}

export const commandOf = (commands: ReadonlyArray<Command>, words: ReadonlyArray<string>): Command | undefined =>
  commands.find(({ path }) => path.every((word, at) => words[at] === word))

const noCommand = (commands: ReadonlyArray<Command>, [first = "", second, third]: ReadonlyArray<string>): string => {
  if (first === "daemon" || first === "node") return `${first} has to come first: resultity ${first} [options]`
  const group = commands.flatMap(({ path: [word, next] }) => (word === first && next !== undefined ? [next] : []))
  const below = commands.flatMap(({ path: [word, next, last] }) =>
    word === first && next === second && last !== undefined ? [last] : []
  )
  if (below.length > 0) {
    const fault =
      third === undefined ? `${first} ${second} needs one more word` : `there is no ${first} ${second} ${third}`
    return `${fault}; there are ${first} ${second} ${below.join(", ")}`
  }
  if (group.length > 0) {
    const fault = second === undefined ? `${first} needs one more word` : `there is no ${first} ${second}`
    return `${fault}; there are ${first} ${[...new Set(group)].join(", ")}`
  }
  const known = [...new Set(commands.map(({ path }) => path[0])), "daemon", "node"]
  return `there is no command ${first}; there are ${known.join(", ")}`
}

const inputOf = (
  command: Command,
  args: ReadonlyArray<string>,
  options: ReadonlyArray<Option>
): Result.Result<Input, CliFailed> => {
  const name = command.path.join(" ")
  const flags = new Map<string, string>()
  for (const option of options) {
    const flag = [...COMMON, ...command.flags].find((one) => one.name === option.name)
    const fault = flag === undefined ? `${name} has no option ${dashed(option.name)}` : faultOf(flag, option, flags)
    if (fault !== null) return Result.fail(usage(`${fault} (see resultity ${name} --help)`))
    flags.set(option.name, option.value ?? "")
  }
  const least = command.args.filter(({ many }) => many !== true).length
  const missing = command.args[args.length]
  if (args.length < least && missing !== undefined) {
    return Result.fail(usage(`${name} needs ${missing.name}: ${missing.help} (see resultity ${name} --help)`))
  }
  const extra = args[command.args.length]
  if (extra !== undefined && command.args.at(-1)?.many !== true) {
    return Result.fail(usage(`${name} does not take ${JSON.stringify(extra)} (see resultity ${name} --help)`))
  }
  const lacking = command.flags.find(
    ({ name: flag, needed, unless }) =>
      needed !== undefined && (flags.get(flag) ?? "") === "" && (unless === undefined || !flags.has(unless))
  )
  if (lacking !== undefined) {
    return Result.fail(usage(`${name} needs --${lacking.name} ${lacking.value ?? ""}: ${lacking.needed ?? ""}`))
  }
  return Result.succeed({ args, flags, json: flags.has("json") })
}

const dashed = (name: string) => (name.length === 1 ? `-${name}` : `--${name}`)

/** Why this option will not do, or null. */
const faultOf = (flag: Flag, { value, inline }: Option, before: ReadonlyMap<string, string>): string | null => {
  const name = `--${flag.name}`
  if (before.has(flag.name)) return `${name} is given twice`
  if (flag.value === undefined) return value === undefined ? null : `${name} takes no value`
  if (value === undefined || (!inline && value.startsWith("-"))) return `${name} needs a value: ${name}=${flag.value}`
  // A key's value is never repeated.
  if (value === "") return `${name} is empty`
  if (flag.oneOf !== undefined && !flag.oneOf.includes(value)) return `${name} is one of ${flag.oneOf.join(", ")}`
  const wrong = flag.check?.(value) ?? null
  return wrong === null ? null : `${name} ${wrong}`
}
