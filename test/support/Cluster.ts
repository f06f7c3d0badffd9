/**
 * Several daemon processes over the real servers, in an installation of their own that is gone after the test. Skipped, aloud, where the four servers
 * are not configured.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import amqplib from "amqplib"
import { Effect, Redacted } from "effect"
import { Redis } from "ioredis"
import { MongoClient } from "mongodb"
import { onTestFinished } from "vitest"
import { type Daemon, type DaemonOptions, newCustomer, startDaemon } from "./Daemon.ts"
import { lastingPort } from "./Process.ts"

const VARIABLES = ["POSTGRES_URL", "MONGODB_URL", "REDIS_URL", "RABBITMQ_URL"] as const

/** What is not configured; empty where a cluster can run. */
export const missingServers: ReadonlyArray<string> = VARIABLES.filter((name) => (process.env[name] ?? "") === "")

/** For the name of a suite that is skipped: why. */
export const whySkipped = missingServers.length === 0 ? "" : ` (skipped: set ${missingServers.join(", ")})`

const urlOf = (name: (typeof VARIABLES)[number]): string => process.env[name] ?? ""

/** Redis has databases by number: one for journeys, so that flushing it is nobody else's loss. */
const REDIS_DATABASE = 9

const redisUrl = (): string => {
  const url = new URL(urlOf("REDIS_URL"))
  url.pathname = `/${REDIS_DATABASE}`
  return url.href
}

export interface Cluster {
  readonly installation: string
  readonly daemons: ReadonlyArray<Daemon>
  /** One more, or one again: on its old port and folder when these are given. */
  readonly start: (options?: DaemonOptions) => Promise<Daemon>
  /** A customer's key that every daemon knows. */
  readonly key: string
  /** Where nodes connect: any of the first daemons. */
  readonly nodeUrls: ReadonlyArray<string>
  readonly redis: Redis
}

export interface ClusterOptions {
  readonly daemons: number
  readonly args?: ReadonlyArray<string>
}

let born = 0

export const startCluster = async ({ daemons: count, args = [] }: ClusterOptions): Promise<Cluster> => {
  const installation = `journey_${process.pid}_${Date.now().toString(36)}_${++born}`
  onTestFinished(() => drop(installation))
  const redis = new Redis(redisUrl())
  onTestFinished(() => redis.disconnect())
  const start = async (options: DaemonOptions = {}): Promise<Daemon> => {
    const flags = ["--profile=cluster", `--installation=${installation}`, ...args, ...(options.args ?? [])]
    const env = { REDIS_URL: redisUrl(), ...options.env }
    return startDaemon({ ...options, args: flags, env })
  }
  const daemons: Array<Daemon> = []
  for (let number = 0; number < count; number++) daemons.push(await start({ port: await lastingPort() }))
  const [first] = daemons
  if (first === undefined) throw new Error("a cluster has at least one daemon")
  const { key } = await newCustomer(first, { name: "journeys", credits: "1000000", ratePerSecond: 10_000 })
  return {
    installation,
    daemons: daemons.map((daemon) => ({ ...daemon, key })),
    start: async (options) => ({ ...(await start(options)), key }),
    key,
    nodeUrls: daemons.map(({ nodesUrl }) => nodesUrl),
    redis
  }
}

/** Forgets the installation, as far as the servers let us; what is left there runs out by itself. */
const drop = async (installation: string): Promise<void> => {
  await Promise.all([dropSchema(installation), dropDatabase(installation), dropLanes(installation)])
}

const dropSchema = (installation: string): Promise<void> =>
  Effect.gen(function* () {
    const { unsafe } = yield* PgClient.PgClient
    yield* unsafe(`DROP SCHEMA IF EXISTS "${installation}" CASCADE`)
  }).pipe(
    Effect.provide(PgClient.layer({ url: Redacted.make(urlOf("POSTGRES_URL")), maxConnections: 1 })),
    Effect.runPromise
  )

const dropDatabase = async (installation: string): Promise<void> => {
  const client = await new MongoClient(urlOf("MONGODB_URL")).connect()
  await client.db(installation).dropDatabase()
  await client.close()
}

const LANES = ["sim-small", "sim-embed"].flatMap((model) =>
  ["urgent", "normal", "bulk", "test"].map((priority) => `lane.testnet.global.${model}.${priority}`)
)

const dropLanes = async (installation: string): Promise<void> => {
  const connection = await amqplib.connect(urlOf("RABBITMQ_URL"))
  const channel = await connection.createChannel()
  for (const lane of LANES) await channel.deleteQueue(`${installation}.${lane}`)
  await connection.close()
}
