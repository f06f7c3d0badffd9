/**
 * What the daemon is started with: flags before environment variables before the configuration file before defaults. Everything is checked
 * here, before anything starts; a wrong value is one line that names it, what is wrong and what would be right.
 */
import { readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { AddressRange } from "./schemas/AddressRange.ts"
import { Environment } from "./schemas/Job.ts"

const PortNumber = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))

/** At least as long as a secret should be; short ones are guessed. */
const ControlKey = Schema.String.check(Schema.isMinLength(32))

const urlOf = (...protocols: ReadonlyArray<string>) =>
  Schema.String.check(
    Schema.makeFilter((text: string) =>
      protocols.some((protocol) => text.startsWith(`${protocol}://`) && URL.canParse(text))
        ? undefined
        : `Expected a URL that begins with ${protocols.map((protocol) => `${protocol}://`).join(" or ")}`
    )
  )

export const DaemonOptions = Schema.Struct({
  /** Folder of the embedded stores, of segments without an S3 server, and of this daemon's own files. */
  data: Schema.NonEmptyString,
  /** memory: nothing outlives the process. embedded: one file in the data folder. cluster: the four servers below. */
  profile: Schema.Literals(["embedded", "memory", "cluster"]),
  postgresUrl: Schema.NullOr(urlOf("postgres", "postgresql")),
  /** Whose the tables are, when not the daemon's own role: used at the start alone, to upgrade them and to grant what a daemon needs. */
  postgresOwnerUrl: Schema.NullOr(urlOf("postgres", "postgresql")),
  mongodbUrl: Schema.NullOr(urlOf("mongodb", "mongodb+srv")),
  redisUrl: Schema.NullOr(urlOf("redis", "rediss")),
  rabbitmqUrl: Schema.NullOr(urlOf("amqp", "amqps")),
  /** Cold storage; null: the data folder. */
  s3Url: Schema.NullOr(urlOf("http", "https")),
  s3Bucket: Schema.NonEmptyString,
  s3Region: Schema.NonEmptyString,
  s3AccessKey: Schema.NullOr(Schema.NonEmptyString),
  s3SecretKey: Schema.NullOr(Schema.NonEmptyString),
  /** none: nothing is archived, and what would be goes by the rules of the settings. */
  coldStorage: Schema.Literals(["archive", "none"]),
  /** Names of this installation within the servers, so that several may share them. */
  installation: Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9_]{0,30}$/)),
  /** Where spans go; null: nowhere. */
  otlpUrl: Schema.NullOr(urlOf("http", "https")),
  host: Schema.NonEmptyString,
  port: PortNumber,
  controlHost: Schema.NonEmptyString,
  controlPort: PortNumber,
  controlKey: Schema.NullOr(ControlKey),
  /** The network signs receipts, snapshots and stones with it; null: the one in the data folder. */
  networkKey: Schema.NullOr(Schema.NonEmptyString),
  /** Gateways whose X-Forwarded-For is believed. */
  trustedProxies: Schema.Array(AddressRange),
  /** Beside the public internet: where webhooks may be sent, and whether in clear too. */
  webhookRanges: Schema.Array(AddressRange),
  webhookSchemes: Schema.Array(Schema.Literals(["https", "http"])).check(Schema.isMinLength(1)),
  /** Folders, `s3://PREFIX` or URLs that finished jobs are sent on to. */
  sinks: Schema.Array(Schema.String.check(Schema.isPattern(/^(?!s3:\/\/$)[^,\p{Cc}]{1,400}$/u))).check(
    Schema.isMaxLength(8)
  ),
  /** Sent as Bearer to sinks that are URLs. */
  sinkToken: Schema.NullOr(Schema.String.check(Schema.isPattern(/^[\x21-\x7e]{1,500}$/))),
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
  postgresUrl: null,
  postgresOwnerUrl: null,
  mongodbUrl: null,
  redisUrl: null,
  rabbitmqUrl: null,
  s3Url: null,
  s3Bucket: "resultity",
  s3Region: "us-east-1",
  s3AccessKey: null,
  s3SecretKey: null,
  coldStorage: "archive",
  installation: "resultity",
  otlpUrl: null,
  host: "127.0.0.1",
  port: 8400,
  controlHost: "127.0.0.1",
  controlPort: 8401,
  controlKey: null,
  networkKey: null,
  trustedProxies: [],
  webhookRanges: [],
  webhookSchemes: ["https"],
  sinks: [],
  sinkToken: null,
  environment: "testnet",
  nodes: ["swift", "steady", "flaky"],
  drainMs: 20_000,
  lanePrefetch: 64,
  log: "Info"
}

export const HELP = `resultity daemon: accepts jobs, finds nodes for them, streams the answers back.

Usage: resultity daemon [options]

  --data DIR            folder of the embedded stores            RESULTITY_DATA            ${DEFAULTS.data}
  --profile NAME        embedded, memory or cluster              RESULTITY_PROFILE         ${DEFAULTS.profile}
  --host ADDRESS        of the public listener                   RESULTITY_HOST            ${DEFAULTS.host}
  --port N              of the public listener, 0 for any        RESULTITY_PORT            ${DEFAULTS.port}
  --control-host ADDR   of the control listener                  RESULTITY_CONTROL_HOST    ${DEFAULTS.controlHost}
  --control-port N      of the control listener, 0 for any       RESULTITY_CONTROL_PORT    ${DEFAULTS.controlPort}
  --control-key KEY     needed off loopback, 32 characters up    RESULTITY_CONTROL_KEY     none
  --network-key KEY     signs receipts (64 hex digits or PEM);   RESULTITY_NETWORK_KEY     network.key in
                        one for all daemons of a network                                   the data folder
  --trusted-proxies A,B gateways (10.0.0.0/8) whose              RESULTITY_TRUSTED_PROXIES none
                        X-Forwarded-For is believed
  --webhook-ranges A,B  addresses (10.0.0.0/8) that webhooks     RESULTITY_WEBHOOK_RANGES  none
                        may go to, beside the public internet
  --webhook-schemes A,B https or https,http: of webhooks' URLs   RESULTITY_WEBHOOK_SCHEMES ${DEFAULTS.webhookSchemes.join(",")}
  --sinks A,B           folders, s3://PREFIX or URLs that         RESULTITY_SINKS           none
                        finished jobs are sent on to as NDJSON
  --sink-token TOKEN    Bearer for those that are URLs           RESULTITY_SINK_TOKEN      none
  --environment NAME    testnet or mainnet                       RESULTITY_ENVIRONMENT     ${DEFAULTS.environment}
  --nodes A,B           simulated nodes (instant, swift,         RESULTITY_NODES           ${DEFAULTS.nodes.join(",")}
                        steady, flaky)
  --no-nodes            no simulated nodes
  --cold-storage NAME   archive, or none: nothing is archived    RESULTITY_COLD_STORAGE    ${DEFAULTS.coldStorage}
  --drain-ms N          patience of a stop                       RESULTITY_DRAIN_MS        ${DEFAULTS.drainMs}
  --lane-prefetch N     deliveries of a lane held at once        RESULTITY_LANE_PREFETCH   ${DEFAULTS.lanePrefetch}
  --log LEVEL           Debug, Info, Warn, Error or None         RESULTITY_LOG             ${DEFAULTS.log}
  --otlp-url URL        where spans go (OTLP over HTTP)          RESULTITY_OTLP_URL        none
  --config FILE         JSON with the same names in camelCase    RESULTITY_CONFIG          none
  --help

Of the profile cluster (all four servers are needed; several daemons share them):
  --postgres-url URL    decides: jobs, credits, who lives        POSTGRES_URL
  --postgres-owner-url URL  the role that owns the tables        POSTGRES_OWNER_URL        the same
  --mongodb-url URL     remembers: records, traces, logs         MONGODB_URL
  --redis-url URL       knows what is true right now             REDIS_URL
  --rabbitmq-url URL    carries messages                         RABBITMQ_URL
  --s3-url URL          cold storage; none: the data folder      S3_URL
  --s3-bucket NAME      it has to be there                       S3_BUCKET                 ${DEFAULTS.s3Bucket}
  --s3-region NAME                                               S3_REGION                 ${DEFAULTS.s3Region}
  --s3-access-key KEY, --s3-secret-key KEY                       S3_ACCESS_KEY, S3_SECRET_KEY
  --installation NAME   its name within the servers              RESULTITY_INSTALLATION    ${DEFAULTS.installation}

Examples:
  resultity daemon
  POSTGRES_URL=… MONGODB_URL=… REDIS_URL=… RABBITMQ_URL=… resultity daemon --profile cluster
  resultity daemon --data /var/lib/resultity --no-nodes
  RESULTITY_PORT=9000 resultity daemon --nodes instant`

type Raw = Record<string, unknown>

const NUMBERS = new Set(["port", "controlPort", "drainMs", "lanePrefetch"])
const LISTS = new Set(["nodes", "trustedProxies", "webhookRanges", "webhookSchemes", "sinks"])
const FIELDS = Object.keys(DEFAULTS)
const kebab = (field: string) => field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
/** Of a server, the name that everybody uses for it. */
const isServers = (field: string) => /^(postgres|mongodb|redis|rabbitmq|s3)[A-Z]/.test(field)
const envName = (field: string) =>
  `${isServers(field) ? "" : "RESULTITY_"}${kebab(field).replaceAll("-", "_").toUpperCase()}`

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
    const given: Raw = { ...file, ...fromEnv(env), ...fromFlags(flags) }
    // Simulated nodes belong to a trial; a cluster gets them only when somebody asks for them.
    const nodes = given["profile"] === "cluster" ? [] : DEFAULTS.nodes
    const raw: Raw = { ...DEFAULTS, nodes, ...given }
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
  if (LISTS.has(field)) return text === "" || text === "none" ? [] : text.split(",").map((name) => name.trim())
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

/** Never shown: a URL may hold a password. */
const SECRET: ReadonlySet<string> = new Set([
  "controlKey",
  "sinkToken",
  "networkKey",
  "postgresUrl",
  "postgresOwnerUrl",
  "mongodbUrl",
  "redisUrl",
  "rabbitmqUrl",
  "s3AccessKey",
  "s3SecretKey"
])

const SERVERS = ["postgresUrl", "mongodbUrl", "redisUrl", "rabbitmqUrl"] as const

/** What is missing of what the others need, or null. */
const incomplete = (options: DaemonOptions): string | null => {
  const missing = SERVERS.filter((field) => options[field] === null)
  if (options.profile === "cluster" && missing.length > 0) {
    const names = missing.map((field) => `--${kebab(field)} (${envName(field)})`)
    return `--profile cluster needs ${names.join(", ")} as well`
  }
  if (options.s3Url !== null && (options.s3AccessKey === null || options.s3SecretKey === null)) {
    return "--s3-url needs --s3-access-key (S3_ACCESS_KEY) and --s3-secret-key (S3_SECRET_KEY) as well"
  }
  if (options.s3Url === null && options.sinks.some((place) => place.startsWith("s3://"))) {
    return "--sinks s3://… needs --s3-url (S3_URL) as well"
  }
  return null
}

const isLoopback = (host: string) => host === "localhost" || host === "::1" || host.startsWith("127.")

const check = (raw: Raw): Result.Result<DaemonOptions, string> => {
  const decoded = decode(raw)
  if (Result.isFailure(decoded)) {
    const [issue] = format(decoded.failure.issue).issues
    const field = String(issue?.path?.[0] ?? "options")
    const shown = SECRET.has(field) ? "the given value" : JSON.stringify(raw[field])
    return Result.fail(
      `--${kebab(field)} (${envName(field)}): ${shown} will not do: ${issue?.message ?? "it is wrong"}`
    )
  }
  const options = decoded.success
  const lacks = incomplete(options)
  if (lacks !== null) return Result.fail(lacks)
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
