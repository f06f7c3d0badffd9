/**
 * Child processes of a benchmark. Each is waited for by its ready line and ends with its `using` block; what is left when this process ends,
 * however it ends, is killed. With `BENCH_PROFILE=DIR` those that are named leave a CPU profile there.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"

export const root = fileURLToPath(new URL("../..", import.meta.url))
export const support = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

export interface StartOptions {
  /** For errors and profiles. */
  readonly name: string
  /** Of node: flags, the script, its arguments. */
  readonly args: ReadonlyArray<string>
  /** The line that says it is up. */
  readonly ready: RegExp
  /** Opens a channel for messages. */
  readonly ipc?: boolean
  readonly profiled?: boolean
  readonly env?: Readonly<Record<string, string>>
}

export interface Child extends AsyncDisposable {
  readonly process: ChildProcess
  readonly pid: number
  /** What the ready line matched. */
  readonly match: RegExpExecArray
  /** From spawn to the ready line. */
  readonly readyMs: number
}

const START_PATIENCE_MS = 30_000
const STOP_PATIENCE_MS = 15_000
const ERROR_CHARACTERS_MAX = 4_000

const living = new Set<ChildProcess>()
/** Asked to end: how they do it is their business. */
const stopping = new WeakSet<ChildProcess>()
process.on("exit", () => {
  for (const child of living) child.kill("SIGKILL")
})
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130))

export const start = async ({ name, args, ready, ipc, profiled, env }: StartOptions): Promise<Child> => {
  const folder = process.env["BENCH_PROFILE"]
  const profile =
    profiled === true && folder !== undefined
      ? ["--cpu-prof", `--cpu-prof-dir=${folder}`, `--cpu-prof-name=${name}-${process.hrtime.bigint()}.cpuprofile`]
      : []
  const from = performance.now()
  const child = spawn(process.execPath, [...profile, ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe", ...(ipc === true ? (["ipc"] as const) : [])],
    env: { ...process.env, ...env }
  })
  living.add(child)
  child.once("exit", () => living.delete(child))
  let errors = ""
  child.stderr?.on("data", (chunk: Buffer) => {
    errors = `${errors}${chunk.toString("utf8")}`.slice(-ERROR_CHARACTERS_MAX)
  })
  const match = await readyLine(child, ready)
  const readyMs = performance.now() - from
  if (match === null) throw new Error(`${name} ended before it was ready:\n${errors}`)
  child.once("exit", (code, signal) => {
    if (code !== 0 && signal === null && !stopping.has(child))
      process.stderr.write(`${name} ended with ${code}:\n${errors}\n`)
  })
  return { process: child, pid: child.pid ?? 0, match, readyMs, [Symbol.asyncDispose]: () => stop(child) }
}

/** null: it ended first. What it goes on to say is read and forgotten, or it would block once the pipe is full. */
const readyLine = (child: ChildProcess, ready: RegExp): Promise<RegExpExecArray | null> =>
  new Promise((resolve) => {
    let text: string | null = ""
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      if (text === null) return
      const lines = `${text}${chunk}`.split("\n")
      text = lines.pop() ?? ""
      const match = lines.map((line) => ready.exec(line)).find((found) => found !== null)
      if (match === undefined) return
      text = null
      clearTimeout(timer)
      resolve(match)
    })
    const timer = setTimeout(() => child.kill("SIGKILL"), START_PATIENCE_MS)
    child.once("exit", () => {
      clearTimeout(timer)
      resolve(null)
    })
  })

const stop = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  stopping.add(child)
  const ended = once(child, "exit")
  child.kill("SIGTERM")
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_PATIENCE_MS)
  await ended
  clearTimeout(timer)
}

/** Asks a child that listens to its channel, and waits for its answer. */
export const ask = <A>({ process: child }: Child, question: object): Promise<A> =>
  new Promise((resolve, reject) => {
    const answered = (value: unknown) => {
      child.off("exit", ended)
      resolve(value as A)
    }
    const ended = () => {
      child.off("message", answered)
      reject(new Error("the child ended instead of answering"))
    }
    child.once("message", answered).once("exit", ended)
    child.send(question)
  })
