/**
 * Real daemons as processes, each with its own ports, data folder, log and links; one that ends is started again after a pause that grows, as a
 * supervisor of the system would. An end that nobody asked for is written down.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { createWriteStream, mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { scheduler } from "node:timers/promises"
import { withUs } from "./Children.ts"
import type { DaemonLine } from "./History.ts"
import type { Journal } from "./Journal.ts"

export const COMMAND = join(import.meta.dirname, "..", "..", "bin", "resultity.js")
const PAUSE_FIRST_MS = 200
const PAUSE_MOST_MS = 5_000
/** A daemon that lived this long was well. */
const GOOD_LIFE_MS = 15_000
const RSS_EVERY_MS = 2_000

export interface DaemonPlace {
  readonly name: string
  readonly port: number
  readonly controlPort: number
  readonly data: string
  /** The program: this tree's own, unless another one is to be tried. */
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
}

export interface DaemonHandle {
  readonly name: string
  readonly url: string
  readonly controlUrl: string
  readonly port: number
  readonly pid: () => number | null
  readonly signal: (signal: NodeJS.Signals) => boolean
  /** Resolves when the daemon that runs or comes next has said that it is ready. */
  readonly ready: () => Promise<void>
  /** Resolves when it is dead. */
  readonly kill: () => Promise<void>
  /** Asks it to drain, waits for its end and for the next one to be ready. */
  readonly roll: () => Promise<number | null>
  /** No next one. */
  readonly stop: () => Promise<void>
}

interface Life {
  readonly child: ChildProcess
  readonly bornAt: number
  isReady: boolean
  asked: boolean
}

export const startDaemon = (place: DaemonPlace, folder: string, journal: Journal<DaemonLine>): DaemonHandle => {
  mkdirSync(place.data, { recursive: true })
  const log = createWriteStream(join(folder, `${place.name}.log`), { flags: "a" })
  const { name } = place
  const state = { life: null as Life | null, stopped: false, failures: 0 }
  const waiting = new Set<() => void>()
  const ends = new Set<(code: number | null) => void>()

  const live = () => {
    if (state.stopped) return
    const child = withUs(
      spawn(process.execPath, [place.command, "daemon", ...argumentsOf(place)], {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...bareEnvironment(), ...place.env }
      })
    )
    const life: Life = { child, bornAt: Date.now(), isReady: false, asked: false }
    state.life = life
    journal.write({ at: life.bornAt, daemon: name, type: "started", pid: child.pid ?? -1 })
    const hear = (line: string) => {
      log.write(`${line}\n`)
      if (life.isReady || !line.startsWith("ready: ")) return
      life.isReady = true
      journal.write({ at: Date.now(), daemon: name, type: "ready", tookMs: Date.now() - life.bornAt })
      for (const resolve of waiting) resolve()
      waiting.clear()
    }
    createInterface({ input: child.stdout }).on("line", hear)
    createInterface({ input: child.stderr }).on("line", (line) => log.write(`${line}\n`))
    const timer = setInterval(() => watchSize(name, child.pid, journal), RSS_EVERY_MS)
    child.once("exit", (code, signal) => {
      clearInterval(timer)
      const at = Date.now()
      journal.write({ at, daemon: name, type: "exit", code, signal, asked: life.asked })
      state.life = null
      state.failures = at - life.bornAt > GOOD_LIFE_MS ? 0 : state.failures + 1
      for (const resolve of ends) resolve(code)
      ends.clear()
      const pause = Math.min(PAUSE_MOST_MS, PAUSE_FIRST_MS * 2 ** Math.max(0, state.failures - 1))
      void scheduler.wait(pause).then(live)
    })
  }

  const ready = (): Promise<void> =>
    state.life?.isReady === true ? Promise.resolve() : new Promise((resolve) => waiting.add(resolve))
  const signal = (asked: NodeJS.Signals): boolean => {
    const { life } = state
    if (life === null) return false
    if (asked === "SIGKILL" || asked === "SIGTERM") life.asked = true
    return life.child.kill(asked)
  }
  const ended = () =>
    state.life === null ? Promise.resolve(null) : new Promise<number | null>((resolve) => ends.add(resolve))

  live()
  return {
    name,
    url: `http://127.0.0.1:${place.port}`,
    controlUrl: `http://127.0.0.1:${place.controlPort}`,
    port: place.port,
    pid: () => state.life?.child.pid ?? null,
    signal,
    ready,
    kill: async () => {
      const end = ended()
      signal("SIGKILL")
      await end
    },
    roll: async () => {
      const end = ended()
      signal("SIGTERM")
      const code = await end
      await ready()
      return code
    },
    stop: async () => {
      state.stopped = true
      const end = ended()
      signal("SIGCONT")
      signal("SIGTERM")
      await Promise.race([end, scheduler.wait(30_000)])
      signal("SIGKILL")
      await end
      log.end()
    }
  }
}

const argumentsOf = ({ data, port, controlPort, args }: DaemonPlace): ReadonlyArray<string> => [
  `--data=${data}`,
  `--port=${port}`,
  `--control-port=${controlPort}`,
  "--no-nodes",
  ...args
]

/** What the person who runs the rig has set for a daemon of his own is not for ours. */
const bareEnvironment = () =>
  Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(RESULTITY|VITEST|NODE_OPTIONS|POSTGRES|MONGODB|REDIS|RABBITMQ|S3_)/.test(name)
    )
  )

const watchSize = (daemon: string, pid: number | undefined, journal: Journal<DaemonLine>): void => {
  const mib = residentMib(pid)
  if (mib !== null) journal.write({ at: Date.now(), daemon, type: "rss", mib })
}

/** null where there is no such process, or no /proc. */
export const residentMib = (pid: number | undefined): number | null => {
  try {
    const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))
    return match === null ? null : Math.round(Number(match[1]) / 1024)
  } catch {
    return null
  }
}
