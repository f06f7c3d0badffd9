/**
 * What the daemon's role may do in a schema that another role owns: read and write rows, but neither change the tables nor take back history. So
 * what is append-only is kept twice: by its trigger, and by a privilege that the daemon does not have and cannot give itself.
 */
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { quoted } from "./Migrations.ts"
import { APPEND_ONLY } from "./migrations/Migration.ts"

const HISTORIES = `SELECT relname::text AS name FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
  WHERE tgname = $1::text AND relnamespace = to_regnamespace($2::text)`

/** Afterwards `role` may do what a daemon does. Repeating it changes nothing. */
export const grantRuntime = Effect.fnUntraced(function* (
  owner: SqlClient,
  schema: string,
  role: string
): Effect.fn.Return<void, SqlError> {
  const [where, whom] = [quoted(schema), quoted(role)]
  yield* owner.unsafe(`GRANT USAGE ON SCHEMA ${where} TO ${whom}`)
  yield* owner.unsafe(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${where} TO ${whom}`)
  yield* owner.unsafe(`GRANT USAGE ON ALL SEQUENCES IN SCHEMA ${where} TO ${whom}`)
  const histories = yield* owner.unsafe<{ name: string }>(HISTORIES, [APPEND_ONLY, where])
  for (const { name } of histories) {
    yield* owner.unsafe(`REVOKE UPDATE, DELETE ON ${where}.${quoted(name)} FROM ${whom}`)
  }
  yield* owner.unsafe(`REVOKE INSERT, UPDATE, DELETE ON ${where}.migration FROM ${whom}`)
})
