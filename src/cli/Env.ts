/** The variables that the command was called with: what a command reads of them itself, beside those that lead to the daemon. */
import * as Context from "effect/Context"

export type Env = Readonly<Record<string, string | undefined>>

export const Env = Context.Reference<Env>("resultity/cli/Env", { defaultValue: () => ({}) })
