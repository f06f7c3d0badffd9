/**
 * The pool of connections to the one database of the records, with its indexes made before anybody gets it. A server that is away, or hangs, shows as an
 * Outage within seconds; the driver comes back by itself. Nothing here needs a transaction, a change stream or a retry of the driver's: every write of
 * this room is of one document and may be repeated.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import { type Db, GridFSBucket, MongoClient as Driver, type MongoClientOptions } from "mongodb"
import { Outage } from "../Outage.ts"
import { type Collections, collectionsOf, makeIndexes } from "./Collections.ts"
import { attempt, type During } from "./MongoErrors.ts"

export type { During } from "./MongoErrors.ts"

export interface MongoOptions {
  /** `mongodb://` or `mongodb+srv://`; a database that it names is not used. */
  readonly url: Redacted.Redacted
  /** One installation's documents; daemons of one cluster share it. */
  readonly database?: string
  readonly connectionsMax?: number
  /** How long a daemon that starts waits for a server that is not there yet. */
  readonly startMs?: number
  /** What an operation may take, waiting for a connection included. */
  readonly operationMs?: number
}

export class MongoClient extends Context.Service<
  MongoClient,
  {
    readonly db: Db
    readonly collections: Collections
    /** Texts that would not fit into a document. */
    readonly files: GridFSBucket
    readonly run: <A>(during: During, operation: () => Promise<A>) => Effect.Effect<A, Outage>
  }
>()("resultity/layers/mongodb/MongoClient") {}

export const DATABASE = "resultity"
const CONNECTIONS_MAX = 20
const START_MS = 60_000
const SELECT_MS = 2_000
const OPERATION_MS = 2_500
const HEARTBEAT_MS = 1_000
/** A server that is away would have its goodbye waited for. */
const CLOSE_MAX = "2 seconds"

const driverOptions = (options: MongoOptions): MongoClientOptions => ({
  appName: "resultity",
  maxPoolSize: options.connectionsMax ?? CONNECTIONS_MAX,
  serverSelectionTimeoutMS: SELECT_MS,
  connectTimeoutMS: SELECT_MS,
  waitQueueTimeoutMS: SELECT_MS,
  heartbeatFrequencyMS: HEARTBEAT_MS,
  socketTimeoutMS: options.operationMs ?? OPERATION_MS,
  // Whatever is repeated is repeated by those who know what they wrote.
  retryWrites: false,
  retryReads: false,
  ignoreUndefined: true,
  // Amounts are 64-bit integers and must not pass through a double.
  useBigInt64: true
})

const patience = (options: MongoOptions) =>
  Schedule.max([
    Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("2 seconds")]).pipe(Schedule.jittered),
    Schedule.during(options.startMs ?? START_MS)
  ])

/** Several round trips, each with the driver's own bound. The driver waits for ever on a connection that broke just as it was handed out. */
const ROUND_TRIPS = 4

const bounded = <A>({ of, method }: During, effect: Effect.Effect<A, Outage>, operationMs: number) =>
  Effect.timeoutOrElse(effect, {
    duration: ROUND_TRIPS * operationMs,
    orElse: () => Effect.fail(new Outage({ of, during: method, cause: new Error("no answer in time") }))
  })

const start: During = { of: "MongoDB", method: "start" }

export const layer = (options: MongoOptions): Layer.Layer<MongoClient, Outage> =>
  Layer.effect(
    MongoClient,
    Effect.gen(function* () {
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => new Driver(Redacted.value(options.url), driverOptions(options))),
        (opened) =>
          Effect.timeoutOption(
            Effect.promise(() => opened.close(true).catch(() => undefined)),
            CLOSE_MAX
          )
      )
      const db = client.db(options.database ?? DATABASE)
      yield* Effect.retry(
        attempt(start, () => makeIndexes(db)),
        patience(options)
      )
      return MongoClient.of({
        db,
        collections: collectionsOf(db),
        files: new GridFSBucket(db, { bucketName: "texts" }),
        run: (during, operation) => bounded(during, attempt(during, operation), options.operationMs ?? OPERATION_MS)
      })
    })
  )
