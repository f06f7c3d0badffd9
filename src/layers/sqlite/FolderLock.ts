/**
 * One living process a data folder. The lock is an SQLite transaction held open on a file of its own, so the operating system frees it with
 * the process, however that ends, and nobody has to judge whether a lock file is stale.
 */
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Outage } from "../Outage.ts"
import { createPrivate } from "./PrivateFile.ts"
import { DataFolderInUse, isBusy, outageOf } from "./SqliteErrors.ts"

/** Its name within the folder. Never opened by any other means: closing a descriptor would drop this process's lock. */
export const LOCK_FILE = "daemon.lock"

/** Holds the folder until the scope closes. */
export const hold = (folder: string): Effect.Effect<void, Outage | DataFolderInUse, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.try({
        try: () => lock(join(folder, LOCK_FILE)),
        catch: (cause) =>
          isBusy(cause) ? new DataFolderInUse({ folder }) : outageOf({ of: "SqliteClient", method: "lock" }, cause)
      }),
      (held) => Effect.sync(() => held.close())
    )
  )

const lock = (path: string): DatabaseSync => {
  createPrivate(path)
  const db = new DatabaseSync(path, { timeout: 0 })
  try {
    db.exec("BEGIN EXCLUSIVE")
    return db
  } catch (cause) {
    db.close()
    throw cause
  }
}
