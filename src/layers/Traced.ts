/**
 * A span around a method, for the fronts on the job's road. Without an exporter there is nobody to read spans, and `Effect.fn` would still take
 * a stack for each call; this asks first and costs next to nothing then.
 */
import * as Effect from "effect/Effect"
import * as References from "effect/References"

const QUIETLY = { captureStackTrace: false }

/** `f` in a span of that name while tracing is on. */
export const traced =
  <Args extends ReadonlyArray<unknown>, A, E, R>(name: string, f: (...args: Args) => Effect.Effect<A, E, R>) =>
  (...args: Args): Effect.Effect<A, E, R> =>
    Effect.flatMap(References.TracerEnabled, (on) =>
      on ? Effect.withSpan(f(...args), name, QUIETLY) : f(...args)
    ) as Effect.Effect<A, E, R>
