/** The real command as a process of its own. */
import { spawn, type ChildProcessByStdio } from "node:child_process"
import type { Readable } from "node:stream"
import { fileURLToPath } from "node:url"

const BIN = fileURLToPath(new URL("../../bin/resultity.js", import.meta.url))

export interface Child {
  readonly process: ChildProcessByStdio<null, Readable, Readable>
  /** The first line of stdout, from here on, that holds this. */
  readonly line: (text: string) => Promise<string>
  readonly ended: Promise<{ readonly code: number | null; readonly out: string; readonly err: string }>
}

/** Nothing of this process's own surroundings decides what the command does. */
export const bin = (argv: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}): Child => {
  const own = { PATH: process.env["PATH"] ?? "", HOME: "/nowhere" }
  const child = spawn(process.execPath, [BIN, ...argv], { env: { ...own, ...env }, stdio: ["ignore", "pipe", "pipe"] })
  let [out, err, read] = ["", "", 0]
  const waiting = new Set<() => void>()
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text
    for (const look of waiting) look()
  })
  child.stderr.setEncoding("utf8").on("data", (text: string) => void (err += text))
  const ended = new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    child.once("close", (code) => resolve({ code, out, err }))
  })
  const line = (text: string) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const end = out.lastIndexOf("\n")
        const found = out
          .slice(read, Math.max(read, end))
          .split("\n")
          .find((one) => one.includes(text))
        if (found === undefined) return
        read = out.indexOf(found, read) + found.length
        waiting.delete(look)
        resolve(found)
      }
      waiting.add(look)
      look()
      void ended.then(({ code }) => reject(new Error(`ended with ${code} before "${text}":\n${out}${err}`)))
    })
  return { process: child, line, ended }
}
