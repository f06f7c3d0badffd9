/**
 * Names of one run within the servers, so that nobody else's data is touched and nothing of an earlier run is found: a database in each, named as the
 * installation is, and a virtual host of the broker. Also what wipes them: everything of ours in Redis, everything of ours in RabbitMQ.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { Effect, Redacted } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import { Redis } from "ioredis"
import { type Db, MongoClient } from "mongodb"
import type { ServerUrls } from "./Servers.ts"

export type StoreUrls = Readonly<Record<"postgres" | "mongodb" | "redis" | "rabbitmq", string>>

export interface RunStores {
  readonly urls: StoreUrls
  readonly flushRedis: () => Promise<void>
  /** null: without a management API nothing can be wiped. */
  readonly wipeRabbit: (() => Promise<void>) | null
  /** Makes the open records older by so much, as if they had been left behind for that long. */
  readonly ageRecords: (ms: number) => Promise<void>
  readonly remove: () => Promise<void>
}

/** Redis has numbers instead of names; ours is none that anybody begins with. */
const REDIS_NUMBER = 9

const withPath = (url: string, path: string): string => {
  const parsed = new URL(url)
  parsed.pathname = `/${path}`
  return parsed.href
}

export const openStores = async (servers: ServerUrls, name: string): Promise<RunStores> => {
  const order = (text: string) => orderPostgres(servers.postgres, text)
  await order(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`)
  await order(`CREATE DATABASE "${name}"`)
  const broker = servers.management === null ? null : virtualHost(servers.management, name)
  await broker?.make()
  const urls: StoreUrls = {
    postgres: withPath(servers.postgres, name),
    mongodb: withPath(servers.mongodb, name),
    redis: withPath(servers.redis, String(REDIS_NUMBER)),
    rabbitmq: broker === null ? servers.rabbitmq : withPath(servers.rabbitmq, name)
  }
  const flushRedis = () => orderRedis(urls.redis)
  await flushRedis()
  return {
    urls,
    flushRedis,
    wipeRabbit:
      broker === null
        ? null
        : async () => {
            await broker.remove()
            await broker.make()
          },
    ageRecords: (ms) =>
      withMongo(urls.mongodb, async (db) => {
        await db.collection("jobs").updateMany({ completeness: "open" }, { $inc: { createdAt: -ms } })
      }),
    remove: async () => {
      await order(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`)
      await flushRedis()
      await broker?.remove()
      await withMongo(urls.mongodb, async (db) => void (await db.dropDatabase()))
    }
  }
}

const orderPostgres = (url: string, text: string): Promise<void> =>
  Effect.runPromise(
    Effect.gen(function* () {
      const sql = yield* PgClient.make({ url: Redacted.make(url), maxConnections: 1 })
      yield* sql.unsafe(text)
    }).pipe(Effect.scoped, Effect.provide(Reactivity.layer))
  )

const orderRedis = async (url: string): Promise<void> => {
  const redis = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 1, retryStrategy: () => null })
  redis.on("error", () => undefined)
  try {
    await redis.connect()
    await redis.flushdb()
  } finally {
    redis.disconnect()
  }
}

const withMongo = async (url: string, work: (db: Db) => Promise<void>): Promise<void> => {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 5_000 })
  try {
    await work(client.db())
  } finally {
    await client.close()
  }
}

const virtualHost = (management: string, name: string) => {
  const { origin, username, password } = new URL(management)
  const authorization = `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString("base64")}`
  const say = async (method: string, path: string, body?: object): Promise<void> => {
    const response = await fetch(`${origin}/api/${path}`, {
      method,
      headers: { authorization, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    await response.arrayBuffer()
    if (response.status >= 300 && !(method === "DELETE" && response.status === 404))
      throw new Error(`${method} ${path}: ${response.status}`)
  }
  const user = decodeURIComponent(username)
  return {
    make: async () => {
      await say("PUT", `vhosts/${name}`, {})
      await say("PUT", `permissions/${name}/${user}`, { configure: ".*", write: ".*", read: ".*" })
    },
    remove: () => say("DELETE", `vhosts/${name}`)
  }
}
