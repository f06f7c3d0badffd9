/** All that the servers hold of one installation, as text, so that a word can be looked for where it must be and where it must not. */
import * as PgClient from "@effect/sql-pg/PgClient"
import amqplib from "amqplib"
import { Effect, Redacted } from "effect"
import type { Redis } from "ioredis"
import { MongoClient } from "mongodb"
import { onTestFinished } from "vitest"
import { urlOf } from "./Installation.ts"

/** Texts by the name of the table, collection, key or exchange that holds them. */
export type Holdings = ReadonlyMap<string, string>

/** Names of those that hold the word. */
export const holdersOf = (holdings: Holdings, word: string): ReadonlyArray<string> =>
  [...holdings].flatMap(([name, text]) => (text.includes(word) ? [name] : [])).toSorted()

export const inPostgres = (installation: string): Promise<Holdings> =>
  Effect.gen(function* () {
    const { unsafe } = yield* PgClient.PgClient
    const tables = yield* unsafe<{ readonly name: string }>(
      `SELECT tablename AS name FROM pg_tables WHERE schemaname = '${installation}'`
    )
    const found = new Map<string, string>()
    for (const { name } of tables) {
      const rows = yield* unsafe<{ readonly row: string }>(
        `SELECT row_to_json(one)::text AS row FROM "${installation}"."${name}" AS one`
      )
      found.set(name, rows.map(({ row }) => row).join("\n"))
    }
    return found
  }).pipe(
    Effect.provide(PgClient.layer({ url: Redacted.make(urlOf("POSTGRES_URL")), maxConnections: 1 })),
    Effect.runPromise
  )

export const inMongo = async (installation: string): Promise<Holdings> => {
  const mongo = await new MongoClient(urlOf("MONGODB_URL")).connect()
  try {
    const collections = await mongo.db(installation).listCollections({}, { nameOnly: true }).toArray()
    const found = new Map<string, string>()
    for (const { name } of collections) {
      found.set(name, JSON.stringify(await mongo.db(installation).collection(name).find({}).toArray()))
    }
    return found
  } finally {
    await mongo.close()
  }
}

/** By type of key: each is read by a command of its own. */
const readKey = (redis: Redis, key: string, type: string): Promise<unknown> => {
  switch (type) {
    case "hash":
      return redis.hgetall(key)
    case "zset":
      return redis.zrange(key, 0, -1, "WITHSCORES")
    case "set":
      return redis.smembers(key)
    case "list":
      return redis.lrange(key, 0, -1)
    default:
      return redis.get(key)
  }
}

export const inRedis = async (redis: Redis, installation: string): Promise<Holdings> => {
  const found = new Map<string, string>()
  for await (const keys of redis.scanStream({ match: `*${installation}*`, count: 1000 })) {
    for (const key of keys as ReadonlyArray<string>) {
      found.set(key, JSON.stringify(await readKey(redis, key, await redis.type(key))))
    }
  }
  return found
}

/** Listens beside those whom messages are for: what passes from now on through the exchange under the key. */
export const tapBroker = async (
  installation: string,
  taps: ReadonlyArray<readonly [exchange: string, key: string]>
): Promise<() => Holdings> => {
  const connection = await amqplib.connect(urlOf("RABBITMQ_URL"))
  onTestFinished(() => connection.close())
  const channel = await connection.createChannel()
  const heard = new Map<string, string>()
  for (const [exchange, key] of taps) {
    const { queue } = await channel.assertQueue("", { exclusive: true })
    await channel.bindQueue(queue, `${installation}.${exchange}`, key)
    const hear = (message: amqplib.ConsumeMessage | null) => {
      heard.set(exchange, `${heard.get(exchange) ?? ""}${JSON.stringify(message?.properties)}${message?.content}\n`)
    }
    await channel.consume(queue, hear, { noAck: true })
  }
  return () => heard
}
