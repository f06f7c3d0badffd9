/**
 * Brings the schema to the shape that this program knows: forward only, in order, each step a transaction of its own under one advisory lock, so
 * that any number of daemons may start at once and each step runs once. A step that was ever released is never edited: the next change is a new one.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { type Migration, migrations } from "./migrations/index.ts"
import { DatabaseNewer } from "./PgErrors.ts"

/** Of all that lock in this database, ours: the first four letters of the product's name, then of what for. One lock a schema. */
const LOCK_CLASS = 0x72657375

/** A step may rebuild a table, and whoever comes second waits for it. */
const STEP_MAX = "15min"

/** Quoted, so that any name that PostgreSQL takes is that name. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

const TABLE = `CREATE TABLE IF NOT EXISTS migration (
  number integer PRIMARY KEY,
  name text NOT NULL,
  applied_at bigint NOT NULL
)`

/** Under the lock until the transaction ends, also when it ends by our death. */
const locked = <A, E>(sql: SqlClient, schema: string, body: Effect.Effect<A, E | SqlError>) =>
  sql.withTransaction(
    Effect.gen(function* () {
      yield* sql.unsafe(`SET LOCAL statement_timeout = '${STEP_MAX}'`)
      yield* sql.unsafe(`SET LOCAL lock_timeout = '${STEP_MAX}'`)
      yield* sql.unsafe("SELECT pg_advisory_xact_lock($1::int, hashtext($2::text))", [LOCK_CLASS, schema])
      return yield* body
    })
  )

const prepare = Effect.fnUntraced(function* (sql: SqlClient, schema: string) {
  const there = yield* sql.unsafe<{ there: boolean }>("SELECT to_regnamespace($1) IS NOT NULL AS there", [
    quoted(schema)
  ])
  // Asked first: a role that may not create schemas may still use one that was made for it.
  if (there[0]?.there !== true) yield* sql.unsafe(`CREATE SCHEMA ${quoted(schema)}`)
  yield* sql.unsafe(TABLE)
})

const applied = (sql: SqlClient) =>
  Effect.map(
    sql.unsafe<{ number: number }>("SELECT coalesce(max(number), 0)::int AS number FROM migration"),
    (rows) => rows[0]?.number ?? 0
  )

const step = Effect.fnUntraced(function* (sql: SqlClient, number: number, { name, statements }: Migration) {
  if ((yield* applied(sql)) >= number) return
  for (const statement of statements) yield* sql.unsafe(statement)
  yield* sql.unsafe("INSERT INTO migration (number, name, applied_at) VALUES ($1::int, $2::text, $3::bigint)", [
    number,
    name,
    BigInt(yield* Clock.currentTimeMillis)
  ])
})

/**
 * Afterwards the schema is that of the last of `steps`. `sql` must have `schema` first in its search path. Fails with `DatabaseNewer`, having
 * changed nothing, when the schema is beyond that.
 */
export const migrate = (
  sql: SqlClient,
  schema: string,
  steps: ReadonlyArray<Migration> = migrations
): Effect.Effect<void, SqlError | DatabaseNewer> =>
  Effect.gen(function* () {
    yield* locked(sql, schema, prepare(sql, schema))
    const found = yield* applied(sql)
    if (found > steps.length) return yield* new DatabaseNewer({ found, known: steps.length })
    for (const [index, each] of steps.entries()) {
      if (index < found) continue
      yield* locked(sql, schema, step(sql, index + 1, each))
    }
  })
