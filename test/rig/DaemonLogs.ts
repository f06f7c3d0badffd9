/** What the daemons complained of, counted: the first words of each warning, error and defect in their logs. */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"

const LEVELS: ReadonlySet<string> = new Set(["WARN", "ERROR", "FATAL"])
const WORDS_MAX = 90

interface Line {
  readonly level?: string
  readonly message?: unknown
  readonly cause?: string
}

export const complaintsIn = (
  folder: string,
  daemons: ReadonlyArray<string>
): ReadonlyArray<readonly [what: string, count: number]> => {
  const counts = new Map<string, number>()
  for (const name of daemons) {
    const path = join(folder, `${name}.log`)
    if (!existsSync(path)) continue
    for (const text of readFileSync(path, "utf8").split("\n")) {
      const what = complaintOf(text)
      if (what !== null) counts.set(what, (counts.get(what) ?? 0) + 1)
    }
  }
  return [...counts].toSorted(([, a], [, b]) => b - a)
}

/** null: no complaint. Lines that are no JSON are what a dying process says. */
const complaintOf = (text: string): string | null => {
  if (text.trim() === "" || text.startsWith("ready: ")) return null
  if (!text.startsWith("{")) return `said: ${text.slice(0, WORDS_MAX)}`
  const { level, message, cause } = parse(text)
  if (level === undefined || !LEVELS.has(level)) return null
  const [first, second] = Array.isArray(message) ? message : [message]
  const detail = typeof second === "object" && second !== null ? facts(second) : ""
  const why = typeof cause === "string" ? ` (${cause.split("\n")[0]})` : ""
  return `${level} ${String(first)}${detail}${why}`.slice(0, WORDS_MAX)
}

const parse = (text: string): Line => {
  try {
    return JSON.parse(text) as Line
  } catch {
    return {}
  }
}

/** Those parts of a complaint that are the same each time. */
const facts = (second: object): string => {
  const { of, during, code, name } = second as Readonly<Record<string, unknown>>
  const told = [of, during, code, name].filter((part) => typeof part === "string")
  return told.length === 0 ? "" : ` ${told.join(" ")}`
}
