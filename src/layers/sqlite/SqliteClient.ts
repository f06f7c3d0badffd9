/**
 * The one connection to the one file of the embedded back ends. Writes go through the group commit; reads run at once and see committed data
 * only. While it is open no other process can open the same data folder, and kill -9 frees the folder: the lock is the operating system's.
 */
import { dirname } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Outage } from "../Outage.ts"
import { makePrivateFolder } from "../PrivateFolder.ts"
import * as FolderLock from "./FolderLock.ts"
import * as GroupCommit from "./GroupCommit.ts"
import * as Lasting from "./LastingTransactions.ts"
import { migrate } from "./Migrations.ts"
import { createPrivate } from "./PrivateFile.ts"
import { type DatabaseNewer, type DataFolderInUse, type During, exitOf, outageOf } from "./SqliteErrors.ts"
import * as Statements from "./Statements.ts"
import * as WalSync from "./WalSync.ts"

export type { Body, WriteOptions } from "./GroupCommit.ts"
export type { During } from "./SqliteErrors.ts"
export type { Sql } from "./Statements.ts"

export class SqliteClient extends Context.Service<
  SqliteClient,
  {
    /**
     * Runs `body` in the next group commit. Afterwards what it wrote is durable, or, when it gave a failure or threw, nothing of it was
     * written. `body` must be synchronous, must not read the clock, and writes through `sql` only.
     */
    readonly write: GroupCommit.GroupCommit["write"]
    /** Runs `body` now, on committed data; all its statements see the same state. */
    readonly read: <A>(during: During, body: (sql: Statements.Sql) => A) => Effect.Effect<A, Outage>
    /** A reader of its own, which sees the committed data of this instant as long as the scope lasts, whatever is written meanwhile. */
    readonly view: (during: During) => Effect.Effect<Statements.Sql, Outage, Scope.Scope>
    /** One transaction, taken back at the end of the scope unless it was committed by then. For a database that nobody else writes to meanwhile. */
    readonly alone: (during: During) => Effect.Effect<Statements.Sql, Outage, Scope.Scope>
  }
>()("resultity/layers/sqlite/SqliteClient") {}

export interface SqliteOptions {
  /** The database file; its folder is the data folder. `:memory:` keeps nothing and locks nothing. */
  readonly path: string
  /** Writes in one transaction at most; 1 turns the group commit off, for comparison. */
  readonly batchMax?: number
}

const IN_MEMORY = ":memory:"
/** Another process may only read (a backup, a curious operator), so a busy file is rare and short. The wait stops the event loop. */
const BUSY_MS = 1_000

export const layer = (options: SqliteOptions): Layer.Layer<SqliteClient, Outage | DataFolderInUse | DatabaseNewer> =>
  Layer.effect(SqliteClient, make(options))

const make = Effect.fnUntraced(function* ({ path, batchMax }: SqliteOptions) {
  if (path !== IN_MEMORY) yield* claimFolder(path)
  const db = yield* Effect.acquireRelease(open(path), close)
  const at = yield* Clock.currentTimeMillis
  yield* prepare(db, at)
  const sql = Statements.make(db)
  const group = GroupCommit.make(db, sql, path === IN_MEMORY ? WalSync.none : WalSync.make(path), batchMax)
  yield* Effect.addFinalizer(() => Effect.sync(group.close))
  return SqliteClient.of({
    write: group.write,
    read: makeRead(db, sql),
    view: (during) => Lasting.view(db, path === IN_MEMORY ? null : path, during),
    alone: (during) => Lasting.alone(db, sql, during)
  })
})

const makeRead =
  (db: DatabaseSync, sql: Statements.Sql): SqliteClient["Service"]["read"] =>
  (during, body) =>
    Effect.suspend(() => {
      if (!db.isOpen) return Effect.fail(outageOf(during, new Error("the database is closed")))
      try {
        return Effect.succeed(body(sql))
      } catch (cause) {
        return exitOf(during, cause)
      }
    })

const opening: During = { of: "SqliteClient", method: "open" }

const claimFolder = (path: string): Effect.Effect<void, Outage | DataFolderInUse, Scope.Scope> =>
  Effect.gen(function* () {
    const folder = dirname(path)
    yield* Effect.tryPromise({
      try: () => makePrivateFolder(folder),
      catch: (cause) => outageOf(opening, cause)
    })
    yield* FolderLock.hold(folder)
    yield* Effect.try({ try: () => createPrivate(path), catch: (cause) => outageOf(opening, cause) })
  })

const prepare = (db: DatabaseSync, at: number): Effect.Effect<void, Outage | DatabaseNewer> =>
  Effect.suspend((): Effect.Effect<void, Outage | DatabaseNewer> => {
    try {
      const newer = migrate(db, at)
      return newer === null ? Effect.void : Effect.fail(newer)
    } catch (cause) {
      return exitOf(opening, cause)
    }
  })

const open = (path: string): Effect.Effect<DatabaseSync, Outage> =>
  Effect.try({
    try: () => {
      const db = new DatabaseSync(path, { timeout: BUSY_MS, enableForeignKeyConstraints: true })
      db.exec(`
        PRAGMA journal_mode = WAL;
        PRAGMA synchronous = NORMAL;
        PRAGMA wal_autocheckpoint = 4000;
        PRAGMA journal_size_limit = 67108864;
        PRAGMA cache_size = -32768;
        PRAGMA temp_store = MEMORY;
        PRAGMA trusted_schema = OFF;
      `)
      return db
    },
    catch: (cause) => outageOf(opening, cause)
  })

/** A checkpoint that fails loses nothing: the next opening replays the write-ahead log. */
const close = (db: DatabaseSync): Effect.Effect<void> =>
  Effect.try({
    try: () => db.exec("PRAGMA wal_checkpoint(TRUNCATE)"),
    catch: (cause) => outageOf(opening, cause)
  }).pipe(Effect.ignore({ log: true }), Effect.andThen(Effect.sync(() => db.close())))
