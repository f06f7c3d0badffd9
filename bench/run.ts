/**
 * `npm run bench [name…]`: all questions, or the named ones, in one table. Each figure stands beside what was measured in the same run; a machine
 * that does something else at the same time shows in both.
 */
import { Console } from "node:console"
import { availableParallelism, cpus, loadavg } from "node:os"
import type { Line } from "./support/Line.ts"

const questions: Readonly<Record<string, () => Promise<{ readonly run: () => Promise<Array<Line>> }>>> = {
  firstToken: () => import("./firstToken.ts"),
  jobs: () => import("./jobs.ts"),
  http: () => import("./http.ts"),
  start: () => import("./start.ts"),
  memory: () => import("./memory.ts"),
  dispatch: () => import("./dispatch.ts"),
  actors: () => import("./actors.ts"),
  transport: () => import("./transport.ts"),
  groupCommit: () => import("./groupCommit.ts"),
  retention: () => import("./retention.ts"),
  rabbitmq: () => import("./rabbitmq.ts"),
  redis: () => import("./redis.ts"),
  postgres: () => import("./postgres.ts"),
  mongodb: () => import("./mongodb.ts"),
  cluster: () => import("./cluster.ts"),
  search: () => import("./search.ts"),
  receipts: () => import("./receipts.ts"),
  snapshots: () => import("./snapshots.ts")
}

const progress = new Console(process.stderr)

const print = (lines: ReadonlyArray<Line>): void => {
  const heads = ["what", "value", "measured beside", "ratio"]
  const rows = lines.map(({ what, value, against, ratio = "" }) => [what, value, against, ratio])
  const widths = heads.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const text = (row: ReadonlyArray<string>) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")
  console.log([text(heads), widths.map((width) => "-".repeat(width)).join("-|-"), ...rows.map(text)].join("\n"))
}

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !Object.hasOwn(questions, name))
if (unknown.length > 0) {
  progress.error(`bench: there is no ${unknown.join(", ")}; known are ${Object.keys(questions).join(", ")}`)
  process.exit(1)
}

const lines: Array<Line> = []
let failed = false
for (const [name, load] of Object.entries(questions)) {
  if (asked.length > 0 && !asked.includes(name)) continue
  progress.error(`${name} …`)
  try {
    lines.push(...(await (await load()).run()))
  } catch (cause) {
    failed = true
    progress.error(`${name} failed:`, cause)
  }
}
const [{ model = "unknown" } = {}] = cpus()
console.log(`node ${process.version}, ${availableParallelism()} × ${model}, load ${loadavg()[0]?.toFixed(1)}\n`)
print(lines)
process.exit(failed ? 1 : 0)
