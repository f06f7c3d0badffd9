/** What a PostgreSQL server says of its settings and its load: what it keeps when it falls, how many it lets in, who holds it up, how large it is. */
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import { bad, type Check, good, size, type Unanswered, type Verdict, warning } from "../Diagnosis.ts"
import { quoted } from "./Migrations.ts"

/** Of the one row that a statement here has. */
export type Ask = <Row extends object>(
  statement: string,
  ...parameters: ReadonlyArray<string>
) => Effect.Effect<Row, SqlError | Unanswered>

const LOOK = "Look into the server's log."

/** Off, it confirms what a crash takes back. */
export const durability = (ask: Ask): Check => ({
  what: "durability",
  todo: LOOK,
  verdict: Effect.map(
    ask<{ fsync: string; commit: string; pages: string }>(
      `SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit,
        current_setting('full_page_writes') AS pages`
    ),
    ({ fsync, commit, pages }): Verdict => {
      const said = `fsync ${fsync}, synchronous_commit ${commit}, full_page_writes ${pages}`
      if (fsync === "off" || commit === "off") {
        return bad(said, "Turn fsync and synchronous_commit on: jobs and credits that were confirmed would get lost.")
      }
      return pages === "off"
        ? warning(said, "Turn full_page_writes on, unless the file system never writes half a page.")
        : good(said)
    }
  )
})

/** Of one daemon: its pool, and the connection of its locks. */
const DAEMON_CONNECTIONS = 13

const CONNECTIONS = `SELECT current_setting('max_connections')::int AS most,
  current_setting('superuser_reserved_connections')::int
    + coalesce(current_setting('reserved_connections', true), '0')::int AS reserved,
  (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid())::int AS used,
  (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user)::int AS of_role,
  (SELECT datconnlimit FROM pg_database WHERE datname = current_database())::int AS of_database`

interface Connections {
  readonly most: number
  readonly reserved: number
  readonly used: number
  readonly of_role: number
  readonly of_database: number
}

export const connections = (ask: Ask): Check => ({
  what: "connections",
  todo: LOOK,
  verdict: Effect.map(ask<Connections>(CONNECTIONS), ({ most, reserved, used, of_role, of_database }): Verdict => {
    // Negative: no limit.
    const limits = [most - reserved, of_role, of_database].filter((limit) => limit >= 0)
    const limit = Math.min(...limits)
    const free = limit - used
    const more = Math.max(0, Math.floor(free / DAEMON_CONNECTIONS))
    const said = `${used} of ${limit} are taken: room for ${more} more daemon${more === 1 ? "" : "s"} of ${DAEMON_CONNECTIONS}`
    const todo = `Raise max_connections (or the limit of the role or database) to ${DAEMON_CONNECTIONS} for each daemon and some for you.`
    if (limit < DAEMON_CONNECTIONS) return bad(said, todo)
    return more === 0 ? warning(said, todo) : good(said)
  })
})

const OLD_S = 600
const STUCK_S = 24 * 3_600

const OLDEST = `SELECT coalesce(greatest(
    (SELECT max(extract(epoch FROM clock_timestamp() - xact_start)) FROM pg_stat_activity
      WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()),
    (SELECT max(extract(epoch FROM clock_timestamp() - prepared)) FROM pg_prepared_xacts)
  ), 0)::float8 AS seconds`

/** Rows that it could still see cannot be cleared away, and the tables with much coming and going grow. */
export const oldTransactions = (ask: Ask): Check => ({
  what: "oldest transaction",
  todo: LOOK,
  verdict: Effect.map(ask<{ seconds: number }>(OLDEST), ({ seconds }): Verdict => {
    if (seconds < OLD_S) return good(seconds < 1 ? "none is under way" : `${Math.round(seconds)} s old`)
    const said = `${Math.round(seconds / 60)} minutes old`
    const todo =
      "Find it in pg_stat_activity (xact_start) or pg_prepared_xacts and end it, unless it is a backup: nothing deleted since can be cleared away."
    return seconds < STUCK_S ? warning(said, todo) : bad(said, todo)
  })
})

const SIZES = `SELECT pg_database_size(current_database())::float8 AS database,
  (SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class
    WHERE relnamespace = to_regnamespace($1::text)::oid AND relkind IN ('r', 'm'))::float8 AS schema`

/** How much room is left, the server does not tell. */
export const sizes = (ask: Ask, schema: string): Check => ({
  what: "size",
  todo: LOOK,
  verdict: Effect.map(ask<{ database: number; schema: number }>(SIZES, quoted(schema)), ({ database, schema: own }) =>
    good(`the database has ${size(database)}, schema ${schema} ${size(own)}; watch its disk yourself, it does not tell`)
  )
})

const KEYS_THERE = "SELECT to_regclass($1 || '.network_key_use') IS NOT NULL AS there"
const KEYS_IN_USE = (schema: string) => `SELECT count(DISTINCT used.key_id)::int AS keys, count(*)::int AS daemons,
    coalesce(string_agg(DISTINCT used.key_id, ', '), '') AS names
  FROM ${schema}.network_key_use AS used JOIN ${schema}.daemon ON daemon.id = used.daemon_id AND daemon.state = 'live'`

/** Whether the living daemons speak for the network with one key. */
export const networkKeys = (ask: Ask, schema: string): Check => ({
  what: "network key",
  todo: LOOK,
  verdict: Effect.gen(function* () {
    const { there } = yield* ask<{ there: boolean }>(KEYS_THERE, quoted(schema))
    if (!there) return good("none yet; the first daemon says which")
    const { keys, daemons, names } = yield* ask<{ keys: number; daemons: number; names: string }>(
      KEYS_IN_USE(quoted(schema))
    )
    if (daemons === 0) return good("no daemon lives")
    return keys === 1
      ? good(`living daemons sign with ${names}`)
      : warning(
          `living daemons sign with ${keys} keys: ${names}`,
          "Start them all with the same RESULTITY_NETWORK_KEY: receipts of one network should have one signer."
        )
  })
})
