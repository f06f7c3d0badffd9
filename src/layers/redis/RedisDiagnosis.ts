/**
 * Examines a Redis server as a daemon would meet it: with its user, its scripts and its channels. Writes one key under the installation's tag, which goes
 * by itself within a second. What is in there may be lost at any time, so nothing here asks how it is kept.
 */
import { randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Redis } from "ioredis"
import {
  ask,
  bad,
  type Check,
  clock,
  examined,
  type Finding,
  good,
  majorOf,
  size,
  speed,
  unanswered,
  type Verdict,
  warning
} from "../Diagnosis.ts"

export interface RedisDiagnosisOptions {
  readonly url: Redacted.Redacted
  readonly prefix: string
}

const SERVER = "Redis"
const VERSION_MIN = 7
const ANSWER_MS = 2_500
const PROBE_MS = 1_000
const FULL_WARNING = 0.8
const FULL_BAD = 0.95
const CROWDED = 0.9

const CHECK_URL =
  "Check REDIS_URL (host, port, user, password, number of the database, rediss:// for TLS) and that the server runs."
const CHECK_SERVER = "Check what listens at REDIS_URL."

const open = ({ url }: RedisDiagnosisOptions) =>
  Effect.gen(function* () {
    let heard: Error | null = null
    const redis = yield* Effect.acquireRelease(
      Effect.try({
        try: () => {
          const opened = new Redis(Redacted.value(url), {
            lazyConnect: true,
            connectTimeout: ANSWER_MS,
            commandTimeout: ANSWER_MS,
            maxRetriesPerRequest: 0,
            retryStrategy: null
          })
          // Says why; the call that fails says only that the connection is closed.
          opened.on("error", (error: Error) => (heard ??= error))
          return opened
        },
        catch: unanswered
      }),
      (opened) => Effect.sync(() => opened.disconnect())
    )
    yield* Effect.mapError(
      ask(() => redis.connect()),
      (cause) => (heard === null ? cause : unanswered(heard))
    )
    return redis
  })

export const diagnose = (options: RedisDiagnosisOptions): Effect.Effect<ReadonlyArray<Finding>> =>
  examined(SERVER, { todo: CHECK_URL, open: open(options) }, (redis) => {
    const facts = (section: string) =>
      Effect.map(
        ask(() => redis.info(section)),
        factsOf
      )
    return [
      { what: "reachable", todo: CHECK_URL, verdict: speed(ask(() => redis.ping())) },
      { what: "version", todo: MAY_INFO, verdict: Effect.map(facts("server"), version) },
      { what: "clock", todo: CHECK_SERVER, verdict: clock(timeOf(redis)) },
      { what: "role", todo: MAY_INFO, verdict: Effect.map(facts("replication"), role) },
      { what: "cluster mode", todo: MAY_INFO, verdict: Effect.map(facts("cluster"), mode) },
      { what: "eviction", todo: MAY_INFO, verdict: Effect.map(facts("memory"), eviction) },
      { what: "memory", todo: MAY_INFO, verdict: Effect.map(facts("memory"), memory) },
      { what: "connections", todo: MAY_INFO, verdict: Effect.map(facts("clients"), connections) },
      scripts(redis, options),
      channels(redis, options)
    ]
  })

type Facts = ReadonlyMap<string, string>

const MAY_INFO = "Let the user ask: ACL SETUSER … +info +time +ping."

const factsOf = (info: string): Facts =>
  new Map(
    info.split(/\r?\n/).flatMap((line) => {
      const at = line.indexOf(":")
      return at > 0 ? [[line.slice(0, at), line.slice(at + 1)] as const] : []
    })
  )

const version = (facts: Facts): Verdict => {
  const said = facts.get("redis_version") ?? "unknown"
  const other = facts.get("server_name")
  const name = other === undefined ? said : `${said} (${other} ${facts.get(`${other}_version`) ?? ""})`
  return majorOf(said) >= VERSION_MIN
    ? good(name)
    : bad(name, `Upgrade it: ${VERSION_MIN} is the oldest that this program is made for.`)
}

const timeOf = (redis: Redis) =>
  Effect.map(
    ask(() => redis.time()),
    ([seconds, micros]) => Number(seconds) * 1000 + Number(micros) / 1000
  )

const role = (facts: Facts): Verdict =>
  facts.get("role") === "slave"
    ? bad("it is a replica and takes no writes", "Point REDIS_URL at the primary.")
    : good("it takes writes")

/** All keys of an installation stand on one slot, and the client of the daemons knows one server. */
const mode = (facts: Facts): Verdict =>
  facts.get("cluster_enabled") === "1"
    ? warning(
        "it is one node of a Redis Cluster, which daemons use as a single server",
        "Use a server without cluster mode: an installation's keys stand on one slot anyway, and are refused once that slot moves."
      )
    : good("off, as daemons want it")

const eviction = (facts: Facts): Verdict => {
  const policy = facts.get("maxmemory_policy") ?? "unknown"
  return policy === "noeviction"
    ? good("noeviction")
    : warning(
        policy,
        "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf: a lease that is evicted lets its node be overbooked."
      )
}

const memory = (facts: Facts): Verdict => {
  const [used, most] = [Number(facts.get("used_memory") ?? 0), Number(facts.get("maxmemory") ?? 0)]
  if (most === 0) return good(`${size(used)} used, without a limit`)
  const said = `${size(used)} of ${size(most)} used (${Math.floor((100 * used) / most)} %)`
  const todo =
    "Raise maxmemory, or find out who else keeps something here (redis-cli --bigkeys): full, it refuses every write."
  if (used > most * FULL_BAD) return bad(said, todo)
  return used > most * FULL_WARNING ? warning(said, todo) : good(said)
}

const connections = (facts: Facts): Verdict => {
  const [used, most] = [Number(facts.get("connected_clients") ?? 0), Number(facts.get("maxclients") ?? 0)]
  if (most === 0) return good(`${used}`)
  const said = `${used} of ${most} are taken`
  return used > most * CROWDED
    ? warning(said, "Raise maxclients, and the open-file limit of the server with it.")
    : good(said)
}

const PROBE = `redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return cjson.encode({ redis.call('GET', KEYS[1]), redis.call('TIME')[1] ~= nil })`

const scripts = (redis: Redis, { prefix }: RedisDiagnosisOptions): Check => ({
  what: "scripts",
  todo: `Let the user run them on the installation's keys: ACL SETUSER … ~{${prefix}}* &{${prefix}}* +@all -@admin -@dangerous.`,
  verdict: ask(async () => {
    const word = randomBytes(8).toString("hex")
    const answer = await redis.eval(PROBE, 1, `{${prefix}}:doctor:${word}`, word, PROBE_MS)
    return answer === JSON.stringify([word, true])
      ? good("they run, and write")
      : bad("they give back something else", CHECK_SERVER)
  })
})

/** A word that is published on one connection arrives on another. */
const channels = (redis: Redis, options: RedisDiagnosisOptions): Check => ({
  what: "channels",
  todo: `Let the user publish and subscribe: ACL SETUSER … &{${options.prefix}}* +@pubsub.`,
  verdict: Effect.gen(function* () {
    const ear = yield* open(options)
    const channel = `{${options.prefix}}:doctor:${randomBytes(8).toString("hex")}`
    yield* ask(() => ear.subscribe(channel))
    const heard = Effect.callback<string>((resume) => {
      ear.once("message", (_channel: string, text: string) => resume(Effect.succeed(text)))
    })
    const [text] = yield* Effect.all([heard, ask(() => redis.publish(channel, "probe"))], { concurrency: 2 })
    return text === "probe" ? good("what is published arrives") : bad("something else arrives", CHECK_SERVER)
  }).pipe(Effect.scoped)
})
