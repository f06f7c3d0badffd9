/**
 * What the daemon is started with: flags before environment variables before the configuration file before defaults. Everything is checked
 * here, before anything starts; a wrong value is one line that names it, what is wrong and what would be right.
 */
import { readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { Environment } from "./schemas/Job.ts"

const PortNumber = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))

/** At least as long as a secret should be; short ones are guessed. */
const ControlKey = Schema.String.check(Schema.isMinLength(32))

export const DaemonOptions = Schema.Struct({
  /** Folder of the embedded stores. */
  data: Schema.NonEmptyString,
  /** memory: nothing outlives the process. embedded: one file in the data folder. */
  profile: Schema.Literals(["embedded", "memory"]),
  host: Schema.NonEmptyString,
  port: PortNumber,
  controlHost: Schema.NonEmptyString,
  controlPort: PortNumber,
  controlKey: Schema.NullOr(ControlKey),
  environment: Environment,
  /** Simulated nodes started with the daemon, by character. */
  nodes: Schema.Array(Schema.Literals(["instant", "swift", "steady", "flaky"])),
  /** How long a stop waits for jobs under way. */
  drainMs: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 600_000 })),
  lanePrefetch: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 })),
  log: Schema.Literals(["Debug", "Info", "Warn", "Error", "None"])
})
export type DaemonOptions = typeof DaemonOptions.Type

const DEFAULTS: DaemonOptions = {
  data: "./data",
  profile: "embedded",
  host: "127.0.0.1",
  port: 8400,
  controlHost: "127.0.0.1",
  controlPort: 8401,
  controlKey: null,
  environment: "testnet",
  nodes: ["swift", "steady", "flaky"],
  drainMs: 20_000,
  lanePrefetch: 64,
  log: "Info"
}

export const HELP = `resultity daemon: accepts jobs, finds nodes for them, streams the answers back.

Usage: resultity daemon [options]

  --data DIR            folder of the embedded stores            RESULTITY_DATA            ${DEFAULTS.data}
  --profile NAME        embedded or memory                       RESULTITY_PROFILE         ${DEFAULTS.profile}
  --host ADDRESS        of the public listener                   RESULTITY_HOST            ${DEFAULTS.host}
  --port N              of the public listener, 0 for any        RESULTITY_PORT            ${DEFAULTS.port}
  --control-host ADDR   of the control listener                  RESULTITY_CONTROL_HOST    ${DEFAULTS.controlHost}
  --control-port N      of the control listener, 0 for any       RESULTITY_CONTROL_PORT    ${DEFAULTS.controlPort}
  --control-key KEY     needed off loopback, 32 characters up    RESULTITY_CONTROL_KEY     none
  --environment NAME    testnet or mainnet                       RESULTITY_ENVIRONMENT     ${DEFAULTS.environment}
  --nodes A,B           simulated nodes (instant, swift,         RESULTITY_NODES           ${DEFAULTS.nodes.join(",")}
                        steady, flaky)
  --no-nodes            no simulated nodes
  --drain-ms N          patience of a stop                       RESULTITY_DRAIN_MS        ${DEFAULTS.drainMs}
  --lane-prefetch N     deliveries of a lane held at once        RESULTITY_LANE_PREFETCH   ${DEFAULTS.lanePrefetch}
  --log LEVEL           Debug, Info, Warn, Error or None         RESULTITY_LOG             ${DEFAULTS.log}
  --config FILE         JSON with the same names in camelCase    RESULTITY_CONFIG          none
  --help

Examples:
  resultity daemon
  resultity daemon --data /var/lib/resultity --no-nodes
  RESULTITY_PORT=9000 resultity daemon --nodes instant`

type Raw = Record<string, unknown>

const NUMBERS = new Set(["port", "controlPort", "drainMs", "lanePrefetch"])
const FIELDS = Object.keys(DEFAULTS)
const kebab = (field: string) => field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
const envName = (field: string) => `RESULTITY_${kebab(field).replaceAll("-", "_").toUpperCase()}`

/** Ready options, `help`, or the one line to print before exit code 1. */
export const readOptions = (
  argv: ReadonlyArray<string>,
  env: Readonly<Record<string, string | undefined>>
): Result.Result<DaemonOptions | "help", string> =>
  Result.gen(function* () {
    const flags = yield* readFlags(argv)
    if (flags["help"] === true) return "help" as const
    const configPath = flags["config"] ?? env["RESULTITY_CONFIG"]
    const file = typeof configPath === "string" ? yield* readConfig(configPath) : {}
    const raw: Raw = { ...DEFAULTS, ...file, ...fromEnv(env), ...fromFlags(flags) }
    return yield* check(raw)
  })

const readFlags = (argv: ReadonlyArray<string>): Result.Result<Raw, string> => {
  const strings = [...FIELDS.map(kebab), "config"].map((name) => [name, { type: "string" }] as const)
  const booleans = ["no-nodes", "help"].map((name) => [name, { type: "boolean" }] as const)
  try {
    const options = Object.fromEntries<{ readonly type: "string" | "boolean" }>([...strings, ...booleans])
    return Result.succeed(parseArgs({ args: [...argv], options, strict: true }).values as Raw)
  } catch (cause) {
    const [line] = String(cause instanceof Error ? cause.message : cause).split("\n")
    return Result.fail(`${line ?? "bad option"} (see resultity daemon --help)`)
  }
}

const readConfig = (path: string): Result.Result<Raw, string> => {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"))
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return Result.fail(`config file ${path}: the top level has to be an object`)
    }
    const unknown = Object.keys(value).find((key) => !FIELDS.includes(key))
    return unknown === undefined
      ? Result.succeed({ ...value })
      : Result.fail(`config file ${path}: there is no setting ${unknown}; known are ${FIELDS.join(", ")}`)
  } catch (cause) {
    return Result.fail(`config file ${path}: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}

const typed = (field: string, text: string): unknown => {
  if (NUMBERS.has(field)) return /^-?\d+$/.test(text) ? Number(text) : text
  if (field === "nodes") return text === "" || text === "none" ? [] : text.split(",").map((name) => name.trim())
  return text
}

const fromEnv = (env: Readonly<Record<string, string | undefined>>): Raw =>
  Object.fromEntries(
    FIELDS.flatMap((field) => {
      const text = env[envName(field)]
      return text === undefined || text === "" ? [] : [[field, typed(field, text)]]
    })
  )

const fromFlags = (flags: Raw): Raw => {
  const given = FIELDS.flatMap((field) => {
    const text = flags[kebab(field)]
    return typeof text === "string" ? [[field, typed(field, text)]] : []
  })
  return { ...Object.fromEntries(given), ...(flags["no-nodes"] === true ? { nodes: [] } : {}) }
}

const decode = Schema.decodeUnknownResult(DaemonOptions)
const format = SchemaIssue.makeFormatterStandardSchemaV1()

const isLoopback = (host: string) => host === "localhost" || host === "::1" || host.startsWith("127.")

const check = (raw: Raw): Result.Result<DaemonOptions, string> => {
  const decoded = decode(raw)
  if (Result.isFailure(decoded)) {
    const [issue] = format(decoded.failure.issue).issues
    const field = String(issue?.path?.[0] ?? "options")
    const shown = field === "controlKey" ? "the given key" : JSON.stringify(raw[field])
    return Result.fail(
      `--${kebab(field)} (${envName(field)}): ${shown} will not do: ${issue?.message ?? "it is wrong"}`
    )
  }
  const options = decoded.success
  if (!isLoopback(options.controlHost) && options.controlKey === null) {
    return Result.fail(
      `--control-host ${options.controlHost} is not loopback: give --control-key (RESULTITY_CONTROL_KEY) as well`
    )
  }
  if (options.port !== 0 && options.port === options.controlPort && options.host === options.controlHost) {
    return Result.fail(`--port and --control-port are both ${options.port}: they have to differ`)
  }
  return Result.succeed(options)
}
