/**
 * The memory that `MemoryLiveNodes` and `MemoryLeases` share: what Redis is to a cluster. One of it may serve several
 * simulated daemons; the times that they pass must be those of the Clock it was made under, because what runs out is found
 * both by the next call and by one fiber that sleeps until then.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { Outage } from "../Outage.ts"
import { LiveState } from "./LiveState.ts"

/** One dispatcher's wake-ups: the models that may have a free slot since it last looked. */
interface Subscriber {
  models: Set<string>
  readonly latch: Latch.Latch
}

export class MemoryLive extends Context.Service<
  MemoryLive,
  {
    /** Runs one step on the state, or fails while the memory is out. */
    readonly step: <A>(of: string, during: string, step: (state: LiveState) => A) => Effect.Effect<A, Outage>
    /** Wake-ups from now on, merged until taken. */
    readonly subscribe: Effect.Effect<
      { readonly take: Effect.Effect<ReadonlySet<string>, Outage> },
      Outage,
      Scope.Scope
    >
    /** For tests: while on, every method of both contracts fails, also those that wait. Nothing is lost by it. */
    readonly outage: (on: boolean) => Effect.Effect<void>
    /** For tests: loses everything, like a flushed server. Subscriptions stay. */
    readonly wipe: Effect.Effect<void>
  }
>()("resultity/layers/memory/MemoryLive") {
  static readonly layer = Layer.effect(
    MemoryLive,
    Effect.suspend(() => make())
  )
}

/** Lives as long as the scope. */
export const make = (): Effect.Effect<MemoryLive["Service"], never, Scope.Scope> =>
  Effect.gen(function* () {
    const subscribers = new Set<Subscriber>()
    const alarm = Latch.makeUnsafe(false)
    let out = false
    let asleepUntil = Infinity
    const state: LiveState = new LiveState({
      capacity: (models) => wake(subscribers, models, state),
      sooner: (at) => {
        if (at < asleepUntil) alarm.openUnsafe()
      }
    })
    const expire = Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      state.sweep(now)
      alarm.closeUnsafe()
      asleepUntil = state.nextExpiry()
      if (asleepUntil === Infinity) yield* alarm.await
      else yield* Effect.timeoutOption(alarm.await, asleepUntil - now)
    })
    // The latch resumes this fiber inside the step that opens it; `forever` yields before it begins again, so no step is disturbed.
    yield* Effect.forkScoped(Effect.forever(expire))

    const failure = (of: string, during: string) => new Outage({ of, during, cause: "the memory is out" })
    return MemoryLive.of({
      step: (of, during, step) =>
        Effect.suspend(() => (out ? Effect.fail(failure(of, during)) : Effect.succeed(step(state)))),
      subscribe: Effect.suspend(() =>
        out ? Effect.fail(failure("Leases", "capacity")) : subscribe(subscribers, () => out)
      ),
      outage: (on) =>
        Effect.sync(() => {
          out = on
          for (const { latch } of subscribers) latch.openUnsafe()
        }),
      wipe: Effect.sync(() => state.wipe())
    })
  })

const subscribe = (subscribers: Set<Subscriber>, isOut: () => boolean) =>
  Effect.gen(function* () {
    const subscriber = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const fresh: Subscriber = { models: new Set(), latch: Latch.makeUnsafe(false) }
        subscribers.add(fresh)
        return fresh
      }),
      (subscriber) => Effect.sync(() => subscribers.delete(subscriber))
    )
    const take: Effect.Effect<ReadonlySet<string>, Outage> = Effect.suspend(() => {
      if (isOut()) return Effect.fail(new Outage({ of: "Leases", during: "capacity", cause: "the memory is out" }))
      if (subscriber.models.size > 0) {
        const { models } = subscriber
        subscriber.models = new Set()
        return Effect.succeed(models)
      }
      subscriber.latch.closeUnsafe()
      // The latch resumes whoever waits inside the step that opens it: a turn of its own first.
      return subscriber.latch.await.pipe(Effect.andThen(Effect.yieldNow), Effect.andThen(take))
    })
    return { take }
  })

const wake = (subscribers: Set<Subscriber>, models: Iterable<string>, state: LiveState): void => {
  for (const subscriber of subscribers) {
    for (const model of models) subscriber.models.add(model)
    // Names that nobody serves any more are forgotten, so that one who never takes holds no more than there are models.
    if (subscriber.models.size > state.modelCount) {
      for (const model of subscriber.models) if (!state.isServed(model)) subscriber.models.delete(model)
    }
    if (subscriber.models.size > 0) subscriber.latch.openUnsafe()
  }
}
