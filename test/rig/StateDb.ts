/**
 * A look into the deciding store past every daemon: PostgreSQL over a connection of the rig's own, or the file of an embedded daemon. One look is one snapshot
 * and changes nothing. Whole numbers come as bigint.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { Context, Data, Effect, Layer, ManagedRuntime, Redacted } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import { existsSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"

export type Row = Readonly<Record<string, string | bigint | number | boolean | null>>

/** The ids of jobs that a statement is about; `all` for every job there is. */
export type About = ReadonlyArray<string> | "all"

export type Query = (text: string, about?: About) => Promise<ReadonlyArray<Row>>

export interface StateDb {
  /** Fails when the store does not answer. */
  readonly look: <A>(body: (query: Query) => Promise<A>) => Promise<A>
  readonly close: () => Promise<void>
}

const ALL = "SELECT id FROM job"
const STATEMENT_MS = 20_000

class NoLook extends Data.TaggedError("NoLook")<{ readonly why: string }> {
  override get message() {
    return this.why
  }
}

/** The driver says what the server said in its cause only. */
const wordsOf = (cause: unknown): string => {
  const words: Array<string> = []
  for (let at = cause; at instanceof Error && words.length < 4; at = "reason" in at ? at.reason : at.cause)
    words.push(at.message)
  return words.length === 0 ? String(cause) : words.join(": ")
}

class Sql extends Context.Service<Sql, PgClient.PgClient>()("resultity/test/rig/Sql") {}

/** @param schema where the tables are; looked for when it is not given */
export const openPostgres = async (url: string): Promise<StateDb> => {
  const config: PgClient.PgPoolConfig = {
    url: Redacted.make(url),
    maxConnections: 2,
    minConnections: 0,
    connectTimeout: 3_000,
    applicationName: "resultity-rig",
    startupParameters: {
      default_transaction_isolation: "repeatable read",
      default_transaction_read_only: "on",
      statement_timeout: String(STATEMENT_MS),
      jit: "off"
    }
  }
  const runtime = ManagedRuntime.make(Layer.effect(Sql, PgClient.make(config)).pipe(Layer.provide(Reactivity.layer)))
  let schema: string | null = null
  return {
    look: (body) =>
      runtime.runPromise(
        Effect.gen(function* () {
          const sql = yield* Sql
          if (schema === null) {
            const found = yield* sql.unsafe<{ name: string }>(
              "SELECT table_schema::text AS name FROM information_schema.tables WHERE table_name = 'credit_balance'"
            )
            schema = found[0]?.name ?? null
            if (schema === null) return yield* new NoLook({ why: "there are no tables yet" })
          }
          return yield* sql.withTransaction(
            Effect.gen(function* () {
              yield* sql.unsafe(`SET LOCAL search_path TO "${schema}"`)
              const context = yield* Effect.context<never>()
              const query: Query = (text, about = []) =>
                Effect.runPromiseWith(context)(
                  about === "all" || !text.includes("{changed}")
                    ? sql.unsafe<Row>(text.replaceAll("{changed}", ALL))
                    : sql.unsafe<Row>(text.replaceAll("{changed}", "SELECT unnest(string_to_array($1::text, ' '))"), [
                        about.join(" ")
                      ])
                )
              return yield* Effect.tryPromise({
                try: () => body(query),
                catch: (cause) => new NoLook({ why: wordsOf(cause) })
              })
            })
          )
        })
      ),
    close: () => runtime.dispose()
  }
}

export const openSqlite = (path: string): StateDb => {
  let open: DatabaseSync | null = null
  const database = (): DatabaseSync => {
    if (open !== null) return open
    if (!existsSync(path)) throw new Error("there is no file yet")
    open = new DatabaseSync(path, { readOnly: true, timeout: 2_000 })
    return open
  }
  return {
    look: async (body) => {
      const db = database()
      db.exec("BEGIN")
      try {
        return await body((text, about = []) => Promise.resolve(rowsOf(db, text, about)))
      } finally {
        db.exec("ROLLBACK")
      }
    },
    close: async () => open?.close()
  }
}

export const rowsOf = (db: DatabaseSync, text: string, about: About): ReadonlyArray<Row> => {
  const isAbout = about !== "all" && text.includes("{changed}")
  const statement = db.prepare(text.replaceAll("{changed}", isAbout ? "SELECT value FROM json_each(?1)" : ALL))
  statement.setReadBigInts(true)
  return (isAbout ? statement.all(JSON.stringify(about)) : statement.all()) as unknown as ReadonlyArray<Row>
}
