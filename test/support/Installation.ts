/** The servers of a cluster as the environment names them, and the end of an installation on them. */
import * as PgClient from "@effect/sql-pg/PgClient"
import amqplib from "amqplib"
import { Effect, Redacted } from "effect"
import { MongoClient } from "mongodb"

const VARIABLES = ["POSTGRES_URL", "MONGODB_URL", "REDIS_URL", "RABBITMQ_URL"] as const

/** What is not configured; empty where a cluster can run. */
export const missingServers: ReadonlyArray<string> = VARIABLES.filter((name) => (process.env[name] ?? "") === "")

export const urlOf = (name: (typeof VARIABLES)[number]): string => process.env[name] ?? ""

/** Forgets the installation, as far as the servers let us; what is left there runs out by itself. */
export const dropInstallation = async (installation: string): Promise<void> => {
  await Promise.all([dropSchema(installation), dropDatabase(installation), dropLanes(installation)])
}

/** Statements, one after the other, by whoever the URL names. */
export const orderPostgres = (statements: ReadonlyArray<string>, url: string = urlOf("POSTGRES_URL")): Promise<void> =>
  Effect.gen(function* () {
    const { unsafe } = yield* PgClient.PgClient
    for (const statement of statements) yield* unsafe(statement)
  }).pipe(Effect.provide(PgClient.layer({ url: Redacted.make(url), maxConnections: 1 })), Effect.runPromise)

const dropSchema = (installation: string): Promise<void> =>
  orderPostgres([`DROP SCHEMA IF EXISTS "${installation}" CASCADE`])

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
