/**
 * Transactions that outlast one turn of the event loop. A reader is a connection of its own to the same file: a reader in the write-ahead log stops
 * nobody, but the log grows while it reads. A database in memory has no second connection; its reader gets a private copy in a temporary file.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Outage } from "../Outage.ts"
import { type During, exitOf } from "./SqliteErrors.ts"
import * as Statements from "./Statements.ts"

const BUSY_MS = 5_000

const attempt = <A>(during: During, run: () => A): Effect.Effect<A, Outage> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(run())
    } catch (cause) {
      return exitOf(during, cause)
    }
  })

/** `path` null: the database is in memory. */
export const view = (
  db: DatabaseSync,
  path: string | null,
  during: During
): Effect.Effect<Statements.Sql, Outage, Scope.Scope> =>
  Effect.gen(function* () {
    const reader = yield* path === null ? copied(db, during) : opened(path, during)
    // The read sets the instant: BEGIN alone would leave it to the first statement.
    yield* attempt(during, () => {
      reader.exec("BEGIN")
      reader.prepare("SELECT count(*) FROM sqlite_schema").get()
    })
    return Statements.make(reader)
  })

const opened = (path: string, during: During) =>
  Effect.acquireRelease(
    attempt(during, () => new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS })),
    (reader) => Effect.sync(() => reader.close())
  )

const copied = (db: DatabaseSync, during: During) =>
  Effect.gen(function* () {
    const folder = yield* Effect.acquireRelease(
      attempt(during, () => mkdtempSync(join(tmpdir(), "resultity-view-"))),
      (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true }))
    )
    const path = join(folder, "view.db")
    yield* attempt(during, () => db.prepare("VACUUM INTO ?").run(path))
    return yield* opened(path, during)
  })

export const alone = (
  db: DatabaseSync,
  sql: Statements.Sql,
  during: During
): Effect.Effect<Statements.Sql, Outage, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.as(
      attempt(during, () => db.exec("BEGIN IMMEDIATE")),
      sql
    ),
    () => Effect.sync(() => (db.isOpen && db.isTransaction ? db.exec("ROLLBACK") : undefined))
  )
