/** What a failure of the driver means: a server that does not answer, or will later, is an Outage; a document that no server would take is a bug of ours. */
import * as Effect from "effect/Effect"
import { MongoBulkWriteError, MongoServerError } from "mongodb"
import { Outage } from "../Outage.ts"

export interface During {
  readonly of: string
  readonly method: string
}

/** Bad values, types, names, commands; documents or keys too large: what was sent is wrong, and will be wrong tomorrow. */
const OURS: ReadonlySet<unknown> = new Set([2, 9, 14, 28, 40, 52, 59, 72, 10334, 17280, 17419, 17420])
const DUPLICATE = 11_000
/** Nothing that waiting would change, while a daemon starts: wrong credentials, or none. */
const REFUSED: ReadonlySet<unknown> = new Set([13, 18, 8000])

/** Of the single writes that failed, when all that failed are single writes. */
const codesOf = (cause: unknown): ReadonlyArray<unknown> => {
  if (cause instanceof MongoBulkWriteError) return [cause.writeErrors].flat().map(({ code }) => code)
  return cause instanceof MongoServerError ? [cause.code] : []
}

export const isDuplicate = (cause: unknown): boolean => cause instanceof MongoServerError && cause.code === DUPLICATE

/** A bulk of which nothing failed but inserts of what was there already. One without such failures failed as a whole: nobody knows what it did. */
export const hasOnlyDuplicates = (cause: unknown): boolean => {
  const codes = cause instanceof MongoBulkWriteError ? codesOf(cause) : []
  return codes.length > 0 && codes.every((code) => code === DUPLICATE)
}

export const isOurs = (cause: unknown): boolean => {
  if (cause instanceof RangeError || cause instanceof TypeError) return true
  if (cause instanceof Error && cause.name === "BSONError") return true
  const codes = codesOf(cause).filter((code) => code !== DUPLICATE)
  return codes.length > 0 && codes.every((code) => OURS.has(code))
}

export const isRefused = ({ cause }: Outage): boolean => codesOf(cause).some((code) => REFUSED.has(code))

/** `boundMs` from outside, because the driver's own bounds are each for one step of an operation. */
export const attempt = <A>(
  { of, method }: During,
  operation: () => Promise<A>,
  boundMs: number
): Effect.Effect<A, Outage> =>
  Effect.tryPromise({ try: operation, catch: (cause) => new Outage({ of, during: method, cause }) }).pipe(
    Effect.catchIf(
      ({ cause }) => isOurs(cause),
      ({ cause }) => Effect.die(cause)
    ),
    Effect.timeoutOrElse({
      duration: boundMs,
      orElse: () => Effect.fail(new Outage({ of, during: method, cause: new Error(`no answer in ${boundMs} ms`) }))
    })
  )
