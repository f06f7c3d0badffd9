/**
 * A database of its own for each test file on the Redis that `REDIS_URL` names: no other file's or run's keys are in it, so that it may be flushed. Redis
 * has few of them and no list of who uses which, so a file claims one by a key in the first database.
 */
import { randomBytes } from "node:crypto"
import { Effect, Layer, Redacted, type Scope } from "effect"
import { Redis } from "ioredis"
import { afterAll, beforeAll, describe, it } from "vitest"
import type { Leases } from "../../../src/layers/Leases.ts"
import type { LiveNodes } from "../../../src/layers/LiveNodes.ts"
import type { Outage } from "../../../src/layers/Outage.ts"
import type { RateLimits } from "../../../src/layers/RateLimits.ts"
import type { Relay } from "../../../src/layers/Relay.ts"
import type { RedisOptions } from "../../../src/layers/redis/RedisClient.ts"
import * as RedisLive from "../../../src/layers/redis/RedisLive.ts"
import { TcpProxy } from "../../support/TcpProxy.ts"
import { until } from "../../support/Until.ts"

export const { REDIS_URL = "" } = process.env

export type Live = LiveNodes | Leases | RateLimits | Relay

/** `describe`, skipped aloud where there is no server. */
export const withRedis = (what: string, suites: () => void): void => {
  if (REDIS_URL === "") {
    console.warn(`skipped: ${what}; set REDIS_URL to a Redis server`)
    // Not the suites themselves, which would count as covered.
    describe.skip(what, () => it("needs a server", () => {}))
  } else describe(what, suites)
}

const DATABASES = [10, 11, 12, 13, 14, 15]
/** A run that was killed gives its database back by then. */
const CLAIMED_MS = 300_000
/** Longer than any key of ours lasts. */
const USED_MS = 7 * 24 * 3_600_000

const claimKey = (database: number) => `test-database:${database}`
/** What is in it is a test's that was killed, and may be flushed; anything else in there is somebody's. */
const usedKey = (database: number) => `test-database-used:${database}`

const mayFlush = async (first: Redis, url: string, database: number): Promise<boolean> => {
  if ((await first.exists(usedKey(database))) === 1) return true
  const at = new URL(url)
  at.pathname = `/${database}`
  const redis = new Redis(at.href)
  const size = await redis.dbsize()
  redis.disconnect()
  return size === 0
}

/** Another process that gives one back says so to nobody, so this looks again until there is one. */
const claim = (first: Redis, by: string): Promise<number> =>
  until("a database of Redis that nobody uses", async () => {
    for (const database of DATABASES) {
      if ((await first.set(claimKey(database), by, "PX", CLAIMED_MS, "NX")) !== "OK") continue
      if (await mayFlush(first, REDIS_URL, database)) {
        await first.set(usedKey(database), by, "PX", USED_MS)
        return database
      }
      await first.del(claimKey(database))
    }
    return null
  })

interface Opened {
  readonly raw: Redis
  readonly proxy: TcpProxy
  /** The database where claims stand. */
  readonly first: Redis
  readonly database: number
}

export class RedisRig {
  readonly prefix = `test-${randomBytes(6).toString("hex")}`
  readonly tag = `{${this.prefix}}`
  private opened: Opened | null = null

  /** To be called where a test file begins: gives the database back, empty, when it ends. */
  constructor() {
    const by = randomBytes(8).toString("hex")
    beforeAll(async () => {
      const first = new Redis(REDIS_URL)
      const database = await claim(first, by)
      const url = new URL(REDIS_URL)
      const proxy = await TcpProxy.start({ host: url.hostname, port: Number(url.port === "" ? 6379 : url.port) })
      url.pathname = `/${database}`
      const raw = new Redis(url.href)
      this.opened = { raw, proxy, first, database }
      await raw.flushdb()
    })
    afterAll(async () => {
      if (this.opened === null) return
      const { raw, proxy, first, database } = this.opened
      // Before it is given back: nobody else's keys are in it yet.
      if ((await first.get(claimKey(database))) === by) {
        await raw.flushdb()
        await first.del(usedKey(database), claimKey(database))
      }
      raw.disconnect()
      first.disconnect()
      await proxy.stop()
    })
  }

  private get open() {
    if (this.opened === null) throw new Error("the rig is built before the first test of the file")
    return this.opened
  }

  /** For tests that look behind the doors. */
  get raw(): Redis {
    return this.open.raw
  }

  get proxy(): TcpProxy {
    return this.open.proxy
  }

  /** Through the proxy, which passes until it is told otherwise. */
  options(over: Partial<RedisOptions> = {}): RedisOptions {
    const url = new URL(REDIS_URL)
    url.hostname = "127.0.0.1"
    url.port = String(this.proxy.port)
    url.pathname = `/${this.raw.options.db ?? 0}`
    return { url: Redacted.make(url.href), prefix: this.prefix, commandMs: 500, ...over }
  }

  /** Not before the first test: what the layers need is there only then. */
  readonly layer: Layer.Layer<Live, Outage> = Layer.suspend(() => RedisLive.layer(this.options()))

  /** One more daemon's client, on connections of its own. */
  readonly client = (over: Partial<RedisOptions> = {}) =>
    Effect.suspend(() => Layer.build(Layer.fresh(RedisLive.layer(this.options(over)))))

  readonly keys = Effect.promise(() => this.raw.keys("*"))

  readonly wipe = Effect.promise(() => this.raw.flushdb())
}

/** A test with one client of the rig. */
export const alive = <A, E>(rig: RedisRig, body: Effect.Effect<A, E, Live | Scope.Scope>): Promise<A> =>
  Effect.runPromise(Effect.scoped(Effect.provide(body, Layer.fresh(rig.layer))))
