/** One line of a call, short enough to read a thousand of them. */
import type { Call } from "./History.ts"

const SILENT: ReadonlySet<string> = new Set([
  "list",
  "lanes",
  "due",
  "orphans",
  "bury",
  "beat",
  "pending",
  "depths",
  "depth",
  "models",
  "refresh"
])

/** Null: this one tells nobody anything. */
export const briefly = ({ daemon, point, args, result }: Call): string | null => {
  const method = point.split(".")[1] ?? ""
  if (SILENT.has(method)) return null
  return `${daemon.replace("daemon_", "")} ${point} ${args.map(word).join(" ")} → ${word(result)}`
}

const FIELDS = [
  "_tag",
  "why",
  "id",
  "jobId",
  "nodeId",
  "daemonId",
  "owner",
  "epoch",
  "epochSeen",
  "attempt",
  "state",
  "code",
  "created",
  "fromSeq",
  "firstSeq",
  "lastSeq",
  "lane"
]

const word = (value: unknown): string => {
  if (Array.isArray(value))
    return value.length === 0 ? "[]" : `[${word(value[0])}${value.length > 1 ? ` +${value.length - 1}` : ""}]`
  if (typeof value === "string") return short(value)
  if (typeof value !== "object" || value === null) return String(value)
  const fields = value as Record<string, unknown>
  const told = FIELDS.flatMap((field) => {
    const part = fields[field]
    return part === undefined || typeof part === "object" ? [] : [`${field}=${short(String(part))}`]
  })
  for (const inner of ["row", "job", "message", "lane", "pieces", "events"]) {
    if (typeof fields[inner] === "object" && fields[inner] !== null) told.push(`${inner} ${word(fields[inner])}`)
  }
  return `{${told.join(" ")}}`
}

const short = (text: string): string =>
  text.startsWith("job_") || text.startsWith("msg_")
    ? `${text.slice(0, 4)}${text.slice(-6)}`
    : text.startsWith("0x")
      ? text.slice(0, 6)
      : text.slice(0, 60)
