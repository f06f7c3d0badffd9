/**
 * A store or the transport does not answer. Waited out with backoff, never told to a client as its own fault and
 * never counted against an actor. `cause` is for the log of the daemon only.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

export class Outage extends Data.TaggedError("Outage")<{
  /** The contract that is out: `JobStore`. */
  readonly of: string
  /** The method that found out. */
  readonly during: string
  readonly cause: unknown
}> {}

const patience = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("5 seconds")]).pipe(Schedule.jittered)

/** Tries again, with growing pauses of at most 5 s, until the store answers. Other failures pass. */
export const waitOut = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, Exclude<E, Outage>, R> =>
  Effect.retry(effect, { schedule: patience, while: (error) => error instanceof Outage }) as Effect.Effect<
    A,
    Exclude<E, Outage>,
    R
  >
