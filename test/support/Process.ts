/**
 * A process of ours with its output by lines. It is killed when its test ends, whatever happened, and a test that fails shows what it said.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { onTestFailed, onTestFinished } from "vitest"

export const ROOT = join(import.meta.dirname, "..", "..")
export const COMMAND = join(ROOT, "bin", "resultity.js")

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface Process {
  readonly name: string
  readonly pid: number
  /** All lines so far, of both outputs in the order of their arrival. */
  readonly lines: ReadonlyArray<string>
  readonly errors: ReadonlyArray<string>
  /** The first line from number `from` on, said already or still to come, that matches; fails when the process ends without it. */
  readonly line: (pattern: RegExp, from?: number) => Promise<RegExpExecArray>
  /** Resolves when it is gone and all it said was read. */
  readonly exited: Promise<Exit>
  readonly kill: (signal?: NodeJS.Signals) => Promise<Exit>
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** This Node by default. */
  readonly command?: string
  /** Signals reach all that it started, as from a terminal. */
  readonly group?: boolean
}

const running = new Set<ChildProcess>()
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL")
})

/** Runs this Node with these arguments until the test ends. The environment holds nothing of ours but `env`. */
export const run = (name: string, args: ReadonlyArray<string>, options: RunOptions = {}): Process => {
  const child = spawn(options.command ?? process.execPath, [...args], {
    stdio: ["ignore", "pipe", "pipe"],
    cwd: options.cwd ?? ROOT,
    detached: options.group === true,
    env: { ...bareEnvironment(), ...options.env }
  })
  running.add(child)
  const lines: Array<string> = []
  const errors: Array<string> = []
  const listeners = new Set<() => void>()
  const hear = (text: string, into: ReadonlyArray<Array<string>>) => {
    for (const list of into) list.push(text)
    for (const listener of listeners) listener()
  }
  createInterface(child.stdout).on("line", (text) => hear(text, [lines]))
  createInterface(child.stderr).on("line", (text) => hear(text, [lines, errors]))
  let gone: Exit | null = null
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (code, signal) => {
      running.delete(child)
      gone = { code, signal }
      for (const listener of listeners) listener()
      resolve(gone)
    })
  })
  const line = (pattern: RegExp, from = 0) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      let seen = from
      const look = () => {
        for (; seen < lines.length; seen++) {
          const match = pattern.exec(lines[seen] ?? "")
          if (match !== null) return done(() => resolve(match))
        }
        if (gone !== null)
          done(() => reject(new Error(`${name} ended without saying ${pattern}:\n${lines.join("\n")}`)))
      }
      const done = (then: () => void) => {
        listeners.delete(look)
        then()
      }
      listeners.add(look)
      look()
    })
  let expected = false
  const kill = (signal: NodeJS.Signals = "SIGKILL") => {
    expected = true
    if (options.group === true && gone === null && child.pid !== undefined) process.kill(-child.pid, signal)
    else child.kill(signal)
    return exited
  }
  onTestFailed(() => {
    // Those that the test has killed are not what it failed at.
    if (!expected) console.error(`--- ${name} said last:\n${lines.slice(-40).join("\n")}\n---`)
  })
  onTestFinished(async () => {
    await kill()
  })
  return { name, pid: child.pid ?? -1, lines, errors, line, exited, kill }
}

/** What the person who runs the tests has set for a daemon of his own is not for ours. */
const bareEnvironment = () =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(RESULTITY|VITEST|NODE_OPTIONS|S3)/.test(name)))

/** A folder that is gone after the test. */
export const temporaryFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "resultity-journey-"))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }))
  return folder
}

/**
 * A port that is free now and below those that the system hands out by itself, so that nobody takes it while the daemon that listens there is
 * dead for a moment.
 */
export const lastingPort = async (): Promise<number> => {
  for (let tries = 0; tries < 100; tries++) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    if (await isFree(port)) return port
  }
  throw new Error("no free port from 20000 to 32000")
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once("error", () => resolve(false))
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)))
  })
