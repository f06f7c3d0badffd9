/**
 * The connection for commands and scripts, and connections of their own for who listens. A server that is away fails every call at once as an Outage,
 * and one that does not answer within a second too; nothing waits in memory for it. The connections come back by themselves.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { Redis, type RedisOptions as DriverOptions } from "ioredis"
import { Outage } from "../Outage.ts"
import { SCRIPTS, type ScriptName } from "./Scripts.ts"

export interface RedisOptions {
  /** `redis://` or `rediss://`, with password and number of the database. */
  readonly url: Redacted.Redacted
  /** Of every key and channel; daemons of one cluster share it. */
  readonly prefix?: string
  /** How long a daemon that starts waits for a server that is not there yet. */
  readonly startMs?: number
  /** A command that has no answer by then failed, and its connection counts as half-open. */
  readonly commandMs?: number
}

export class RedisClient extends Context.Service<
  RedisClient,
  {
    /** `{prefix}`: in braces, so that all keys stand on one slot of a cluster. */
    readonly tag: string
    readonly run: <A>(of: string, during: string, command: (redis: Redis) => Promise<A>) => Effect.Effect<A, Outage>
    /** A script, atomically. Its first key is the tag, or the one that is given. */
    readonly script: (
      of: string,
      during: ScriptName,
      args: ReadonlyArray<string | number>,
      key?: string
    ) => Effect.Effect<unknown, Outage>
    /** A connection that listens until the scope closes, on from when it is there; an Outage when it is not within a second. */
    readonly listener: (of: string, during: string) => Effect.Effect<Redis, Outage, Scope.Scope>
  }
>()("resultity/layers/redis/RedisClient") {}

export const PREFIX = "resultity"
const START_MS = 60_000
const COMMAND_MS = 1_000
const CONNECT_MS = 2_000
const RECONNECT_MAX_MS = 1_000
const KEEP_ALIVE_MS = 5_000

/** Soon at first, then with a pause that is drawn by chance: a fleet of daemons lost the same server. */
const retryStrategy = (times: number): number =>
  Math.ceil(Math.min(RECONNECT_MAX_MS, 25 * 2 ** Math.min(times, 10)) * (0.5 + Math.random() / 2))

const driverOptions = (options: RedisOptions): DriverOptions => ({
  lazyConnect: true,
  connectTimeout: CONNECT_MS,
  commandTimeout: options.commandMs ?? COMMAND_MS,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  keepAlive: KEEP_ALIVE_MS,
  retryStrategy
})

const open = (options: RedisOptions): Redis => {
  const redis = new Redis(Redacted.value(options.url), driverOptions(options))
  // Without a listener an error would end the process; what matters of it fails the calls.
  redis.on("error", () => undefined)
  return redis
}

const isTimeout = (cause: unknown): boolean => cause instanceof Error && cause.message.includes("Command timed out")

/** A connection that swallows commands is given up: only a new one tells whether the server is there. */
const asOutage = (redis: Redis, of: string, during: string) => (cause: unknown) => {
  if (isTimeout(cause)) redis.disconnect(true)
  return new Outage({ of, during, cause })
}

const patience = (options: RedisOptions) =>
  Schedule.max([
    Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("1 second")]).pipe(Schedule.jittered),
    Schedule.during(options.startMs ?? START_MS)
  ])

/** A client that lost its first connection retries by itself; asking it to connect then is an error that says nothing. */
const connected = (redis: Redis): Promise<unknown> => (redis.status === "wait" ? redis.connect() : redis.ping())

export const layer = (options: RedisOptions): Layer.Layer<RedisClient, Outage> =>
  Layer.effect(
    RedisClient,
    Effect.gen(function* () {
      const redis = yield* Effect.acquireRelease(
        Effect.sync(() => open(options)),
        (opened) => Effect.sync(() => opened.disconnect())
      )
      const tag = `{${options.prefix ?? PREFIX}}`
      const run = <A>(of: string, during: string, command: (client: Redis) => Promise<A>) =>
        Effect.tryPromise({ try: () => command(redis), catch: asOutage(redis, of, during) })
      for (const [name, lua] of Object.entries(SCRIPTS)) redis.defineCommand(name, { numberOfKeys: 1, lua })
      yield* Effect.retry(
        run("Redis", "connect", (client) => connected(client)),
        patience(options)
      )
      return RedisClient.of({
        tag,
        run,
        script: (of, during, args, key = tag) => run(of, during, (client) => call(client, during, [key, ...args])),
        listener: (of, during) => listener(options, of, during)
      })
    })
  )

type Commands = Redis & Record<ScriptName, (...args: ReadonlyArray<string | number>) => Promise<unknown>>

const call = (redis: Redis, name: ScriptName, args: ReadonlyArray<string | number>): Promise<unknown> =>
  (redis as Commands)[name](...args)

/** It does not come back by itself: who listens has missed something by then, and has to begin anew. */
const listener = (options: RedisOptions, of: string, during: string) =>
  Effect.gen(function* () {
    const redis = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const opened = new Redis(Redacted.value(options.url), { ...driverOptions(options), retryStrategy: null })
        opened.on("error", () => undefined)
        return opened
      }),
      (opened) => Effect.sync(() => opened.disconnect())
    )
    yield* Effect.tryPromise({ try: () => redis.connect(), catch: (cause) => new Outage({ of, during, cause }) })
    return redis
  })
