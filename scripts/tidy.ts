/**
 * What no other tool checks: heads and sizes of files, a back end and a suite for each contract, a row in the documents for each setting and
 * metric, links and paths in documents that lead somewhere, words that we do not use, and no trace of anybody's machine.
 */
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { basename, dirname, join, normalize } from "node:path"

const LINES_MAX = 400
const problems: Array<string> = []
const say = (path: string, what: string) => void problems.push(`${path}: ${what}`)

const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], { encoding: "utf8" })
  .split("\n")
  .filter((path) => path !== "" && existsSync(path))
const read = (path: string) => readFileSync(path, "utf8")
const sources = files.filter((path) => /^(src|test|bench|scripts)\/.*\.ts$/.test(path))
const documents = files.filter((path) => path.endsWith(".md"))

for (const path of sources) {
  const text = read(path)
  const lines = text.split("\n").length - 1
  if (lines > LINES_MAX) say(path, `${lines} lines, at most ${LINES_MAX}`)
  if (path.startsWith("src/") && !text.startsWith("/**")) say(path, "has no head comment")
}

/** Doors that are no contract with back ends: values, helpers, and what the actors supply. */
const NO_BACK_END = new Set([
  "Outage",
  "Metrics",
  "Signatures",
  "Traced",
  "Batcher",
  "JobText",
  "Invoice",
  "RollupColumns",
  "RollupFold",
  "RollupTransfer",
  "JobTally",
  "JobSinks",
  "Diagnosis",
  "Readiness",
  "DaemonConfig",
  "NetworkKey",
  "PrivateFolder",
  "ReceiptCheck",
  "Audit"
])
const contracts = files
  .filter((path) => /^src\/layers\/[A-Z]\w*\.ts$/.test(path))
  .map((path) => basename(path, ".ts"))
  .filter((name) => name === "Audit" || !NO_BACK_END.has(name))
for (const name of contracts) {
  if (!existsSync(`src/layers/memory/Memory${name}.ts`)) say(`src/layers/${name}.ts`, "has no memory back end")
  if (!existsSync(`test/layers/contracts/${name}.contract.ts`)) say(`src/layers/${name}.ts`, "has no conformance suite")
}

const documented = (path: string, names: ReadonlyArray<string>, what: string) => {
  const text = existsSync(path) ? read(path) : ""
  for (const name of names) if (!text.includes(`\`${name}\``)) say(path, `says nothing of the ${what} ${name}`)
}
const matches = (path: string, pattern: RegExp) => [...read(path).matchAll(pattern)].flatMap(([, name]) => name ?? [])
documented("docs/operations/metrics.md", matches("src/layers/Metrics.ts", /"(resultity_\w+)"/g), "metric")
documented("docs/operations/settings.md", matches("src/DaemonOptions.ts", /(RESULTITY_[A-Z_]+)/g), "variable")
const settingNames = matches("src/schemas/RuntimeSettings.ts", /^ {2}(\w+): (?:Ms|Schema)/gm)
documented("docs/operations/settings.md", settingNames, "setting")

for (const path of documents) {
  for (const [, target = ""] of read(path).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
    if (/^[a-z]+:/.test(target)) continue
    if (!existsSync(normalize(join(dirname(path), target)))) say(path, `links to ${target}, which is not there`)
  }
  for (const [, target = ""] of read(path).matchAll(/`((?:src|test|bench|scripts|docs|bin)\/[\w./-]+)`/g)) {
    if (!existsSync(target)) say(path, `names ${target}, which is not there`)
  }
}

/** Rows of the mission's requirements, and the titles of the tests that prove them. */
const ROWS = 99
const requirements = existsSync("docs/requirements.md") ? read("docs/requirements.md").split("\n") : []
for (let row = 1; row <= ROWS; row++) {
  const line = requirements.find((text) => text.startsWith(`| S${row} |`))
  if (line === undefined) say("docs/requirements.md", `says nothing of S${row}`)
  for (const [, title = "", target = ""] of line?.matchAll(/\[([^\]]+)\]\(\.\.\/(test\/[^)]+)\)/g) ?? []) {
    const isThere = existsSync(target) && read(target).includes(title.replaceAll("\\|", "|"))
    if (!isThere) say("docs/requirements.md", `S${row} names a test that is not in ${target}: ${title}`)
  }
}

const UNFINISHED = new RegExp(
  `\\b(${["TO", "DO"].join("")}|${["FIX", "ME"].join("")}|X{3}|${["HA", "CK"].join("")})\\b`
)
const MACHINE = new RegExp(`(^|[^.\\w])/(${["work", "root", "home"].join("|")})/`, "m")
for (const path of files.filter(
  (path) => /\.(ts|js|mjs|md|json|yml)$/.test(path) && !path.endsWith("package-lock.json")
)) {
  const text = read(path)
  if (UNFINISHED.test(text)) say(path, "has an unfinished mark")
  if (MACHINE.test(text)) say(path, "names a path of a machine")
}
for (const path of sources.filter((path) => path.startsWith("test/"))) {
  const text = read(path)
  // Under TestClock a sleep is a moment in a story; on the real clock it is a guess.
  const isLive = /\bit\.live\b|excludeTestServices|TestClock\.withLive/.test(text)
  if (/setTimeout\(/.test(text) || (isLive && /Effect\.sleep/.test(text))) {
    say(path, "sleeps on the real clock: wait for an event or use TestClock")
  }
  if (/\b(it|test|describe)(\.effect|\.live)?\.(only|todo)\b/.test(text)) say(path, "has a test that is only or todo")
}

for (const problem of problems) console.error(problem)
console.log(`tidy: ${files.length} files, ${problems.length} problems`)
process.exit(problems.length === 0 ? 0 : 1)
