/** The processes of nodes: started with a mix of characters, killed and frozen as wholes, and started again with the same keys. */
import { type ChildProcess, spawn } from "node:child_process"
import { createWriteStream, mkdirSync } from "node:fs"
import { join } from "node:path"
import { scheduler } from "node:timers/promises"
import { withUs } from "./Children.ts"
import type { Dice } from "../chaos/support/Dice.ts"
import type { NodesChildOptions } from "./NodesChild.ts"
import type { CharacterName } from "./RigRuntime.ts"

const CHILD = join(import.meta.dirname, "NodesChild.ts")

export interface NodesHandle {
  readonly name: string
  readonly pid: () => number | null
  readonly signal: (signal: NodeJS.Signals) => boolean
  readonly stop: () => Promise<void>
}

/** Which nodes there are: those that one may rely on, or everybody. */
export type Fleet = "reliable" | "mixed"

const RELIABLE: ReadonlyArray<CharacterName> = ["swift", "swift", "steady", "steady", "steady", "slow"]
const MIXED: ReadonlyArray<CharacterName> = [
  "swift",
  "swift",
  "steady",
  "steady",
  "slow",
  "crashing",
  "stalling",
  "lossy",
  "miscounting",
  "garbling",
  "repeating",
  "swift"
]

/** The same mix whatever is drawn: a small fleet without a single honest node would prove nothing. */
export const charactersOf = (fleet: Fleet, count: number): ReadonlyArray<CharacterName> => {
  const mix = fleet === "reliable" ? RELIABLE : MIXED
  return Array.from({ length: count }, (_, at) => mix[at % mix.length] ?? "swift")
}

export interface NodesOptions {
  readonly name: string
  readonly dice: Dice
  readonly characters: ReadonlyArray<CharacterName>
  readonly slots: number
  readonly daemons: ReadonlyArray<number>
  readonly env: Readonly<Record<string, string>>
}

export const startNodes = (options: NodesOptions, folder: string): NodesHandle => {
  const { name, dice, characters, slots, daemons } = options
  const keys = join(folder, "keys")
  mkdirSync(keys, { recursive: true, mode: 0o700 })
  const said = createWriteStream(join(folder, `${name}.err`), { flags: "a" })
  const state = { child: null as ChildProcess | null, stopped: false, births: 0 }
  const live = () => {
    if (state.stopped) return
    state.births += 1
    const args: NodesChildOptions = {
      name,
      seed: dice.between(0, 2 ** 31),
      characters,
      slots,
      daemons,
      keys,
      log: join(folder, `${name}.jsonl`)
    }
    const child = withUs(
      spawn(process.execPath, [CHILD, JSON.stringify(args)], {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, NODE_OPTIONS: "", ...options.env }
      })
    )
    state.child = child
    child.stdout.pipe(said, { end: false })
    child.stderr.pipe(said, { end: false })
    child.once("exit", () => {
      state.child = null
      void scheduler.wait(dice.between(200, 3000)).then(live)
    })
  }
  live()
  return {
    name,
    pid: () => state.child?.pid ?? null,
    signal: (signal) => state.child?.kill(signal) ?? false,
    stop: async () => {
      state.stopped = true
      const { child } = state
      if (child === null) return
      const gone = new Promise((resolve) => child.once("exit", resolve))
      child.kill("SIGCONT")
      child.kill("SIGTERM")
      await Promise.race([gone, scheduler.wait(5_000)])
      child.kill("SIGKILL")
      said.end()
    }
  }
}
