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

export const isDuplicate = (cause: unknown): boolean => cause instanceof MongoServerError && cause.code === DUPLICATE

/** A bulk of which nothing failed but inserts of what was there already. One without such failures failed as a whole: nobody knows what it did. */
export const hasOnlyDuplicates = (cause: unknown): boolean => {
  if (!(cause instanceof MongoBulkWriteError)) return false
  const errors = Array.isArray(cause.writeErrors) ? cause.writeErrors : [cause.writeErrors]
  // Without failures of single writes the whole of it failed, on its way or at the server.
  return errors.length > 0 && errors.every(({ code }) => code === DUPLICATE)
}

const isOurs = (cause: unknown): boolean =>
  cause instanceof RangeError ||
  cause instanceof TypeError ||
  (cause instanceof Error && cause.name === "BSONError") ||
  (cause instanceof MongoServerError && OURS.has(cause.code))

export const attempt = <A>({ of, method }: During, operation: () => Promise<A>): Effect.Effect<A, Outage> =>
  Effect.tryPromise({ try: operation, catch: (cause) => cause }).pipe(
    Effect.catch((cause) =>
      isOurs(cause) ? Effect.die(cause) : Effect.fail(new Outage({ of, during: method, cause }))
    )
  )
