/** What stands in the way of a daemon on this PostgreSQL: asked with the daemon's own role, and nothing is changed. */
import * as Driver from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import type * as Redacted from "effect/Redacted"
import type { SqlClient } from "effect/sql/SqlClient"
import { clockOf, failure, type Finding, judgeVersion, looked, ok, warning } from "../Diagnosis.ts"
import { quoted } from "./Migrations.ts"
import { migrations } from "./migrations/index.ts"

const SUBJECT = "PostgreSQL"
const VERSION_MIN = 18
/** Connections of one daemon's pool and locks. */
const CONNECTIONS = 13

interface Told {
  readonly version: string
  readonly standby: boolean
  readonly room: number
  readonly most: number
  readonly fsync: string
  readonly commit: string
  readonly may_create: boolean
  readonly there: boolean
  readonly may_use: boolean
  readonly size: string
}

const ASK = `SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS standby,
  current_setting('max_connections')::int AS most,
  (current_setting('max_connections')::int - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'))::int AS room,
  current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit,
  has_database_privilege(current_database(), 'CREATE') AS may_create,
  to_regnamespace($1::text) IS NOT NULL AS there,
  CASE WHEN to_regnamespace($1::text) IS NULL THEN false ELSE has_schema_privilege(to_regnamespace($1::text), 'USAGE') END AS may_use,
  pg_size_pretty(pg_database_size(current_database())) AS size`

const NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now"

export const diagnose = (url: Redacted.Redacted, schema: string): Effect.Effect<ReadonlyArray<Finding>> =>
  looked(
    SUBJECT,
    "Check POSTGRES_URL (host, port, name, password), that the server runs, and pg_hba.conf.",
    Effect.gen(function* () {
      const sql = yield* Driver.make({
        url,
        maxConnections: 1,
        connectTimeout: 5_000,
        applicationName: "resultity doctor"
      })
      const [told] = yield* sql.unsafe<Told>(ASK, [quoted(schema)])
      if (told === undefined) return [failure(SUBJECT, "it answers nothing", "Check what listens there.")]
      const clock = yield* clockOf(
        SUBJECT,
        Effect.map(sql.unsafe<{ now: number }>(NOW), ([row]) => row?.now ?? 0)
      )
      return [
        judgeVersion(SUBJECT, told.version, VERSION_MIN),
        clock,
        ...judge(told),
        ...(yield* schemaOf(sql, schema, told))
      ]
    }).pipe(Effect.scoped, Effect.provide(Reactivity.layer))
  )

const judge = ({ standby, room, most, fsync, commit, size }: Told): ReadonlyArray<Finding> => [
  standby
    ? failure(SUBJECT, "it is a standby and takes no writes", "Point POSTGRES_URL at the primary.")
    : ok(SUBJECT, `it takes writes; the database has ${size}`),
  fsync === "on" && commit !== "off"
    ? ok(SUBJECT, `what it confirms is on disk (fsync ${fsync}, synchronous_commit ${commit})`)
    : failure(
        SUBJECT,
        `it confirms what is not on disk (fsync ${fsync}, synchronous_commit ${commit})`,
        "Turn both on: credits and jobs that were confirmed would be lost with its machine."
      ),
  room >= CONNECTIONS
    ? ok(SUBJECT, `${room} of ${most} connections are free; a daemon takes up to ${CONNECTIONS}`)
    : warning(
        SUBJECT,
        `${room} of ${most} connections are free; a daemon takes up to ${CONNECTIONS}`,
        "Raise max_connections."
      )
]

const schemaOf = Effect.fnUntraced(function* (sql: SqlClient, schema: string, told: Told) {
  const name = `schema ${schema}`
  if (!told.there) {
    return [
      told.may_create
        ? ok(SUBJECT, `${name} is not there yet; the first daemon makes it`)
        : failure(
            SUBJECT,
            `${name} is not there and this role may not make it`,
            `GRANT CREATE ON DATABASE … TO this role, or CREATE SCHEMA ${schema} AUTHORIZATION this role.`
          )
    ]
  }
  if (!told.may_use) {
    return [
      failure(
        SUBJECT,
        `this role may not use ${name}`,
        `GRANT USAGE ON SCHEMA ${schema} TO this role, or use the role that made it.`
      )
    ]
  }
  const [row] = yield* sql.unsafe<{ number: number }>(
    `SELECT coalesce(max(number), 0)::int AS number FROM ${quoted(schema)}.migration`
  )
  const stands = row?.number ?? 0
  if (stands > migrations.length) {
    const what = `${name} is at step ${stands} and this program knows ${migrations.length}`
    return [failure(SUBJECT, what, "A newer daemon was here: install the newer program.")]
  }
  const coming = stands < migrations.length ? `; the next daemon brings it to ${migrations.length}` : ""
  return [ok(SUBJECT, `${name} is at step ${stands}${coming}`)]
})
