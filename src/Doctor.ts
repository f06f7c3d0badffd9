/**
 * `resultity doctor`: examines everything that a daemon with the same options would run on, side by side, and says what to do about each finding. Changes
 * nothing that lasts. Exit codes: 0 when all is good or merely worth a warning, 1 when something is bad or an option is wrong.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { join } from "node:path"
import { type DaemonOptions, readOptions } from "./DaemonOptions.ts"
import { bad, type Check, checked, type Finding, good, majorOf, type Verdict, warning } from "./layers/Diagnosis.ts"
import * as FolderDiagnosis from "./layers/files/FolderDiagnosis.ts"
import * as MongoDiagnosis from "./layers/mongodb/MongoDiagnosis.ts"
import * as PgDiagnosis from "./layers/postgres/PgDiagnosis.ts"
import * as RabbitDiagnosis from "./layers/rabbitmq/RabbitDiagnosis.ts"
import * as RedisDiagnosis from "./layers/redis/RedisDiagnosis.ts"
import * as S3Diagnosis from "./layers/s3/S3Diagnosis.ts"
import * as SqliteDiagnosis from "./layers/sqlite/SqliteDiagnosis.ts"

const HELP = `resultity doctor: examines what a daemon with the same options would run on, and says what to do about it.

Usage: resultity doctor [--json] [options of resultity daemon]

It looks at versions, clocks, rights, migrations, indexes, topology and room, each within seconds, and changes nothing
that lasts. Run it where the daemon runs, as its user and with its variables: see resultity daemon --help.

  --json                one document for programs: {"level", "findings": [{"server", "what", "level", "said", "todo"}]}
  --help

Exit codes: 0 good, warnings included; 1 something is bad, or an option is wrong.

Examples:
  resultity doctor
  POSTGRES_URL=… MONGODB_URL=… REDIS_URL=… RABBITMQ_URL=… resultity doctor --profile cluster
  resultity doctor --json | jq '.findings[] | select(.level != "good")'
`

const NODE_MIN = 24
const FILES_MIN = 4096

const node: Check = {
  what: "Node",
  todo: `Install Node ${NODE_MIN} or newer.`,
  verdict: Effect.sync((): Verdict => {
    const { version } = process
    return majorOf(version) >= NODE_MIN
      ? good(version)
      : bad(`${version}; ${NODE_MIN} is the oldest that works`, `Install Node ${NODE_MIN} or newer.`)
  })
}

interface Limits {
  readonly userLimits?: { readonly open_files?: { readonly soft: number | "unlimited" } }
}

/** A client, a node and a connection to a server are one each. */
const openFiles: Check = {
  what: "open files",
  todo: "Look at ulimit -n.",
  verdict: Effect.sync((): Verdict => {
    // Its list of interfaces asks name servers.
    const report: typeof process.report & { excludeNetwork?: boolean } = process.report
    report.excludeNetwork = true
    const { userLimits } = report.getReport() as Limits
    const limit = userLimits?.open_files?.soft ?? "unlimited"
    const said = `at most ${limit}`
    return limit === "unlimited" || limit >= FILES_MIN
      ? good(said)
      : warning(
          said,
          `Raise it to ${FILES_MIN} or more (LimitNOFILE of systemd, nofile of compose or limits.conf): every client and node takes one.`
        )
  })
}

type Examination = Effect.Effect<ReadonlyArray<Finding>>

const host: Examination = Effect.map(
  Effect.forEach([node, openFiles], (check) => checked("host", check)),
  (found) => found.flat()
)

const secretOf = (value: string | null) => Redacted.make(value ?? "")

/** Of the profile `cluster`, whose options are complete: `readOptions` has seen to that. */
const servers = (options: DaemonOptions): ReadonlyArray<Examination> => {
  const { installation } = options
  return [
    PgDiagnosis.diagnose({ url: secretOf(options.postgresUrl), schema: installation }),
    MongoDiagnosis.diagnose({ url: secretOf(options.mongodbUrl), database: installation }),
    RedisDiagnosis.diagnose({ url: secretOf(options.redisUrl), prefix: installation }),
    RabbitDiagnosis.diagnose({ url: secretOf(options.rabbitmqUrl), prefix: installation }),
    options.s3Url === null
      ? FolderDiagnosis.diagnose({ folder: options.data })
      : S3Diagnosis.diagnose({
          url: options.s3Url,
          bucket: options.s3Bucket,
          region: options.s3Region,
          accessKey: options.s3AccessKey ?? "",
          secretKey: secretOf(options.s3SecretKey),
          prefix: installation
        })
  ]
}

/** What the profile needs and nothing else. */
const examinations = (options: DaemonOptions): ReadonlyArray<Examination> => {
  switch (options.profile) {
    case "memory":
      return [host]
    case "embedded":
      return [
        host,
        FolderDiagnosis.diagnose({ folder: options.data }),
        SqliteDiagnosis.diagnose({ path: join(options.data, "resultity.db") })
      ]
    case "cluster":
      return [host, ...servers(options)]
  }
}

/** Whatever of them must not be shown: servers and drivers repeat what they were told in what they say. */
const secretsOf = (options: DaemonOptions): ReadonlyArray<string> => {
  const { postgresUrl, postgresOwnerUrl, mongodbUrl, redisUrl, rabbitmqUrl, s3Url } = options
  const urls = [postgresUrl, postgresOwnerUrl, mongodbUrl, redisUrl, rabbitmqUrl, s3Url]
  const passwords = urls.flatMap((url) => {
    // A list of hosts, as MongoDB takes it, is no URL to `URL`.
    const password = /^[^/]*\/\/[^/@:]*:([^/@]*)@/.exec(url ?? "")?.[1] ?? ""
    return [password, decoded(password)]
  })
  const keys = [
    options.s3AccessKey ?? "",
    options.s3SecretKey ?? "",
    options.controlKey ?? "",
    options.networkKey ?? ""
  ]
  return [...new Set([...passwords, ...keys])].filter((secret) => secret !== "").sort((a, b) => b.length - a.length)
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** As a word of its own, so that a password that is also part of a word leaves the word alone. */
const concealing = (secrets: ReadonlyArray<string>) => {
  const words = secrets.map((secret) => secret.replaceAll(/[^A-Za-z0-9]/g, "\\$&")).join("|")
  const pattern = new RegExp(`(?<![A-Za-z0-9])(?:${words})(?![A-Za-z0-9])`, "g")
  return (text: string): string => (words === "" ? text : text.replace(pattern, "***"))
}

const LEVELS = ["good", "warning", "bad"] as const

const worstOf = (findings: ReadonlyArray<Finding>): Finding["level"] =>
  LEVELS.findLast((level) => findings.some((finding) => finding.level === level)) ?? "good"

const COLUMNS = ["server", "what", "level"] as const

const textOf = (findings: ReadonlyArray<Finding>): string => {
  const widths = COLUMNS.map((column) => Math.max(column.length, ...findings.map((finding) => finding[column].length)))
  const row = (cells: ReadonlyArray<string>, last: string) =>
    `${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  ")}  ${last}\n`
  const lines = findings.flatMap(({ server, what, level, said, todo }) => [
    row([server, what, level === "good" ? level : level.toUpperCase()], said),
    ...(todo === null ? [] : [row(["", "", ""], `→ ${todo}`)])
  ])
  const count = (level: Finding["level"]) => findings.filter((finding) => finding.level === level).length
  const sum = `good: ${count("good")}, warnings: ${count("warning")}, bad: ${count("bad")}\n`
  return `${row(["SERVER", "WHAT", "LEVEL"], "SAID")}${lines.join("")}\n${sum}`
}

/** Waits for a slow reader; one that has gone is no failure. */
const write = (text: string): Promise<void> =>
  new Promise((resolve) => {
    process.stdout.once("error", () => resolve())
    process.stdout.write(text, () => resolve())
  })

const examine = async (options: DaemonOptions, asJson: boolean): Promise<number> => {
  const found = await Effect.runPromise(Effect.all(examinations(options), { concurrency: "unbounded" }))
  const conceal = concealing(secretsOf(options))
  const findings = found.flat().map((finding) => ({
    ...finding,
    said: conceal(finding.said),
    todo: finding.todo === null ? null : conceal(finding.todo)
  }))
  const level = worstOf(findings)
  await write(asJson ? `${JSON.stringify({ level, findings })}\n` : textOf(findings))
  return level === "bad" ? 1 : 0
}

const OWN = "--json"
const argv = process.argv.slice(2)
const options = readOptions(
  argv.filter((argument) => argument !== OWN),
  process.env
)
if (Result.isFailure(options)) {
  process.stderr.write(`resultity doctor: ${options.failure}\n`)
  process.exitCode = 1
} else if (options.success === "help") {
  process.stdout.write(HELP)
} else {
  // Not when the last connection has ended: one to a server that hangs takes its time.
  process.exit(await examine(options.success, argv.includes(OWN)))
}
