/** The rules of the sampler: the statements of `sampler.sql`, each under its name. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { About, Query } from "./StateDb.ts"
import type { Finding } from "./History.ts"

export interface Rule {
  readonly name: string
  readonly text: string
}

export const RULES: ReadonlyArray<Rule> = readFileSync(join(import.meta.dirname, "sampler.sql"), "utf8")
  .split(/^-- rule: /m)
  .slice(1)
  .map((part) => {
    const [name = "", ...lines] = part.split("\n")
    return { name: name.trim(), text: lines.join("\n").trim().replace(/;$/, "") }
  })

const FINDINGS_MAX = 40

/** All rules in one question: a look happens several times a second, and every question costs a round trip. */
const TOGETHER = RULES.map(
  ({ name, text }) => `SELECT '${name}' AS rule, subject, detail FROM (${text}) AS found`
).join("\nUNION ALL ")

export const broken = async (query: Query, about: About): Promise<ReadonlyArray<Finding>> =>
  (await query(TOGETHER, about))
    .slice(0, FINDINGS_MAX)
    .map(({ rule, subject, detail }) => ({ rule: String(rule), what: `${String(subject)}: ${String(detail)}` }))
