/**
 * The services an actor keeps from whoever started it, without what belongs to that moment only: the trace span and the
 * call stack. An actor outlives both, would keep them in memory, and would log under a span long closed. Actors started one
 * after the other from the same place share one Context, which is what makes a hundred thousand of them cheap.
 */
import * as Context from "effect/Context"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"

export class Detached {
  private last: Context.Context<never> = Context.empty()

  from<R>(context: Context.Context<R>): Context.Context<never> {
    const kept = Context.omit(Tracer.ParentSpan, References.CurrentStackFrame)(context) as Context.Context<never>
    if (!sameServices(kept, this.last)) this.last = kept
    return this.last
  }
}

const sameServices = (one: Context.Context<never>, other: Context.Context<never>): boolean => {
  if (one.mapUnsafe.size !== other.mapUnsafe.size) return false
  for (const [key, service] of one.mapUnsafe) if (other.mapUnsafe.get(key) !== service) return false
  return true
}
