/** A log of JSON lines in the run's folder: written at once, so that a rig that dies leaves what it knew, and read back as a whole. */
import { appendFileSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs"
import { dirname } from "node:path"

export interface Journal<Line> {
  readonly write: (line: Line) => void
  readonly close: () => void
}

/** Lines are collected up to this size or until the turn of the event loop is over. */
const BATCH_CHARACTERS_MAX = 64 * 1024

export const openJournal = <Line extends object>(path: string): Journal<Line> => {
  mkdirSync(dirname(path), { recursive: true })
  const file = openSync(path, "a")
  let waiting = ""
  let open = true
  const flush = () => {
    if (waiting === "" || !open) return
    writeSync(file, waiting)
    waiting = ""
  }
  return {
    write: (line) => {
      if (waiting === "") setImmediate(flush)
      waiting += `${JSON.stringify(line, spellBigInt)}\n`
      if (waiting.length > BATCH_CHARACTERS_MAX) flush()
    },
    close: () => {
      flush()
      open = false
      closeSync(file)
    }
  }
}

export const appendLine = (path: string, line: object): void => {
  mkdirSync(dirname(path), { recursive: true })
  appendFileSync(path, `${JSON.stringify(line, spellBigInt)}\n`)
}

/** A last line that was cut off by a kill is left out. */
export const readLines = <Line>(path: string): ReadonlyArray<Line> => {
  if (!existsSync(path)) return []
  const lines = readFileSync(path, "utf8").split("\n")
  lines.pop()
  return lines.flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Line]))
}

const spellBigInt = (_: string, value: unknown) => (typeof value === "bigint" ? value.toString() : value)
