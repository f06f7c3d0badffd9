/**
 * The agent: keeps a node connected for as long as its scope is open, whatever happens to daemons and runtime. It stops
 * only when it is drained, or when a daemon says that coming back is pointless. Used in process for simulated nodes,
 * and by `resultity node`.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { NodeId } from "../schemas/Ids.ts"
import type { Environment } from "../schemas/Job.ts"
import type { Gpu, NodeProfile } from "../schemas/NodeProfile.ts"
import type { AgentFailed } from "./AgentFailed.ts"
import { make as makeAttempts } from "./Attempts.ts"
import { gpus } from "./Gpus.ts"
import { fromFile, type Identity } from "./Identity.ts"
import type { Log } from "./Log.ts"
import { make as makeMonitor, type Sight } from "./Monitor.ts"
import { clockWarning, finalFailure, isSuperseded, pauseMs, wasGood } from "./Reconnect.ts"
import type { Runtime } from "./Runtime.ts"
import { run as runSession } from "./Session.ts"

export const AGENT_VERSION = "0.1.0"

/** How long a drained agent waits for its results to be settled once nothing runs any more. */
const SETTLE_MAX = "30 seconds"

export interface AgentOptions {
  /** The daemon's WebSocket: `ws://127.0.0.1:8080/nodes/connect`; of several daemons any one, and the next when a session ended. */
  readonly url: string | ReadonlyArray<string>
  /** A key in memory, or the path of its file, which is made when it is not there. */
  readonly identity: Identity | string
  readonly environment: Environment
  readonly name: string
  /** Attempts that may run at a time, 1 to 1024. */
  readonly slots: number
  readonly runtime: Runtime
  readonly region?: string
  readonly subclouds?: ReadonlyArray<string>
  readonly log?: Log
  /** The machine's cards; asked of `nvidia-smi` when not given. */
  readonly gpus?: Effect.Effect<ReadonlyArray<Gpu>>
  /** Characters of output kept over all attempts; 128 Mi. */
  readonly keptSizeMax?: number
}

export interface Agent {
  readonly nodeId: NodeId
  /** Ends when the agent was drained; fails when it gave up for good. */
  readonly done: Effect.Effect<void, AgentFailed>
  /** Takes nothing new, finishes what runs, waits for its settlement and leaves; returns when it has left. */
  readonly drain: (reason: string) => Effect.Effect<void>
}

/**
 * Starts the agent in the background of the scope; closing the scope leaves at once. Fails when the key file is
 * unusable.
 */
export const start = Effect.fnUntraced(function* (options: AgentOptions) {
  const log = options.log ?? (() => undefined)
  const identity = typeof options.identity === "string" ? yield* fromFile(options.identity) : options.identity
  const { sight } = yield* makeMonitor(options.runtime, options.gpus ?? gpus)
  const attempts = yield* makeAttempts({
    runtime: options.runtime,
    slots: options.slots,
    models: () => sight().models,
    gpu: () => sight().gpus[0],
    log,
    ...(options.keptSizeMax === undefined ? {} : { keptSizeMax: options.keptSizeMax })
  })
  const drainAsked = yield* Deferred.make<string>()
  const drained = yield* Deferred.make<void>()
  const sessionWith = (url: string) =>
    runSession({
      url,
      environment: options.environment,
      identity,
      profile: () => profileOf(options, sight()),
      sight,
      attempts,
      onDrain: () => Deferred.doneUnsafe(drainAsked, Effect.succeed("asked by the daemon")),
      log
    })
  const leave = Effect.gen(function* () {
    attempts.stopTaking(yield* Deferred.await(drainAsked))
    yield* attempts.quiet
    yield* Effect.timeoutOption(attempts.empty, SETTLE_MAX)
  })
  const life = yield* Effect.raceFirst(keepConnected(urlsOf(options), sessionWith, log), leave).pipe(
    Effect.ensuring(Deferred.succeed(drained, undefined)),
    Effect.forkScoped
  )
  const agent: Agent = {
    nodeId: identity.nodeId,
    done: Fiber.join(life),
    drain: (reason) => Effect.andThen(Deferred.succeed(drainAsked, reason), Deferred.await(drained))
  }
  return agent
})

/** The agent as one Effect: returns when it was drained from outside, fails when it gave up for good. */
export const run = (options: AgentOptions): Effect.Effect<void, AgentFailed, Scope.Scope> =>
  Effect.flatMap(start(options), (agent) => agent.done)

const urlsOf = ({ url }: AgentOptions): ReadonlyArray<string> => (typeof url === "string" ? [url] : url)

/** A session of so long was no quarrel over the key. */
const UNDISPUTED_MS = 60_000

/** A fleet spreads over the daemons by chance; a node whose session ended tries the next one. */
const keepConnected = (
  urls: ReadonlyArray<string>,
  sessionWith: (url: string) => ReturnType<typeof runSession>,
  log: Log
): Effect.Effect<never, AgentFailed> =>
  Effect.gen(function* () {
    let failures = 0
    let superseded = 0
    let turn = urls.length === 1 ? 0 : yield* Random.nextIntBetween(0, urls.length - 1)
    while (true) {
      const from = yield* Clock.currentTimeMillis
      const end = yield* sessionWith(urls[turn % urls.length] ?? "")
      const now = yield* Clock.currentTimeMillis
      superseded = now - from > UNDISPUTED_MS ? 0 : superseded
      if (isSuperseded(end)) superseded += 1
      const final = finalFailure(end, superseded)
      if (final !== null) return yield* final
      if (wasGood(end)) failures = 0
      const pause = pauseMs(failures, yield* Random.next)
      failures += 1
      turn += 1
      const warning = clockWarning(end, now)
      if (warning !== null) log(warning, { pauseMs: pause })
      log("the session ended; coming back", { closeCode: end.closeCode, pauseMs: pause, failures })
      yield* Effect.sleep(Duration.millis(pause))
    }
  })

const profileOf = (options: AgentOptions, sight: Sight): NodeProfile => ({
  name: options.name,
  agentVersion: AGENT_VERSION,
  runtime: sight.runtimeName,
  ...(options.region === undefined ? {} : { region: options.region }),
  subclouds: options.subclouds ?? [],
  gpus: sight.gpus,
  slots: options.slots,
  models: sight.models
})
