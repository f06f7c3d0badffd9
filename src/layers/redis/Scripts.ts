/** The scripts as text, read once from beside this file. Those about nodes and leases begin with what they share. */
import { readFileSync } from "node:fs"
import { join } from "node:path"

const text = (name: string): string => readFileSync(join(import.meta.dirname, "scripts", `${name}.lua`), "utf8")

const LIVE = [
  "announce",
  "refresh",
  "withdraw",
  "get",
  "ids",
  "models",
  "candidates",
  "take",
  "renew",
  "release",
  "strangers",
  "unchanged",
  "expire"
] as const
type LiveScript = (typeof LIVE)[number]

export type ScriptName = LiveScript | "bucket"

const shared = text("live")

export const SCRIPTS: Readonly<Record<ScriptName, string>> = {
  ...(Object.fromEntries(LIVE.map((name) => [name, `${shared}\n${text(name)}`])) as Record<LiveScript, string>),
  bucket: text("bucket")
}
