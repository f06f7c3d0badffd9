/**
 * What a command is: a row of a table, from which parsing, checks and help follow. Its `run` gets input that is complete and known, so it
 * asks the daemon and shows the answer, and nothing else.
 */
import type * as Effect from "effect/Effect"
import type { CliFailed } from "./CliFailed.ts"
import type { Control } from "./Control.ts"
import type { Output, PipeClosed } from "./Output.ts"

export interface Flag {
  readonly name: string
  /** What stands for its value in the help; absent: a switch. */
  readonly value?: string
  readonly help: string
  readonly oneOf?: ReadonlyArray<string>
  /** Why the command does not go without it. */
  readonly needed?: string
  /** The option with which it goes without. */
  readonly unless?: string
  /** What is wrong with a value, or null. */
  readonly check?: (text: string) => string | null
}

export interface Positional {
  readonly name: string
  readonly help: string
  /** The last one may come any number of times, also never. */
  readonly many?: true
}

export interface Input {
  readonly args: ReadonlyArray<string>
  /** A switch that is on has an empty value. */
  readonly flags: ReadonlyMap<string, string>
  readonly json: boolean
}

export interface Command {
  /** The words that call it: `["jobs", "list"]`. */
  readonly path: readonly [string, ...ReadonlyArray<string>]
  readonly args: ReadonlyArray<Positional>
  readonly flags: ReadonlyArray<Flag>
  readonly summary: string
  /** What a reader of the help would guess wrong. */
  readonly notes?: string
  readonly examples: readonly [string, ...ReadonlyArray<string>]
  readonly run: (input: Input) => Effect.Effect<void, CliFailed | PipeClosed, Control | Output>
  /** Never asks a daemon: `offline` runs always. */
  readonly isLocal?: true
  /** Runs instead when `--from` names a place: no daemon is asked, and what would lead to one does not matter. */
  readonly offline?: (input: Input) => Effect.Effect<void, CliFailed | PipeClosed, Output>
}

/** The n-th positional; the parser has made sure that it is there. */
export const argument = (input: Input, at: number): string => input.args[at] ?? ""

/** For changes that the daemon writes down for good. */
export const REASON: Flag = {
  name: "reason",
  value: "TEXT",
  help: "why, for the audit; needed",
  needed: "it is written to the audit"
}

/** For changes whose why is plain. */
export const OPTIONAL_REASON: Flag = { name: "reason", value: "TEXT", help: 'why, for the audit; "by resultity CLI"' }

export const reasonOf = (input: Input): string => input.flags.get("reason") ?? "by resultity CLI"
