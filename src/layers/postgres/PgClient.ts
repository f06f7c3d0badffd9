/**
 * The pool of connections to the one schema of the PostgreSQL back ends, migrated before anybody gets it. Every connection carries bounds on how
 * long a statement, a lock or an idle transaction may take, so nothing of ours can wait for ever; a connection that dies is replaced by the next
 * call. Names are not schema-qualified anywhere: the search path holds our schema only.
 */
import * as Driver from "@effect/sql-pg/PgClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Reactivity from "effect/reactivity/Reactivity"
import type * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as SqlClient from "effect/sql/SqlClient"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import type { Outage } from "../Outage.ts"
import { migrate } from "./Migrations.ts"
import { type DatabaseNewer, type During, explained, isConflict, isOutage } from "./PgErrors.ts"
import { grantRuntime } from "./Privileges.ts"

export type { During } from "./PgErrors.ts"

export class PgClient extends Context.Service<
  PgClient,
  {
    readonly sql: SqlClient.SqlClient
    readonly schema: string
    /** One statement as one transaction. A deadlock or a serialization failure is tried again; what the driver says is not explained yet. */
    readonly raw: <Row extends object>(
      text: string,
      parameters?: ReadonlyArray<unknown>
    ) => Effect.Effect<ReadonlyArray<Row>, SqlError>
    /** One statement as one transaction. Rows come with `int8` as bigint. */
    readonly query: <Row extends object>(
      during: During,
      text: string,
      parameters?: ReadonlyArray<unknown>
    ) => Effect.Effect<ReadonlyArray<Row>, Outage>
    /** A question about all that there is: takes minutes if it must, and may read whole tables. */
    readonly survey: <Row extends object>(during: During, text: string) => Effect.Effect<ReadonlyArray<Row>, Outage>
    /** All of `body` or nothing. Tried again after a deadlock or a serialization failure, so `body` must not remember anything. */
    readonly transaction: <A, E = never>(
      during: During,
      body: Effect.Effect<A, E | SqlError>
    ) => Effect.Effect<A, Exclude<E, SqlError> | Outage>
  }
>()("resultity/layers/postgres/PgClient") {}

export interface PgOptions {
  readonly url: Redacted.Redacted
  /** One daemon's house within the database; daemons of one cluster share it. */
  readonly schema?: string
  readonly connectionsMax?: number
  /** What `pg_stat_activity` shows. */
  readonly applicationName?: string
  /** The role that owns the tables, when the daemon's own role is not it: it migrates, and gives the daemon's role what it needs and no more. */
  readonly ownerUrl?: Redacted.Redacted
  /** How long a daemon that starts waits for a server that is not there yet. */
  readonly startMs?: number
  /** How long a call waits for an answer before it takes the server for gone. */
  readonly answerMs?: number
}

export const SCHEMA = "resultity"
/** More than all batches that may be on their way at once: a heartbeat finds one free. */
const CONNECTIONS_MAX = 10
const START_MS = 60_000
const CONNECT_MS = 5_000
const KEEP_ALIVE_MS = 10_000
const IDLE_MS = 60_000

/** What the server ends by itself. Ours are all short, but for the surveys, which say so. */
const STATEMENT_MS = 10_000
const LOCK_MS = 5_000
const IDLE_IN_TRANSACTION_MS = 15_000
/** When the server does not even do that: it is frozen, or the network swallows what is sent. */
const ANSWER_MS = 15_000
/** For a question about all that there is. */
const SURVEY_MS = 600_000
/** Times that one statement is tried again when others are in its way. */
const CONFLICTS_MAX = 5

const driverConfig = (options: PgOptions, url: Redacted.Redacted): Driver.PgPoolConfig => ({
  url,
  maxConnections: options.connectionsMax ?? CONNECTIONS_MAX,
  minConnections: 0,
  idleTimeout: IDLE_MS,
  connectTimeout: CONNECT_MS,
  keepAlive: KEEP_ALIVE_MS,
  applicationName: options.applicationName ?? "resultity",
  startupParameters: {
    search_path: `"${(options.schema ?? SCHEMA).replaceAll('"', '""')}"`,
    statement_timeout: String(STATEMENT_MS),
    lock_timeout: String(LOCK_MS),
    idle_in_transaction_session_timeout: String(IDLE_IN_TRANSACTION_MS),
    default_transaction_isolation: "read committed",
    // A plan that is made while a table is young is kept while it grows. Every question of ours has an index, so no plan may do without.
    enable_seqscan: "off",
    jit: "off"
  }
})

const noAnswer = (answerMs: number) =>
  Effect.suspend(() => {
    const cause = new Error(`no answer in ${answerMs} ms`)
    return Effect.fail(new SqlError({ reason: new ConnectionError({ cause, message: cause.message }) }))
  })

const again = Schedule.exponential("2 millis").pipe(Schedule.jittered, Schedule.upTo({ times: CONFLICTS_MAX }))

/** Bounds the wait, and tries again what merely collided. */
const patiently = <A, E>(effect: Effect.Effect<A, E | SqlError>, answerMs: number): Effect.Effect<A, E | SqlError> =>
  effect.pipe(
    Effect.timeoutOrElse({ duration: answerMs, orElse: () => noAnswer(answerMs) }),
    Effect.retry({ schedule: again, while: (error) => error instanceof SqlError && isConflict(error) })
  )

const serviceOf = (
  sql: SqlClient.SqlClient,
  { schema = SCHEMA, answerMs = ANSWER_MS }: PgOptions
): PgClient["Service"] => {
  const raw: PgClient["Service"]["raw"] = <Row extends object>(
    text: string,
    parameters: ReadonlyArray<unknown> = []
  ): Effect.Effect<ReadonlyArray<Row>, SqlError> => patiently(sql.unsafe<Row>(text, parameters), answerMs)
  return PgClient.of({
    sql,
    schema,
    raw,
    query: <Row extends object>(during: During, text: string, parameters: ReadonlyArray<unknown> = []) =>
      explained(during)(raw<Row>(text, parameters)),
    survey: <Row extends object>(during: During, text: string) =>
      explained(during)(patiently(sql.withTransaction(surveyed<Row>(sql, text)), SURVEY_MS)),
    transaction: (during, body) => explained(during)(patiently(sql.withTransaction(body), answerMs))
  })
}

const surveyed = Effect.fnUntraced(function* <Row extends object>(sql: SqlClient.SqlClient, text: string) {
  yield* sql.unsafe("SET LOCAL enable_seqscan = on")
  yield* sql.unsafe(`SET LOCAL statement_timeout = ${SURVEY_MS}`)
  return yield* sql.unsafe<Row>(text)
})

const opening: During = { of: "PgClient", method: "open" }

const patience = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("2 seconds")]).pipe(
  Schedule.jittered
)

/** Waits for a server that comes up a little later than we do, for a bounded time. */
const whenThere = <A, E, R>(startMs: number, effect: Effect.Effect<A, E | SqlError, R>) =>
  Effect.gen(function* () {
    const until = (yield* Clock.currentTimeMillis) + startMs
    return yield* Effect.retry(effect, {
      schedule: patience,
      while: (error) =>
        Effect.map(
          Clock.currentTimeMillis,
          (now) => error instanceof SqlError && (isOutage(error) || isConflict(error)) && now < until
        )
    })
  })

const open = Effect.fnUntraced(function* (options: PgOptions) {
  const { url, startMs = START_MS } = options
  const sql = yield* Driver.make(driverConfig(options, url))
  yield* explained(opening)(whenThere(startMs, prepare(options, sql)))
  return Context.make(PgClient, serviceOf(sql, options)).pipe(Context.add(SqlClient.SqlClient, sql))
}, explained(opening))

/** With an owner, the schema is its own and the daemon's role only works in it. */
const prepare = Effect.fnUntraced(function* (options: PgOptions, sql: SqlClient.SqlClient) {
  const { ownerUrl, schema = SCHEMA } = options
  if (ownerUrl === undefined) return yield* migrate(sql, schema)
  const [role] = yield* sql.unsafe<{ name: string }>("SELECT current_user::text AS name")
  const owner = yield* Driver.make({ ...driverConfig(options, ownerUrl), maxConnections: 1 })
  yield* migrate(owner, schema)
  yield* grantRuntime(owner, schema, role?.name ?? "")
}, Effect.scoped)

/** Connects, waits for the server for a bounded time, migrates. */
export const layer = (options: PgOptions): Layer.Layer<PgClient | SqlClient.SqlClient, Outage | DatabaseNewer> =>
  Layer.effectContext(open(options)).pipe(Layer.provide(Reactivity.layer))
