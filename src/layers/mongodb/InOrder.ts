/** Steps of one job that must not overtake each other though some take long: each waits for those that were asked for before it. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"

export interface InOrder {
  /** Somebody is at it. */
  readonly isBusy: (jobId: string) => boolean
  readonly next: <A, E>(jobId: string, step: Effect.Effect<A, E>) => Effect.Effect<A, E>
}

export const make = (): InOrder => {
  const last = new Map<string, Deferred.Deferred<void>>()
  return {
    isBusy: (jobId) => last.has(jobId),
    next: (jobId, step) =>
      Effect.suspend(() => {
        const before = last.get(jobId)
        const done = Deferred.makeUnsafe<void>()
        last.set(jobId, done)
        const leave = Effect.suspend(() => {
          if (last.get(jobId) === done) last.delete(jobId)
          return Deferred.succeed(done, undefined)
        })
        const turn = before === undefined ? step : Effect.andThen(Deferred.await(before), step)
        return Effect.ensuring(turn, leave)
      })
  }
}
