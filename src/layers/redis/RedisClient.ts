/**
 * The connection for commands and scripts, and connections of their own for who listens. A server that is away fails every call at once as an Outage,
 * and one that does not answer within a second too; nothing waits in memory for it. The connection for commands comes back by itself.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { Redis, type RedisOptions as DriverOptions } from "ioredis"
import type { Outage } from "../Outage.ts"
import { failureOf, isTimeout } from "./RedisErrors.ts"
import { SCRIPTS, type ScriptName } from "./Scripts.ts"

export interface RedisOptions {
  /** `redis://` or `rediss://`, with password and number of the database. */
  readonly url: Redacted.Redacted
  /** Of every key and channel; daemons of one cluster share it. Channels know no number of a database, so it tells installations of one server apart. */
  readonly prefix?: string
  /** How long a daemon that starts waits for a server that is not there yet. */
  readonly startMs?: number
  /** A command that has no answer by then failed, and its connection counts as half-open. */
  readonly commandMs?: number
}

export interface Ear {
  readonly message: (text: string) => void
  readonly close: () => void
}

export class RedisClient extends Context.Service<
  RedisClient,
  {
    /** `{prefix}`: in braces, so that all keys stand on one slot of a cluster. */
    readonly tag: string
    readonly run: <A>(of: string, during: string, command: (redis: Redis) => Promise<A>) => Effect.Effect<A, Outage>
    /** A script, atomically. Its first key is the tag, or the one that is given. One that answers nothing had too much to do, and is asked again. */
    readonly script: (
      of: string,
      during: ScriptName,
      args: ReadonlyArray<string | number>,
      key?: string
    ) => Effect.Effect<unknown, Outage>
    /**
     * Listens to a channel, on a connection of its own, until the scope closes. It never comes back by itself: whoever listens has missed something by
     * then and begins anew when he is told `close`, which he is as well when the server swallows what it is asked.
     */
    readonly listen: (of: string, during: string, channel: string, ear: Ear) => Effect.Effect<void, Outage, Scope.Scope>
  }
>()("resultity/layers/redis/RedisClient") {}

export const PREFIX = "resultity"
const START_MS = 60_000
const COMMAND_MS = 1_000
const CONNECT_MS = 2_000
const RECONNECT_MAX_MS = 1_000
const KEEP_ALIVE_MS = 5_000
/** A connection that is given up is broken off by then, although the other end says nothing. */
const DISCONNECT_MS = 250
const PING_EVERY_MS = 1_000

const driverOptions = (options: RedisOptions): DriverOptions => ({
  lazyConnect: true,
  connectTimeout: CONNECT_MS,
  disconnectTimeout: DISCONNECT_MS,
  commandTimeout: options.commandMs ?? COMMAND_MS,
  // Calls of one turn leave in one write; those that come while it is under way wait for it, which no more than the command's time bounds.
  enableAutoPipelining: true,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  keepAlive: KEEP_ALIVE_MS
})

const open = (options: RedisOptions, retryStrategy: ((times: number) => number) | null) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const redis = new Redis(Redacted.value(options.url), { ...driverOptions(options), retryStrategy })
      // Without a listener an error would end the process; what matters of it fails the calls.
      redis.on("error", () => undefined)
      return redis
    }),
    (redis) => Effect.sync(() => redis.disconnect())
  )

/** Soon at first, then with a pause that is drawn by chance: a fleet of daemons lost the same server. */
const patientRetry =
  (chance: () => number) =>
  (times: number): number =>
    Math.ceil(Math.min(RECONNECT_MAX_MS, 25 * 2 ** Math.min(times, 10)) * (0.5 + chance() / 2))

const patience = (options: RedisOptions) =>
  Schedule.max([
    Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("1 second")]).pipe(Schedule.jittered),
    Schedule.during(options.startMs ?? START_MS)
  ])

const asked = <A>(redis: Redis, of: string, during: string, command: (redis: Redis) => Promise<A>) =>
  Effect.callback<A, Outage>((resume) => {
    command(redis).then(
      (answer) => resume(Effect.succeed(answer)),
      (cause: unknown) => {
        // A connection that swallows commands is given up: only a new one tells whether the server is there.
        if (isTimeout(cause)) redis.disconnect(true)
        resume(failureOf(of, during, cause))
      }
    )
  })

/** A client that lost its first connection retries by itself; asking it to connect then is an error that says nothing. */
const connected = (redis: Redis): Promise<unknown> => (redis.status === "wait" ? redis.connect() : redis.ping())

type Commands = Redis & Record<ScriptName, (...args: ReadonlyArray<string | number>) => Promise<unknown>>

export const layer = (options: RedisOptions): Layer.Layer<RedisClient, Outage> =>
  Layer.effect(
    RedisClient,
    Effect.gen(function* () {
      const random = yield* Random.Random
      const redis = yield* open(
        options,
        patientRetry(() => random.nextDoubleUnsafe())
      )
      const tag = `{${options.prefix ?? PREFIX}}`
      for (const [name, lua] of Object.entries(SCRIPTS)) redis.defineCommand(name, { numberOfKeys: 1, lua })
      yield* Effect.retry(asked(redis, "Redis", "connect", connected), patience(options))
      const script: RedisClient["Service"]["script"] = (of, during, args, key = tag) => {
        const once = asked(redis, of, during, (client) => (client as Commands)[during](key, ...args))
        const whole: Effect.Effect<unknown, Outage> = Effect.flatMap(once, (answer) =>
          answer === null ? whole : Effect.succeed(answer)
        )
        return whole
      }
      return RedisClient.of({
        tag,
        run: (of, during, command) => asked(redis, of, during, command),
        script,
        listen: (of, during, channel, ear) => listen(options, { of, during, channel, ear })
      })
    })
  )

interface Listening {
  readonly of: string
  readonly during: string
  readonly channel: string
  readonly ear: Ear
}

const listen = (options: RedisOptions, { of, during, channel, ear }: Listening) =>
  Effect.gen(function* () {
    const redis = yield* open(options, null)
    yield* asked(redis, of, during, connected)
    redis.on("message", (_channel: string, text: string) => ear.message(text))
    redis.on("close", () => ear.close())
    yield* asked(redis, of, during, (client) => client.subscribe(channel))
    // Who only listens never learns that nobody speaks any more; `asked` gives up a connection that does not answer.
    const watch = Effect.andThen(
      Effect.sleep(PING_EVERY_MS),
      asked(redis, of, during, (client) => client.ping())
    )
    yield* Effect.forkScoped(Effect.ignore(Effect.forever(watch)))
  })
