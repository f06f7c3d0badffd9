/**
 * The pool of connections to the one database of the records, with its indexes made before anybody gets it. A server that is away, or hangs, shows as an
 * Outage in about two seconds, and the driver comes back by itself. Nothing here needs a transaction, a change stream or the driver's own retries:
 * every write of this room is of one document, and may be repeated. A call that was given up may still arrive at a server that hung, and much later;
 * therefore each write is guarded so that it changes nothing once a newer one stands.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import { type Db, GridFSBucket, MongoClient as Driver, type MongoClientOptions } from "mongodb"
import type { Outage } from "../Outage.ts"
import { type Collections, collectionsOf, FILES_BUCKET } from "./Collections.ts"
import { makeIndexes } from "./Indexes.ts"
import { attempt, type During, isRefused } from "./MongoErrors.ts"

export type { During } from "./MongoErrors.ts"

export interface MongoOptions {
  /** `mongodb://` or `mongodb+srv://`; a database that it names is not used. */
  readonly url: Redacted.Redacted
  /** One installation's documents; daemons of one cluster share it. */
  readonly database?: string
  readonly connectionsMax?: number
  /** How long a daemon that starts waits for a server that is not there yet. */
  readonly startMs?: number
  /** How long a call waits for an answer before it takes the server for gone. */
  readonly answerMs?: number
}

export class MongoClient extends Context.Service<
  MongoClient,
  {
    readonly db: Db
    readonly collections: Collections
    /** Texts that would not fit into a document. */
    readonly files: GridFSBucket
    readonly run: <A>(during: During, operation: () => Promise<A>) => Effect.Effect<A, Outage>
    /** For what moves megabytes or looks at very many documents. */
    readonly runLong: <A>(during: During, operation: () => Promise<A>) => Effect.Effect<A, Outage>
  }
>()("resultity/layers/mongodb/MongoClient") {}

/** Survives the loss of a server. */
export const DURABLE = { writeConcern: { w: "majority", journal: true } } as const
/** Survives the death of a daemon. */
export const LASTING = { writeConcern: { w: 1 } } as const

/** Searches, sums and lists may be read from a member that lags a little behind; how a job stands is always read from the primary. */
export const SEARCHING = { readPreference: "secondaryPreferred" } as const

export const DATABASE = "resultity"
const CONNECTIONS_MAX = 20
const START_MS = 60_000
const ANSWER_MS = 2_000
const LONG_MS = 60_000
const CLOSE_MS = 2_000
/** An index that takes longer is being made all the same, and waited for by the next attempt. */
const BEGIN_MS = 15_000
const HEARTBEAT_MS = 500
const IDLE_MS = 60_000

const driverOptions = (connectionsMax: number, answerMs: number): MongoClientOptions => ({
  appName: "resultity",
  maxPoolSize: connectionsMax,
  maxIdleTimeMS: IDLE_MS,
  serverSelectionTimeoutMS: answerMs,
  connectTimeoutMS: answerMs,
  waitQueueTimeoutMS: answerMs,
  // A monitor that hears nothing for `connectTimeoutMS` breaks all connections to its server, and so ends what waits on them.
  heartbeatFrequencyMS: HEARTBEAT_MS,
  serverMonitoringMode: "poll",
  socketTimeoutMS: LONG_MS,
  // Whoever reads decides by what he reads.
  readPreference: "primary",
  ...DURABLE,
  // Whatever is repeated is repeated by those who know what they wrote.
  retryWrites: false,
  retryReads: false,
  ignoreUndefined: true,
  // Amounts are 64-bit integers and must not pass through a double.
  useBigInt64: true
})

const patience = (startMs: number) =>
  Schedule.max([
    Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("2 seconds")]).pipe(Schedule.jittered),
    Schedule.during(startMs)
  ])

const start: During = { of: "MongoDB", method: "start" }

const open = (options: MongoOptions, answerMs: number) => {
  const client = new Driver(
    Redacted.value(options.url),
    driverOptions(options.connectionsMax ?? CONNECTIONS_MAX, answerMs)
  )
  // Each operation fails with the same; an event without a listener would end the process.
  client.on("error", () => {})
  return client
}

/** A server that is away is not waited for. */
const close = (client: Driver) =>
  Effect.tryPromise(() => client.close(true)).pipe(Effect.timeoutOption(CLOSE_MS), Effect.ignore)

export const layer = (options: MongoOptions): Layer.Layer<MongoClient, Outage> =>
  Layer.effect(
    MongoClient,
    Effect.gen(function* () {
      const { answerMs = ANSWER_MS, startMs = START_MS } = options
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => open(options, answerMs)),
        close
      )
      const db = client.db(options.database ?? DATABASE)
      const begin = async () => {
        // Each time: a client whose first connect failed is closed for good to whoever does not connect it again.
        await client.connect()
        await makeIndexes(db)
      }
      yield* Effect.retry(attempt(start, begin, BEGIN_MS), {
        schedule: patience(startMs),
        while: (outage) => !isRefused(outage)
      })
      return MongoClient.of({
        db,
        collections: collectionsOf(db),
        files: new GridFSBucket(db, { bucketName: FILES_BUCKET }),
        run: (during, operation) => attempt(during, operation, answerMs),
        runLong: (during, operation) => attempt(during, operation, LONG_MS)
      })
    })
  )
