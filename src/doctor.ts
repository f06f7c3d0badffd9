/**
 * `resultity doctor`: looks at everything that a daemon with the same options would use, and says of each what it found and what to do. Changes
 * nothing but probes of its own. Exit codes: 0 nothing stands in the way, 1 something does, or the options are wrong.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Backends from "./Backends.ts"
import { type DaemonOptions, readOptions } from "./DaemonOptions.ts"
import { type Finding, judgeVersion } from "./layers/Diagnosis.ts"
import { serversOf } from "./Servers.ts"

const HELP = `resultity doctor: looks at the servers and folders that a daemon with the same options would use.

Usage: resultity doctor [--json] [options of resultity daemon]

It checks versions, clocks, permissions, indexes, topology and room, and says what to do about each finding. It changes
nothing but small probes of its own. Exit codes: 0 nothing stands in the way (warnings included), 1 something does.

Examples:
  resultity doctor
  POSTGRES_URL=… MONGODB_URL=… REDIS_URL=… RABBITMQ_URL=… resultity doctor --profile cluster
  resultity doctor --json | jq '.findings[] | select(.level != "ok")'
`

const NODE_MIN = 24

const findingsOf = (options: DaemonOptions): Effect.Effect<ReadonlyArray<Finding>> => {
  const servers = options.profile === "cluster" ? Backends.diagnoseServers(serversOf(options)) : []
  const folders = options.profile === "memory" ? [] : [Backends.diagnoseFolder(options.data)]
  return Effect.map(Effect.all([...folders, ...servers], { concurrency: "unbounded" }), (found) => [
    judgeVersion("Node.js", process.versions.node, NODE_MIN),
    ...found.flat()
  ])
}

const MARK = { ok: "ok     ", warning: "WARNING", failure: "FAILURE" } as const

const textOf = (findings: ReadonlyArray<Finding>): string => {
  const width = Math.max(...findings.map(({ subject }) => subject.length))
  const lines = findings.map(({ subject, level, what, advice }) => {
    const line = `${MARK[level]}  ${subject.padEnd(width)}  ${what}\n`
    return advice === null ? line : `${line}${" ".repeat(MARK.ok.length + 2 + width + 2)}→ ${advice}\n`
  })
  const count = (level: Finding["level"]) => findings.filter((finding) => finding.level === level).length
  return `${lines.join("")}\n${findings.length} checks: ${count("warning")} warnings, ${count("failure")} failures\n`
}

/** `--json` is the doctor's own; everything else is the daemon's. */
const args = process.argv.slice(2)
const asJson = args.includes("--json")
const options = readOptions(
  args.filter((argument) => argument !== "--json"),
  process.env
)
if (Result.isFailure(options)) {
  process.stderr.write(`resultity doctor: ${options.failure}\n`)
  process.exitCode = 1
} else if (options.success === "help") {
  process.stdout.write(HELP)
} else {
  const program = Effect.map(findingsOf(options.success), (findings) => {
    process.stdout.write(asJson ? `${JSON.stringify({ findings })}\n` : textOf(findings))
    if (findings.some(({ level }) => level === "failure")) process.exitCode = 1
  })
  NodeRuntime.runMain(program, { disableErrorReporting: true })
}
