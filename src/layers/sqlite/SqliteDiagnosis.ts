/**
 * Examines the database file of a data folder, read-only. Whether a daemon uses it is asked of its lock, by a look that lasts no longer than it takes to be
 * refused; a file in use is not read, since its daemon would notice damage itself, and a large one neither, since reading all of it takes too long.
 */
import { existsSync, statSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { pathToFileURL } from "node:url"
import * as Effect from "effect/Effect"
import { bad, checked, type Finding, good, reasonOf, size, unanswered, type Verdict, warning } from "../Diagnosis.ts"
import { LOCK_FILE } from "./FolderLock.ts"
import { migrations } from "./Migrations.ts"
import { isBusy } from "./SqliteErrors.ts"

export interface SqliteDiagnosisOptions {
  /** The database file; its folder is the data folder. */
  readonly path: string
}

const SERVER = "database file"
const READ_MAX = 2 ** 30

const RESTORE = "Restore the data folder from a backup; do not start a daemon on this file."

export const diagnose = ({ path }: SqliteDiagnosisOptions): Effect.Effect<ReadonlyArray<Finding>> =>
  checked(SERVER, {
    what: "database",
    todo: RESTORE,
    verdict: Effect.try({ try: () => look(path), catch: unanswered })
  })

const USED = "a daemon uses it"

const look = (path: string): ReadonlyArray<Verdict> => {
  if (isUsed(path)) return [good(`${USED}, so it was not read`)]
  if (!existsSync(path)) return [good("it is not there yet; the daemon makes it")]
  const { size: bytes, mode } = statSync(path)
  const privacy =
    (mode & 0o077) === 0 ? [] : [warning(`${path} may be read by other users of this machine`, `chmod 600 ${path}*`)]
  if (bytes >= READ_MAX) {
    return [...privacy, good(`${size(bytes)}: too large to be read through here; sqlite3 ${path} 'PRAGMA quick_check'`)]
  }
  const read = attempted(() => readThrough(path, bytes))
  // A daemon that came meanwhile changed what was being read.
  return [...privacy, ...(isUsed(path) ? [good(`${USED} since a moment ago, so it was not read`)] : read)]
}

const attempted = (read: () => ReadonlyArray<Verdict>): ReadonlyArray<Verdict> => {
  try {
    return read()
  } catch (cause) {
    return [bad(`it cannot be read: ${reasonOf(cause)}`, RESTORE)]
  }
}

/** A daemon holds the lock exclusively; who only reads it is in nobody's way for longer than that. */
const isUsed = (path: string): boolean => {
  const lock = join(path, "..", LOCK_FILE)
  if (!existsSync(lock)) return false
  const db = new DatabaseSync(lock, { readOnly: true, timeout: 0 })
  try {
    db.prepare("SELECT count(*) FROM sqlite_schema").get()
    return false
  } catch (cause) {
    if (isBusy(cause)) return true
    throw cause
  } finally {
    db.close()
  }
}

/** Without a log of writes nothing has to be made beside the file to read it. */
const urlOf = (path: string): URL => {
  const url = pathToFileURL(path)
  const log = statSync(`${path}-wal`, { throwIfNoEntry: false })
  if (log === undefined || log.size === 0) url.searchParams.set("immutable", "1")
  return url
}

const readThrough = (path: string, bytes: number): ReadonlyArray<Verdict> => {
  const db = new DatabaseSync(urlOf(path), { readOnly: true })
  try {
    const [first] = db.prepare("PRAGMA quick_check(1)").all()
    const said = String(first?.["quick_check"])
    if (said !== "ok") return [bad(`it is damaged: ${said}`, RESTORE)]
    return [good(`${size(bytes)}, sound`), stepOf(db)]
  } finally {
    db.close()
  }
}

const stepOf = (db: DatabaseSync): Verdict => {
  const known = migrations.length
  const there = db.prepare("SELECT count(*) AS count FROM sqlite_schema WHERE name = 'migration'").get()
  if (Number(there?.["count"]) === 0) return good(`no migrations yet; the daemon makes all ${known}`)
  const row = db.prepare("SELECT coalesce(max(number), 0) AS number FROM migration").get()
  const found = Number(row?.["number"])
  if (found > known) {
    return bad(
      `it is at step ${found}, this program knows ${known}`,
      "Start the newer program: an older one refuses newer tables."
    )
  }
  return found === known
    ? good(`it is at step ${found}, as this program has it`)
    : warning(
        `it is at step ${found}, this program brings it to ${known} when it starts`,
        "Copy the folder first: older programs cannot start with it any more afterwards."
      )
}
