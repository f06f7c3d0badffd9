/**
 * Examines a PostgreSQL server as a daemon would meet it: with its role, its settings of a connection and its schema. Reads what the server says of itself
 * and changes nothing; the one lock that it takes ends before the check does. What cannot be seen from a connection, it does not guess.
 */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import { randomInt } from "node:crypto"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import {
  bad,
  type Check,
  clock,
  examined,
  type Finding,
  good,
  speed,
  unanswered,
  type Verdict,
  warning
} from "../Diagnosis.ts"
import { quoted } from "./Migrations.ts"
import { migrations } from "./migrations/index.ts"
import { type Ask, connections, durability, networkKeys, oldTransactions, sizes } from "./PgServerChecks.ts"
import { text } from "./PgValues.ts"

export interface PgDiagnosisOptions {
  readonly url: Redacted.Redacted
  readonly schema: string
}

const SERVER = "PostgreSQL"
const CONNECT_MS = 2_500
const STATEMENT_MS = 2_500
/** What is tested every day. */
const VERSION_TESTED = 18
/** The oldest that has all that the statements use. */
const VERSION_MIN = 16

const CHECK_URL =
  "Check POSTGRES_URL (host, port, database, user, password, sslmode), that the server runs, and that its pg_hba.conf lets this machine in."

/** Sent with the first packet, as a daemon does: some poolers refuse it or forget it. */
const SESSION = {
  lock_timeout: String(STATEMENT_MS),
  idle_in_transaction_session_timeout: "15000",
  default_transaction_isolation: "read committed",
  jit: "off"
}

/** One row; every statement here has exactly one. */
const askOver =
  (connection: PgConnection.PgConnection): Ask =>
  <Row extends object>(statement: string, ...parameters: ReadonlyArray<string>) =>
    Effect.flatMap(connection.query(statement, parameters.map(text), false), ({ rows }) =>
      rows[0] === undefined ? Effect.fail(unanswered("it answers nothing")) : Effect.succeed(rows[0] as Row)
    )

const connect = ({ url, schema }: PgDiagnosisOptions, parameters: Readonly<Record<string, string>>) =>
  PgConnection.make({
    url,
    connectTimeout: CONNECT_MS,
    applicationName: "resultity doctor",
    prepare: false,
    startupParameters: { ...parameters, ...(parameters === SESSION ? { search_path: quoted(schema) } : {}) }
  })

export const diagnose = (options: PgDiagnosisOptions): Effect.Effect<ReadonlyArray<Finding>> =>
  examined(SERVER, { todo: CHECK_URL, open: connect(options, {}) }, (connection) => {
    const ask = askOver(connection)
    return [
      { what: "reachable", todo: CHECK_URL, verdict: speed(ask("SELECT 1 AS one")) },
      { what: "version", todo: "Check what listens at POSTGRES_URL.", verdict: version(ask) },
      { what: "clock", todo: "Check what listens at POSTGRES_URL.", verdict: clock(timeOf(ask)) },
      session(options, connection),
      { what: "takes writes", todo: "Point POSTGRES_URL at the primary.", verdict: writable(ask) },
      { what: "rights", todo: GIVE_RIGHTS, verdict: rights(ask, options.schema) },
      { what: "migrations", todo: GIVE_RIGHTS, verdict: migrated(ask, options.schema) },
      durability(ask),
      connections(ask),
      oldTransactions(ask),
      networkKeys(ask, options.schema),
      sizes(ask, options.schema)
    ]
  })

const version = (ask: Ask) =>
  Effect.map(
    ask<{ number: number; said: string; encoding: string }>(
      `SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS said,
        current_setting('server_encoding') AS encoding`
    ),
    ({ number, said, encoding }): ReadonlyArray<Verdict> => {
      const major = Math.floor(number / 10_000)
      const tested = major === VERSION_TESTED ? said : `${said}; ${VERSION_TESTED} is what is tested`
      return [
        major < VERSION_MIN
          ? bad(said, `Upgrade it: ${VERSION_MIN} is the oldest that works, ${VERSION_TESTED} is what is tested.`)
          : good(tested),
        ...(encoding === "UTF8"
          ? []
          : [
              bad(
                `the database is encoded as ${encoding}`,
                "Make a database with ENCODING 'UTF8': names of models and of customers may hold any character."
              )
            ])
      ]
    }
  )

const timeOf = (ask: Ask) =>
  Effect.map(
    ask<{ now: number }>("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now"),
    ({ now }) => now
  )

const DIRECT =
  "Let POSTGRES_URL lead to the server itself or to a pooler in session mode (PgBouncer: pool_mode = session): daemons tell by locks of their connections who is alive."

/** Enough for a pooler that hands its connections out in turn to show. */
const STATEMENTS = 4

/** Whether a connection is one: the same server process for every statement, also while others work, so that its locks and settings hold. */
const session = (options: PgDiagnosisOptions, connection: PgConnection.PgConnection): Check => ({
  what: "sessions",
  todo: DIRECT,
  verdict: Effect.gen(function* () {
    const ask = askOver(connection)
    const other = yield* connect(options, SESSION)
    const pidOf = (through: Ask) => through<{ pid: number }>("SELECT pg_backend_pid() AS pid")
    const pids = yield* Effect.replicateEffect(pidOf(ask), STATEMENTS)
    // A pooler of transactions gives this one the server's connection that the first one has just left, and keeps it there.
    yield* other.query("BEGIN", [], false)
    const { pid: beside } = yield* pidOf(askOver(other))
    const { pid: after } = yield* pidOf(ask)
    yield* other.query("ROLLBACK", [], false)
    const { timeout } = yield* askOver(other)<{ timeout: string }>(
      "SELECT current_setting('idle_in_transaction_session_timeout') AS timeout"
    )
    if (pids.some(({ pid }) => pid !== after) || after === beside) {
      return bad(
        "statements of one connection reach different server processes: a transaction pooler is in between",
        DIRECT
      )
    }
    if (!(yield* holdsLock(ask, askOver(other))))
      return bad("an advisory lock does not hold between statements", DIRECT)
    if (timeout !== "15s") return bad("settings of a connection get lost on the way", DIRECT)
    return connection.processId === after
      ? good("a connection keeps its locks and settings")
      : warning(
          "a pooler is in between, in session mode",
          "Take care that it allows as many connections as all daemons need, and does not end idle ones."
        )
  }).pipe(Effect.scoped)
})

/** Taken on one connection, seen from the other, and given back. */
const holdsLock = Effect.fnUntraced(function* (ask: Ask, other: Ask) {
  const key = String(randomInt(2 ** 40))
  const { taken } = yield* ask<{ taken: boolean }>("SELECT pg_try_advisory_lock($1::text::int8) AS taken", key)
  const { free } = yield* other<{ free: boolean }>("SELECT pg_try_advisory_xact_lock($1::text::int8) AS free", key)
  const { given } = yield* ask<{ given: boolean }>("SELECT pg_advisory_unlock($1::text::int8) AS given", key)
  return taken && !free && given
})

const writable = (ask: Ask) =>
  Effect.map(
    ask<{ standby: boolean; readonly: string }>(
      "SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') AS readonly"
    ),
    ({ standby, readonly }) => {
      if (standby) return bad("it is a standby", "Point POSTGRES_URL at the primary.")
      return readonly === "on"
        ? bad(
            "transactions are read-only by default",
            "ALTER ROLE … RESET default_transaction_read_only, and the same for the database and in postgresql.conf."
          )
        : good("yes")
    }
  )

const GIVE_RIGHTS = "Let the daemons' role own the schema: ALTER SCHEMA … OWNER TO …; the same for its tables."

interface Rights {
  readonly role: string
  readonly there: boolean
  readonly uses: boolean
  readonly makes: boolean
  readonly founds: boolean
  readonly lacking: string | null
}

const RIGHTS = `SELECT current_user::text AS role, schema.oid IS NOT NULL AS there,
  coalesce(has_schema_privilege(schema.oid, 'USAGE'), false) AS uses,
  coalesce(has_schema_privilege(schema.oid, 'CREATE'), false) AS makes,
  has_database_privilege(current_database(), 'CREATE') AS founds,
  (SELECT string_agg(relname::text, ', ') FROM (
    SELECT relname FROM pg_class WHERE relnamespace = schema.oid AND relkind IN ('r', 'p')
      AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')) ORDER BY relname LIMIT 5
  ) AS closed) AS lacking
  FROM (SELECT to_regnamespace($1::text)::oid AS oid) AS schema`

const rights = (ask: Ask, schema: string) =>
  Effect.map(ask<Rights>(RIGHTS, quoted(schema)), ({ role, there, uses, makes, founds, lacking }) => {
    const [where, whom] = [quoted(schema), quoted(role)]
    if (!there) {
      return founds
        ? good(`schema ${schema} is not there yet; the first daemon makes it`)
        : bad(
            `schema ${schema} is not there and role ${role} may not make it`,
            `As an owner of the database: CREATE SCHEMA ${where} AUTHORIZATION ${whom};`
          )
    }
    if (!uses || !makes) {
      return bad(
        `role ${role} may not ${uses ? "make tables in" : "use"} schema ${schema}`,
        `As its owner: GRANT USAGE, CREATE ON SCHEMA ${where} TO ${whom};`
      )
    }
    return lacking === null
      ? good(`role ${role} may do in schema ${schema} what it needs`)
      : bad(
          `role ${role} may not read and write ${lacking}`,
          `As their owner: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${where} TO ${whom};`
        )
  })

const TABLE_THERE = `SELECT coalesce(has_schema_privilege(to_regnamespace($1::text)::oid, 'USAGE'), false) AND EXISTS (
  SELECT FROM pg_class WHERE relnamespace = to_regnamespace($1::text)::oid AND relname = 'migration') AS there`

/** Nothing when it cannot be seen: then the rights were the matter. */
const migrated = Effect.fnUntraced(function* (ask: Ask, schema: string) {
  const known = migrations.length
  const { there } = yield* ask<{ there: boolean }>(TABLE_THERE, quoted(schema))
  if (!there) return good(`none yet; the first daemon makes all ${known}`)
  const { found } = yield* ask<{ found: number }>(
    `SELECT coalesce(max(number), 0)::int AS found FROM ${quoted(schema)}.migration`
  )
  if (found > known) {
    return bad(
      `the schema is at step ${found}, this program knows ${known}`,
      "Start the newer program: an older one refuses newer tables."
    )
  }
  return found === known
    ? good(`the schema is at step ${found}, as this program has it`)
    : warning(
        `the schema is at step ${found}, this program brings it to ${known} when it starts`,
        "Take a backup, then start one daemon of this program: older ones cannot start any more afterwards."
      )
})
