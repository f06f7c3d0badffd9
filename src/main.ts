/**
 * The daemon as a process: options, back ends, the tree, a line when it is ready. SIGTERM and ctrl-C drain. Exit codes: 0 after a drain,
 * 1 when it could not start or must not go on.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import { join } from "node:path"
import * as Backends from "./Backends.ts"
import * as Bootstrap from "./Bootstrap.ts"
import { HELP, readOptions, type DaemonOptions } from "./DaemonOptions.ts"
import { Listeners } from "./http/Server.ts"
import { DaemonConfig } from "./layers/DaemonConfig.ts"
import * as Archive from "./layers/Archive.ts"
import { LiveNodes } from "./layers/LiveNodes.ts"
import { Outage } from "./layers/Outage.ts"
import * as NetworkKey from "./layers/NetworkKey.ts"
import * as Orchestrator from "./Orchestrator.ts"
import { freshDaemonId, type NodeId } from "./schemas/Ids.ts"
import { serversOf } from "./Servers.ts"
import * as SimulatedNodes from "./SimulatedNodes.ts"
import * as Telemetry from "./Telemetry.ts"

const configOf = (options: DaemonOptions) =>
  Layer.effect(
    DaemonConfig,
    Effect.map(freshDaemonId, (daemonId) =>
      DaemonConfig.of({
        daemonId,
        dataFolder: options.data,
        host: options.host,
        port: options.port,
        controlHost: options.controlHost,
        controlPort: options.controlPort,
        controlKey: options.controlKey === null ? null : Redacted.make(options.controlKey),
        trustedProxies: options.trustedProxies,
        environment: options.environment,
        drainMs: options.drainMs,
        silenceMaxMs: isCluster(options) ? SILENCE_MAX_MS : null,
        lanePrefetch: options.lanePrefetch
      })
    )
  )

const isCluster = (options: DaemonOptions) => options.profile === "cluster"
/** It has files of its own: keys of a trial, and segments. */
const hasFolder = (options: DaemonOptions) => options.profile !== "memory"

/**
 * How long a daemon of a cluster goes on without the deciding store. Its writes are guarded there, so it does no harm meanwhile, and its streams go
 * on; after so long it is better started anew.
 */
const SILENCE_MAX_MS = 300_000

const daemon = (options: DaemonOptions) =>
  Effect.gen(function* () {
    const isTrial = !isCluster(options) || options.nodes.length > 0
    const secret = !isTrial
      ? null
      : yield* Bootstrap.demoKey(hasFolder(options) ? options.data : null, options.environment)
    const { publicUrl, controlUrl } = yield* Listeners
    const nodeIds = yield* SimulatedNodes.start({
      url: `${publicUrl.replace("http", "ws")}/nodes/connect`,
      environment: options.environment,
      characters: options.nodes,
      keys: hasFolder(options) ? join(options.data, "nodes") : null
    })
    const active = nodeIds.map(untilActive)
    if (active.length > 0) yield* Effect.timeoutOption(Effect.raceAllFirst(active), FIRST_NODE_MAX)
    yield* Effect.timeoutOption(Effect.all(active, { concurrency: 8, discard: true }), OTHER_NODES_MAX)
    yield* Effect.sync(() => process.stdout.write(readyText(options, publicUrl, controlUrl, secret)))
    return yield* Orchestrator.untilLost
  }).pipe(
    Effect.onInterrupt(() => Orchestrator.drain),
    Effect.scoped
  )

/** What the ready line waits for the simulated nodes to pass their tests, at most: the printed request needs one; one that breaks in its test comes later. */
const FIRST_NODE_MAX = "10 seconds"
const OTHER_NODES_MAX = "1 second"

const untilActive = (nodeId: NodeId) =>
  Effect.gen(function* () {
    const live = yield* LiveNodes
    const look = Effect.flatMap(Clock.currentTimeMillis, (now) => live.get(nodeId, now))
    yield* Effect.repeat(look, {
      until: (presence) => presence?.lifecycle === "active",
      schedule: Schedule.spaced("10 millis")
    })
  })

const readyText = (
  options: DaemonOptions,
  publicUrl: string,
  controlUrl: string,
  secret: Redacted.Redacted | null
): string => {
  const ready = `ready: ${publicUrl} (control ${controlUrl}, data ${hasFolder(options) ? options.data : "in memory"})\n`
  if (secret === null || options.nodes.length === 0) return ready
  return `${ready}
Try it:

  curl ${publicUrl}/v1/chat/completions \\
    -H "Authorization: Bearer ${Redacted.value(secret)}" \\
    -H "Content-Type: application/json" \\
    -d '{"model": "sim-small", "stream": true, "messages": [{"role": "user", "content": "Hello!"}]}'

`
}

let unwritten = ""
const writeLog = () => {
  process.stderr.write(unwritten)
  unwritten = ""
}

/** Standard output is for people; one JSON line an event goes to standard error, those of one turn of the event loop together. */
const toStderr = Logger.make((options) => {
  if (unwritten === "") setImmediate(writeLog)
  unwritten += `${Logger.formatJson.log(options)}\n`
})

const logging = ({ log }: DaemonOptions) =>
  Layer.mergeAll(Logger.layer([toStderr]), Layer.succeed(References.MinimumLogLevel, log))

type Contracts = Layer.Success<typeof Backends.memory>
type CannotStart =
  | Layer.Error<typeof Backends.memory>
  | Layer.Error<ReturnType<typeof Backends.embedded>>
  | Layer.Error<ReturnType<typeof Backends.cluster>>

/** A wrong one is told before anything starts. */
const networkKeyOf = ({ networkKey }: DaemonOptions) =>
  networkKey === null ? Result.succeed(null) : NetworkKey.parse(Redacted.make(networkKey))

const backEnds = (options: DaemonOptions): Layer.Layer<Contracts, CannotStart> => {
  const key = Result.getOrElse(networkKeyOf(options), () => null)
  switch (options.profile) {
    case "embedded":
      return Backends.embedded(options.data, key)
    case "memory":
      return Backends.memory
    case "cluster":
      return Backends.cluster(serversOf(options), options.data, key)
  }
}

const rulesOf = ({ webhookSchemes, webhookRanges }: DaemonOptions) => ({
  schemes: webhookSchemes,
  ranges: webhookRanges
})

const sinksOf = (options: DaemonOptions) => ({
  places: options.sinks,
  token: options.sinkToken === null ? null : Redacted.make(options.sinkToken),
  rules: rulesOf(options)
})

/** What comes later stands for what came before. */
const stores = (options: DaemonOptions) =>
  options.coldStorage === "none"
    ? Layer.merge(backEnds(options), Layer.succeed(Archive.Archive, Archive.none))
    : backEnds(options)

const world = (options: DaemonOptions) =>
  Orchestrator.layer.pipe(
    Layer.provideMerge(stores(options)),
    Layer.provideMerge(Backends.sinks(sinksOf(options), serversOf(options).s3)),
    Layer.provideMerge(Backends.outbound(rulesOf(options))),
    Layer.provideMerge(Telemetry.layer(options)),
    Layer.provideMerge(configOf(options)),
    Layer.provideMerge(logging(options))
  )

const outageLine = ({ of, during, cause }: Outage): string =>
  `${of} does not answer (${during}: ${cause instanceof Error ? cause.message : String(cause)}); resultity doctor says what stands in the way`

/** One line a person can act on; the whole cause only when it is nobody's expected failure. */
const complain = (cause: Cause.Cause<unknown>) =>
  Effect.sync(() => {
    const known = cause.reasons.find(Cause.isFailReason)?.error
    const line =
      known instanceof Outage ? outageLine(known) : known instanceof Error ? known.message : Cause.pretty(cause)
    process.stderr.write(`resultity daemon: ${line}\n`)
  })

const options = readOptions(process.argv.slice(2), process.env)
if (Result.isFailure(options)) {
  process.stderr.write(`resultity daemon: ${options.failure}\n`)
  process.exitCode = 1
} else if (options.success === "help") {
  process.stdout.write(`${HELP}\n`)
} else if (Result.isFailure(networkKeyOf(options.success))) {
  process.stderr.write(`resultity daemon: --network-key (RESULTITY_NETWORK_KEY): expected ${NetworkKey.WANTED}\n`)
  process.exitCode = 1
} else {
  const alone = Effect.provide(daemon(options.success), world(options.success))
  const program = isCluster(options.success) ? Orchestrator.withSharedClock(alone) : alone
  NodeRuntime.runMain(
    Effect.tapCause(program, (cause) => (Cause.hasInterruptsOnly(cause) ? Effect.void : complain(cause))),
    {
      disableErrorReporting: true,
      teardown: (exit, done) => done(exit._tag === "Success" || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
    }
  )
}
