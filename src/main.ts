/**
 * The daemon as a process: options, back ends, the tree, a line when it is ready. SIGTERM and ctrl-C drain. Exit codes: 0 after a drain,
 * 1 when it could not start or must not go on.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Result from "effect/Result"
import { join } from "node:path"
import * as Backends from "./Backends.ts"
import * as Bootstrap from "./Bootstrap.ts"
import { HELP, readOptions, type DaemonOptions } from "./DaemonOptions.ts"
import { Listeners } from "./http/Server.ts"
import { DaemonConfig } from "./layers/DaemonConfig.ts"
import * as Orchestrator from "./Orchestrator.ts"
import { freshDaemonId } from "./schemas/Ids.ts"
import * as SimulatedNodes from "./SimulatedNodes.ts"

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
        environment: options.environment,
        drainMs: options.drainMs,
        lanePrefetch: options.lanePrefetch
      })
    )
  )

const isEmbedded = (options: DaemonOptions) => options.profile === "embedded"

const daemon = (options: DaemonOptions) =>
  Effect.gen(function* () {
    const secret = yield* Bootstrap.demoKey(isEmbedded(options) ? options.data : null, options.environment)
    const { publicUrl, controlUrl } = yield* Listeners
    yield* SimulatedNodes.start({
      url: `${publicUrl.replace("http", "ws")}/nodes/connect`,
      environment: options.environment,
      characters: options.nodes,
      keys: isEmbedded(options) ? join(options.data, "nodes") : null
    })
    yield* Effect.sync(() => process.stdout.write(readyText(options, publicUrl, controlUrl, secret)))
    return yield* Orchestrator.untilLost
  }).pipe(
    Effect.onInterrupt(() => Orchestrator.drain),
    Effect.scoped
  )

const readyText = (
  options: DaemonOptions,
  publicUrl: string,
  controlUrl: string,
  secret: Redacted.Redacted | null
): string => {
  const ready = `ready: ${publicUrl} (control ${controlUrl}, data ${isEmbedded(options) ? options.data : "in memory"})\n`
  if (secret === null || options.nodes.length === 0) return ready
  return `${ready}
Try it:

  curl ${publicUrl}/v1/chat/completions \\
    -H "Authorization: Bearer ${Redacted.value(secret)}" \\
    -H "Content-Type: application/json" \\
    -d '{"model": "sim-small", "stream": true, "messages": [{"role": "user", "content": "Hello!"}]}'

`
}

const logging = ({ log }: DaemonOptions) =>
  Layer.mergeAll(Logger.layer([Logger.consoleJson]), Layer.succeed(References.MinimumLogLevel, log))

const world = (options: DaemonOptions) =>
  Orchestrator.layer.pipe(
    Layer.provideMerge(isEmbedded(options) ? Backends.embedded(options.data) : Backends.memory),
    Layer.provideMerge(configOf(options)),
    Layer.provideMerge(logging(options))
  )

/** One line a person can act on; the whole cause only when it is nobody's expected failure. */
const complain = (cause: Cause.Cause<unknown>) =>
  Effect.sync(() => {
    const known = cause.reasons.find(Cause.isFailReason)?.error
    const line = known instanceof Error ? known.message : Cause.pretty(cause)
    process.stderr.write(`resultity daemon: ${line}\n`)
  })

const options = readOptions(process.argv.slice(2), process.env)
if (Result.isFailure(options)) {
  process.stderr.write(`resultity daemon: ${options.failure}\n`)
  process.exitCode = 1
} else if (options.success === "help") {
  process.stdout.write(`${HELP}\n`)
} else {
  const program = Effect.provide(daemon(options.success), world(options.success))
  NodeRuntime.runMain(
    Effect.tapCause(program, (cause) => (Cause.hasInterruptsOnly(cause) ? Effect.void : complain(cause))),
    {
      disableErrorReporting: true,
      teardown: (exit, done) => done(exit._tag === "Success" || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
    }
  )
}
