/** The table of commands as text: all of it, one group, or one command with its options and examples. */
import { EXIT, EXIT_INTERRUPTED } from "./CliFailed.ts"
import type { Command } from "./Command.ts"
import { commandOf, COMMON } from "./Parse.ts"

const WIDTH = 28

/** For these words, or for everything when they name nothing. */
export const helpText = (commands: ReadonlyArray<Command>, words: ReadonlyArray<string>): string => {
  const command = commandOf(commands, words)
  if (command !== undefined) return ofCommand(command)
  const group = commands.filter(({ path }) => path[0] === words[0])
  return group.length > 0 ? ofGroup(group, words[0] ?? "") : ofAll(commands)
}

const line = (left: string, right: string): string =>
  left.length < WIDTH ? `  ${left.padEnd(WIDTH)}${right}\n` : `  ${left}\n  ${" ".repeat(WIDTH)}${right}\n`

const callOf = ({ path, args }: Command): string =>
  [...path, ...args.map(({ name, many }) => (many === true ? `[${name} …]` : name))].join(" ")

const common = `Options of every command:\n${COMMON.map(optionLine).join("")}`

function optionLine({ name, value, help, oneOf }: (typeof COMMON)[number]): string {
  const choices = oneOf === undefined ? "" : `: ${oneOf.join(", ")}`
  return line(value === undefined ? `--${name}` : `--${name} ${value}`, `${help}${choices}`)
}

const examples = (lines: ReadonlyArray<string>): string => `Examples:\n${lines.map((one) => `  ${one}\n`).join("")}`

const ofCommand = (command: Command): string => {
  const { path, args, flags, summary, notes } = command
  const parts = [
    `resultity ${path.join(" ")}: ${summary}\n`,
    `Usage: resultity ${callOf(command)} [options]\n`,
    ...(notes === undefined ? [] : [`${notes}\n`]),
    ...(args.length + flags.length === 0
      ? []
      : [args.map(({ name, help }) => line(name, help)).join("") + flags.map(optionLine).join("")]),
    common,
    examples(command.examples)
  ]
  return parts.join("\n")
}

const ofGroup = (group: ReadonlyArray<Command>, word: string): string =>
  [
    `Usage: resultity ${word} COMMAND [options]\n`,
    group.map((command) => line(callOf(command), command.summary)).join(""),
    `More about one: resultity ${word} COMMAND --help\n`,
    common,
    examples(group.map((command) => command.examples[0]))
  ].join("\n")

const ofAll = (commands: ReadonlyArray<Command>): string =>
  [
    "resultity: the runtime of an inference network, and what its operators need.\n",
    "Usage: resultity COMMAND [options]\n",
    `Processes (each has its own --help):
${line("daemon", "accepts jobs, finds nodes for them, streams the answers back")}${line("node", "joins a model runtime to a daemon as a node")}${line("doctor", "looks at the servers and folders of a daemon and says what to do")}`,
    `Commands, over a daemon's control listener (archive and snapshot with --from need none):
${commands.map((command) => line(callOf(command), command.summary)).join("")}`,
    common,
    EXIT_CODES,
    examples([
      "resultity daemon",
      "resultity jobs list --status active",
      "resultity nodes drain 0x52908400098527886e0f7030069857d2e4169ee7 --reason 'new driver'",
      "resultity jobs list --all --json | jq '.data[].jobId'"
    ])
  ].join("\n")

const EXIT_CODES = `Exit codes, with "code: message" on stderr unless it is ${EXIT.ok}:
${line(String(EXIT.ok), "done, also when the reader of the output went away")}${line(String(EXIT.failed), "failed or refused")}${line(String(EXIT.usage), "the command line is wrong; nothing was asked")}${line(String(EXIT.unreachable), "no daemon answers, or the connection was lost")}${line(String(EXIT.notFound), "there is no such thing, or no more")}${line(String(EXIT.conflict), "it is in a state that does not allow this")}${line(String(EXIT.unavailable), "not now: unavailable, draining, too many requests; try again")}${line(String(EXIT_INTERRUPTED), "stopped by ctrl-C")}`
