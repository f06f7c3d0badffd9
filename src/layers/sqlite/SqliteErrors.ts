/**
 * What a throw of `node:sqlite` means. A disk, a lock or a damaged file is an Outage; a violated constraint or a statement that does not parse
 * is a bug of this house, and waiting a bug out would wait for ever: it stays a defect.
 */
import * as Data from "effect/Data"
import * as Exit from "effect/Exit"
import { Outage } from "../Outage.ts"

/** Which contract's method asked, for the Outage that it may become. */
export interface During {
  readonly of: string
  readonly method: string
}

/** The data folder belongs to a living process already. */
export class DataFolderInUse extends Data.TaggedError("DataFolderInUse")<{ readonly folder: string }> {
  override get message(): string {
    return `the data folder ${this.folder} is in use by another daemon: stop that one, or choose another folder`
  }
}

/** The file was written by a newer version of this program. */
export class DatabaseNewer extends Data.TaggedError("DatabaseNewer")<{
  readonly found: number
  readonly known: number
}> {
  override get message(): string {
    return `the database has migration ${this.found} and this program knows ${this.known}: start the newer program`
  }
}

/** SQLite's primary result codes that tell of the world and not of our statements (https://sqlite.org/rescode.html). */
const OUTAGES: ReadonlyMap<number, string> = new Map([
  [5, "BUSY"],
  [6, "LOCKED"],
  [7, "NOMEM"],
  [8, "READONLY"],
  [9, "INTERRUPT"],
  [10, "IOERR"],
  [11, "CORRUPT"],
  [13, "FULL"],
  [14, "CANTOPEN"],
  [15, "PROTOCOL"],
  [22, "NOLFS"],
  [26, "NOTADB"]
])

/** The primary result code, or undefined when SQLite did not throw this. Extended codes carry the primary one in the low byte. */
const resultCode = (cause: unknown): number | undefined =>
  cause instanceof Error && "errcode" in cause && typeof cause.errcode === "number" ? cause.errcode & 0xff : undefined

export const isOutage = (cause: unknown): boolean => OUTAGES.has(resultCode(cause) ?? 0)

export const isBusy = (cause: unknown): boolean => resultCode(cause) === 5

export const outageOf = (during: During, cause: unknown): Outage =>
  new Outage({ of: during.of, during: during.method, cause })

/** How a thrown value ends the caller: Outage or defect. */
export const exitOf = (during: During, cause: unknown): Exit.Exit<never, Outage> =>
  isOutage(cause) ? Exit.fail(outageOf(during, cause)) : Exit.die(cause)
