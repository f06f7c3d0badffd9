/** What stands in the way of a daemon on this Redis. Writes one key of its own, which expires. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Redis } from "ioredis"
import { ask, clockOf, failure, type Finding, judgeVersion, looked, ok, warning } from "../Diagnosis.ts"

const SUBJECT = "Redis"
const VERSION_MIN = 7
const CONNECT_MS = 5_000
const PROBE_MS = 10_000
const FULL_SHARE = 0.9

export const diagnose = (url: Redacted.Redacted, prefix: string): Effect.Effect<ReadonlyArray<Finding>> =>
  looked(
    SUBJECT,
    "Check REDIS_URL (host, port, password, rediss:// for TLS) and that the server runs.",
    Effect.gen(function* () {
      const redis = yield* Effect.acquireRelease(
        Effect.sync(() => open(url)),
        (opened) => Effect.sync(() => opened.disconnect())
      )
      yield* ask(() => connected(redis))
      const info = factsOf(yield* ask(() => redis.info()))
      const time = Effect.map(
        ask(() => redis.time()),
        ([seconds, micros]) => Number(seconds) * 1000 + Number(micros) / 1000
      )
      return [
        judgeVersion(SUBJECT, info.get("redis_version") ?? "unknown", VERSION_MIN),
        yield* clockOf(SUBJECT, time),
        info.get("role") === "slave"
          ? failure(SUBJECT, "it is a replica and takes no writes", "Point REDIS_URL at the primary.")
          : ok(SUBJECT, "it takes writes"),
        ...judgeMemory(info),
        yield* probe(redis, prefix)
      ]
    }).pipe(Effect.scoped)
  )

const open = (url: Redacted.Redacted): Redis =>
  new Redis(Redacted.value(url), { lazyConnect: true, connectTimeout: CONNECT_MS, retryStrategy: null })

/** The driver tells its listeners why it could not connect, and the caller only that it did not. */
const connected = async (redis: Redis): Promise<void> => {
  let why: unknown = null
  redis.on("error", (cause: unknown) => void (why ??= cause))
  try {
    await redis.connect()
  } catch (cause) {
    throw why ?? cause
  }
}

const factsOf = (info: string): ReadonlyMap<string, string> =>
  new Map(
    info.split(/\r?\n/).flatMap((line) => {
      const at = line.indexOf(":")
      return at > 0 ? [[line.slice(0, at), line.slice(at + 1)] as const] : []
    })
  )

const judgeMemory = (info: ReadonlyMap<string, string>): ReadonlyArray<Finding> => {
  const most = Number(info.get("maxmemory") ?? 0)
  const used = Number(info.get("used_memory") ?? 0)
  const policy = info.get("maxmemory_policy") ?? "unknown"
  const what = `${(used / 2 ** 20).toFixed(0)} MiB used, ${most === 0 ? "no limit" : `limit ${(most / 2 ** 20).toFixed(0)} MiB`}, policy ${policy}`
  if (most > 0 && policy !== "noeviction") {
    return [
      warning(
        SUBJECT,
        what,
        "Set maxmemory-policy noeviction: leases that are evicted let nodes be overbooked until they announce again."
      )
    ]
  }
  return most > 0 && used > most * FULL_SHARE ? [warning(SUBJECT, what, "Raise maxmemory.")] : [ok(SUBJECT, what)]
}

const probe = (redis: Redis, prefix: string) =>
  ask(async () => {
    await redis.eval("redis.call('set', KEYS[1], '1', 'px', ARGV[1]) return 1", 1, `{${prefix}}:doctor`, PROBE_MS)
    await redis.publish(`${prefix}:doctor`, "")
    return ok(SUBJECT, "this user may write, run scripts and publish")
  }).pipe(
    Effect.catch((cause) =>
      Effect.succeed(
        failure(
          SUBJECT,
          `this user may not do all that is needed: ${cause.message}`,
          `Allow it scripts, ~{${prefix}}:* and &${prefix}:* (ACL SETUSER).`
        )
      )
    )
  )
