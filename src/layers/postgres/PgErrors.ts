/**
 * What a failure of the PostgreSQL driver means. A server that does not answer, is full, restarts, or gave up waiting for a lock is an Outage; a
 * violated constraint or a statement that does not parse is a bug of this house, and waiting a bug out would wait for ever: it stays a defect.
 * Told apart by SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html), because the driver's own classes leave most unnamed.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { SqlError } from "effect/sql/SqlError"
import { Outage } from "../Outage.ts"

/** Which contract's method asked, for the Outage that it may become. */
export interface During {
  readonly of: string
  readonly method: string
}

/** The schema was migrated by a newer version of this program. */
export class DatabaseNewer extends Data.TaggedError("DatabaseNewer")<{
  readonly found: number
  readonly known: number
}> {
  override get message(): string {
    return `the database has migration ${this.found} and this program knows ${this.known}: start the newer program`
  }
}

/**
 * Classes and codes that tell of the world and not of our statements: connection, authorization of it, read-only after a failover, transaction
 * timeouts, no such database yet, rollback by the server, out of resources, lock not available, operator intervention, system and internal errors.
 */
const OUTAGES = /^(08|28|25006|25P0[34]|3D000|40|53|55P03|57|58|XX)/

/** Two transactions in each other's way: the same one may well succeed at once. */
const CONFLICTS: ReadonlySet<string> = new Set(["40001", "40P01"])

/** Wrong values, violated constraints, limits of a value's size: one item's fault, not that of its neighbours in a batch. */
const DATA = /^(22|23|54)/

/** The SQLSTATE that the server answered; undefined when it did not come to an answer. */
export const stateOf = (error: SqlError): string | undefined => {
  const { cause } = error.reason
  return cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined
}

export const isOutage = (error: SqlError): boolean => {
  const state = stateOf(error)
  return error.reason._tag === "ConnectionError" || (state !== undefined && OUTAGES.test(state))
}

export const isConflict = (error: SqlError): boolean => CONFLICTS.has(stateOf(error) ?? "")

/** Also what the driver could not even send: it has no state then, and is no failure of the connection. */
export const isDataError = (error: SqlError): boolean => {
  const state = stateOf(error)
  return state === undefined ? error.reason._tag === "UnknownError" : DATA.test(state)
}

/** Somebody else made a row of that name meanwhile. */
export const isTaken = (error: SqlError): boolean => stateOf(error) === "23505"

export const outageOf = ({ of, method }: During, cause: unknown): Outage => new Outage({ of, during: method, cause })

/** A driver's failure becomes what it means to the contract: Outage or defect. Other failures pass. */
export const explained =
  (during: During) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, Exclude<E, SqlError> | Outage, R> =>
    Effect.catch(effect, (error): Effect.Effect<never, Exclude<E, SqlError> | Outage> => {
      if (!(error instanceof SqlError)) return Effect.fail(error as Exclude<E, SqlError>)
      return isOutage(error) ? Effect.fail(outageOf(during, error)) : Effect.die(error)
    })
