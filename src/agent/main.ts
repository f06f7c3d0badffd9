/**
 * `resultity node`: the agent as a process beside a model runtime. The first ctrl-C or SIGTERM drains, a second one leaves at once. Exit codes:
 * 0 after a drain, 1 when an option will not do, 130 when it was made to leave, otherwise that of `AgentFailed`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { homedir, hostname } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { realpathSync } from "node:fs"
import { Environment } from "../schemas/Job.ts"
import { NodeProfile } from "../schemas/NodeProfile.ts"
import * as Agent from "./Agent.ts"
import { AgentFailed } from "./AgentFailed.ts"
import * as HttpRuntime from "./HttpRuntime.ts"
import type { Log } from "./Log.ts"
import type { Runtime } from "./Runtime.ts"
import * as SimulatedRuntime from "./SimulatedRuntime.ts"

const Name = Schema.NonEmptyString.check(Schema.isMaxLength(64))

export const NodeOptions = Schema.Struct({
  /** With its version: `http://127.0.0.1:8000/v1`. Exactly one of this and `simulate` is given. */
  runtime: Schema.NullOr(Schema.String),
  simulate: Schema.NullOr(Schema.Literals(["swift", "steady", "flaky", "instant"])),
  /** The daemon's WebSocket; of several daemons any one. */
  daemon: Schema.Array(Schema.String).check(Schema.isMinLength(1), Schema.isMaxLength(32)),
  /** The file of the node's key. */
  key: Schema.NonEmptyString,
  environment: Environment,
  name: Name,
  slots: NodeProfile.fields.slots,
  region: Schema.NullOr(Name),
  subcloud: Schema.Array(Name).check(Schema.isMaxLength(32)),
  continuation: Schema.Literals(["auto", "vllm", "trailing", "none"]),
  embeddings: Schema.Array(Schema.NonEmptyString.check(Schema.isMaxLength(256))).check(Schema.isMaxLength(256)),
  /** Info tells everything the agent notes, None only how it stands with the daemon. */
  log: Schema.Literals(["Info", "None"]),
  json: Schema.Boolean
})
export type NodeOptions = typeof NodeOptions.Type

const DEFAULTS = {
  runtime: null,
  simulate: null,
  daemon: ["ws://127.0.0.1:8400/nodes/connect"],
  environment: "testnet",
  slots: 8,
  region: null,
  subcloud: [],
  continuation: "auto",
  embeddings: [],
  log: "Info",
  json: false
} as const

export const HELP = `resultity node: joins a model runtime to a daemon as a node, for as long as it runs.

Usage: resultity node --runtime URL [options]
       resultity node --simulate CHARACTER [options]

  --runtime URL         any OpenAI-compatible server             RESULTITY_NODE_RUNTIME
  --simulate CHARACTER  no model: swift, steady, flaky, instant  RESULTITY_NODE_SIMULATE
  --daemon URL          ws, wss, http or https; may come again   RESULTITY_NODE_DAEMON       ${DEFAULTS.daemon[0]}
                        for several daemons of one network
  --key FILE            the node's key; made if it is not there  RESULTITY_NODE_KEY          ~/.resultity/node.key
  --environment NAME    testnet or mainnet                       RESULTITY_NODE_ENVIRONMENT  ${DEFAULTS.environment}
  --name NAME           how people call it                       RESULTITY_NODE_NAME         the host's name
  --slots N             jobs at a time, 1 to 1024                RESULTITY_NODE_SLOTS        ${DEFAULTS.slots}
  --region NAME         where it stands                          RESULTITY_NODE_REGION       none
  --subcloud NAME       it belongs to; may come again            RESULTITY_NODE_SUBCLOUD     none
  --continuation HOW    how the runtime goes on from a begun     RESULTITY_NODE_CONTINUATION ${DEFAULTS.continuation}
                        answer: auto, vllm, trailing, none
  --embeddings MODEL    only makes embeddings; may come again    RESULTITY_NODE_EMBEDDINGS   recognised by name
  --log LEVEL           Info, or None: only the connection       RESULTITY_NODE_LOG          ${DEFAULTS.log}
  --json                one JSON line for each event
  --help

In a variable, several values stand between commas. The runtime's own key, if it has one: RESULTITY_RUNTIME_KEY.
The key in --key is the node: who has it is the node, and without it the node is gone. Keep a copy, and give each node its own.

The first ctrl-C or SIGTERM drains: nothing new, what runs is finished. A second one leaves at once; other nodes go on with its jobs.

Exit codes: 0 drained, 1 wrong option, 66 unusable key file, 69 another agent has this key, 71 the clock is off,
76 protocol, 77 not accepted, 78 wrong environment, 130 left at once.

Examples:
  resultity node --runtime http://127.0.0.1:8000
  resultity node --runtime http://127.0.0.1:11434/v1 --daemon https://daemon.example.com --region eu-west --slots 4
  resultity node --simulate swift --key ./swift.key --json`

type Raw = Record<string, unknown>
type Env = Readonly<Record<string, string | undefined>>

const SINGLE = ["runtime", "simulate", "key", "environment", "name", "slots", "region", "continuation", "log"]
const MANY = ["daemon", "subcloud", "embeddings"]
const envName = (field: string) => `RESULTITY_NODE_${field.toUpperCase()}`

/** Ready options, `help`, or the one line to print before exit code 1. Flags go before variables. */
export const readOptions = (argv: ReadonlyArray<string>, env: Env): Result.Result<NodeOptions | "help", string> =>
  Result.gen(function* () {
    const flags = yield* readFlags(argv)
    if (flags["help"] === true) return "help" as const
    const given = { ...fromEnv(env), ...flags }
    // The flag decides: a variable for the other of the two is not a contradiction.
    if (flags["simulate"] !== undefined && flags["runtime"] === undefined) given["runtime"] = null
    if (flags["runtime"] !== undefined && flags["simulate"] === undefined) given["simulate"] = null
    const own = { key: join(homedir(), ".resultity", "node.key"), name: hostname().slice(0, 64) || "node" }
    const options = yield* check({ ...DEFAULTS, ...own, ...given })
    if ((options.runtime === null) === (options.simulate === null)) {
      return yield* Result.fail("give either --runtime URL or --simulate CHARACTER (see resultity node --help)")
    }
    return {
      ...options,
      key: options.key.replace(/^~(?=\/)/, homedir()),
      daemon: yield* Result.all(options.daemon.map(daemonUrl)),
      runtime: options.runtime === null ? null : yield* runtimeUrl(options.runtime)
    }
  })

const readFlags = (argv: ReadonlyArray<string>): Result.Result<Raw, string> => {
  const options = Object.fromEntries<{ readonly type: "string" | "boolean"; readonly multiple?: boolean }>([
    ...SINGLE.map((name) => [name, { type: "string" }] as const),
    ...MANY.map((name) => [name, { type: "string", multiple: true }] as const),
    ...["json", "help"].map((name) => [name, { type: "boolean" }] as const)
  ])
  try {
    const { values } = parseArgs({ args: [...argv], options, strict: true })
    return Result.succeed(typed({ ...values }))
  } catch (cause) {
    const [line] = String(cause instanceof Error ? cause.message : cause).split("\n")
    return Result.fail(`${line ?? "bad option"} (see resultity node --help)`)
  }
}

const fromEnv = (env: Env): Raw => {
  const found: Raw = {}
  for (const field of [...SINGLE, ...MANY]) {
    const text = env[envName(field)]
    if (text === undefined || text === "") continue
    found[field] = MANY.includes(field) ? text.split(",").map((part) => part.trim()) : text
  }
  return typed(found)
}

const typed = (raw: Raw): Raw => {
  const { slots } = raw
  return typeof slots === "string" && /^-?\d+$/.test(slots) ? { ...raw, slots: Number(slots) } : raw
}

const decode = Schema.decodeUnknownResult(NodeOptions)
const format = SchemaIssue.makeFormatterStandardSchemaV1()

const check = (raw: Raw): Result.Result<NodeOptions, string> => {
  const decoded = decode(raw)
  if (Result.isSuccess(decoded)) return Result.succeed(decoded.success)
  const [issue] = format(decoded.failure.issue).issues
  const field = String(issue?.path?.[0] ?? "options")
  const why = issue?.message ?? "it is wrong"
  return Result.fail(`--${field} (${envName(field)}): ${JSON.stringify(raw[field])} will not do: ${why}`)
}

const wrong = (field: string, text: string, why: string) =>
  Result.fail(`--${field} (${envName(field)}): ${JSON.stringify(text)} will not do: ${why}`)

/** A base URL of the public listener is completed; a WebSocket URL with a path is taken as it is. */
const daemonUrl = (text: string): Result.Result<string, string> => {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^(?:ws|http)s?:$/.test(url.protocol) || url.username !== "" || url.hash !== "") {
    return wrong("daemon", text, `expected a URL like ${DEFAULTS.daemon[0]}`)
  }
  const path = url.pathname.replace(/\/+$/, "")
  const isWhole = path.endsWith("/nodes/connect") || (url.protocol.startsWith("ws") && path !== "")
  const scheme = url.protocol.replace(/^http/, "ws")
  return Result.succeed(`${scheme}//${url.host}${isWhole ? path : `${path}/nodes/connect`}${url.search}`)
}

/** Runtimes have their routes below `/v1` unless the URL says otherwise. */
const runtimeUrl = (text: string): Result.Result<string, string> => {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "" || url.hash !== "") {
    return wrong("runtime", text, "expected a URL like http://127.0.0.1:8000/v1")
  }
  const path = url.pathname.replace(/\/+$/, "")
  return Result.succeed(`${url.origin}${path === "" ? "/v1" : path}`)
}

const LOOPBACK = /^http:\/\/(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?(?:\/|$)/

/** A remark worth making before the start, or null. */
export const warningOf = ({ runtime }: NodeOptions, hasKey: boolean): string | null =>
  hasKey && runtime?.startsWith("http:") === true && !LOOPBACK.test(runtime)
    ? `the runtime's key travels unencrypted to ${runtime}`
    : null

type Facts = Parameters<Log>[1]
/** An event for programs, and the same for a person. */
type Say = (event: string, text: string, facts?: Facts) => void

const saying = ({ json }: NodeOptions, now: () => number): Say =>
  json
    ? (event, _, facts = {}) => void process.stdout.write(`${JSON.stringify({ at: now(), event, ...facts })}\n`)
    : (_, text) => void process.stdout.write(`${new Date(now()).toISOString()} ${text}\n`)

/** The agent's notes as an operator reads them. */
const logOf = (options: NodeOptions, say: Say, nodeId: () => string): Log => {
  return (message, facts) => {
    const node = nodeId()
    if (message === "registered") {
      return say("connected", `node ${node} connected`, { node, sessionId: facts["sessionId"] ?? "" })
    }
    if (message.startsWith("the session ended")) {
      const pause = `${(Number(facts["pauseMs"]) / 1000).toFixed(1)} s`
      const text = `node ${node} not connected (${facts["closeCode"] ?? ""}); again in ${pause}`
      return say("disconnected", text, { node, ...facts })
    }
    if (options.log === "None") return
    const details = Object.entries(facts).map(([name, value]) => `${name}=${value}`)
    say("note", `node ${node}: ${[message, ...details].join(" ")}`, { node, message, ...facts })
  }
}

/** Says what the runtime serves whenever that changes. */
const watched = (runtime: Runtime, say: Say): Runtime => {
  let told = ""
  const tell = (event: string, text: string, facts: Facts = {}) => {
    if (told === text) return
    told = text
    say(event, text, facts)
  }
  return {
    ...runtime,
    models: runtime.models.pipe(
      Effect.tap((models) =>
        Effect.sync(() => {
          const names = models.map(({ name }) => name).join(", ")
          tell("serving", names === "" ? "the runtime serves no model" : `the runtime serves ${names}`, {
            models: names
          })
        })
      ),
      Effect.tapError(({ code }) =>
        Effect.sync(() => tell("runtime_lost", `the runtime does not answer (${code}); waiting for it`, { code }))
      )
    )
  }
}

const runtimeOf = ({ runtime, simulate, continuation, embeddings }: NodeOptions, key: Redacted.Redacted | null) =>
  runtime === null
    ? Effect.succeed(
        SimulatedRuntime.make({ character: SimulatedRuntime.CHARACTERS[simulate ?? "swift"], seed: process.pid })
      )
    : HttpRuntime.make({ baseUrl: runtime, continuation, embeddings, ...(key === null ? {} : { apiKey: key }) })

export const EXIT_LEFT = 130
/** Under a parent that hands signals on, one ctrl-C comes twice: from the terminal and from the parent. */
const SAME_SIGNAL = "500 millis"

/** Completes with the next SIGINT or SIGTERM that is not the echo of the one before. */
const nextSignal = Effect.callback<void>((resume) => {
  const heard = () => resume(Effect.void)
  process.once("SIGINT", heard).once("SIGTERM", heard)
  return Effect.sync(() => void process.off("SIGINT", heard).off("SIGTERM", heard))
}).pipe(Effect.delay(SAME_SIGNAL))

const node = (options: NodeOptions, key: Redacted.Redacted | null, onLeft: () => void) =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const say = saying(options, () => clock.currentTimeMillisUnsafe())
    let id = ""
    const agent = yield* Agent.start({
      url: options.daemon,
      identity: options.key,
      environment: options.environment,
      name: options.name,
      slots: options.slots,
      runtime: watched(yield* runtimeOf(options, key), say),
      subclouds: options.subcloud,
      ...(options.region === null ? {} : { region: options.region }),
      log: logOf(options, say, () => id)
    })
    id = agent.nodeId
    const daemons = options.daemon.join(", ")
    say("started", `node ${id} starts, for ${daemons}`, { node: id, daemon: daemons })
    const drain = Effect.gen(function* () {
      say("draining", `node ${id} drains: nothing new, what runs is finished (again to leave at once)`, { node: id })
      yield* agent.drain("stopped by its operator")
    })
    const leave = Effect.andThen(nextSignal, Effect.sync(onLeft))
    const gone = Effect.sync(() => say("left", `node ${id} left`, { node: id }))
    yield* agent.done.pipe(
      Effect.onInterrupt(() =>
        Effect.andThen(Effect.raceFirst(Effect.interruptible(drain), Effect.interruptible(leave)), gone)
      )
    )
    yield* gone
  }).pipe(Effect.scoped)

const complain = (line: string) => void process.stderr.write(`resultity node: ${line}\n`)

const launch = (options: NodeOptions, key: Redacted.Redacted | null): void => {
  const warning = warningOf(options, key !== null)
  if (warning !== null) complain(`warning: ${warning}`)
  // Nobody reading the events is no reason to leave.
  process.stdout.on("error", () => undefined)
  let left = false
  const program = node(options, key, () => {
    left = true
  })
  NodeRuntime.runMain(
    Effect.tapCause(program, (cause) => Effect.sync(() => Cause.hasInterruptsOnly(cause) || complain(lineOf(cause)))),
    {
      disableErrorReporting: true,
      teardown: (exit, done) => {
        if (left) return done(EXIT_LEFT)
        return done(exit._tag === "Success" || Cause.hasInterruptsOnly(exit.cause) ? 0 : exitOf(exit.cause))
      }
    }
  )
}

const failureIn = (cause: Cause.Cause<unknown>) => cause.reasons.find(Cause.isFailReason)?.error

const lineOf = (cause: Cause.Cause<unknown>): string => {
  const failure = failureIn(cause)
  return failure instanceof AgentFailed ? failure.message : Cause.pretty(cause)
}

const exitOf = (cause: Cause.Cause<unknown>): number => {
  const failure = failureIn(cause)
  return failure instanceof AgentFailed ? failure.exitCode : 1
}

const isProcess = (path: string | undefined): boolean =>
  path !== undefined && realpathSync(path) === realpathSync(fileURLToPath(import.meta.url))

// Read by tests too, which want its options and not its process.
if (isProcess(process.argv[1])) {
  const options = readOptions(process.argv.slice(2), process.env)
  const key = process.env["RESULTITY_RUNTIME_KEY"] ?? ""
  if (Result.isFailure(options)) {
    complain(options.failure)
    process.exitCode = 1
  } else if (options.success === "help") {
    process.stdout.write(`${HELP}\n`)
  } else {
    launch(options.success, key === "" ? null : Redacted.make(key))
  }
}
