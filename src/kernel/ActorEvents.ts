/**
 * What happens to actors, for whoever watches: metrics, the operator's view, tests. The buffer slides: a slow subscriber
 * loses the oldest events and never holds an actor up, so nothing that must be true may rest on them. Without a
 * subscriber an event is not even made. Crashes are told as tag and message only; a cause may quote a prompt.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

interface Happened {
  readonly address: string
  readonly kind: string
  /** Epoch milliseconds. */
  readonly at: number
}

export type ActorEvent =
  | ({ readonly _tag: "Started" } & Happened)
  | ({ readonly _tag: "Restarted"; readonly restarts: number } & Happened)
  /** `waitedOut`: taken for an outage of something else, the restart budget is untouched. */
  | ({ readonly _tag: "Crashed"; readonly crash: string; readonly waitedOut: boolean } & Happened)
  /** Ended for good: the address is free. */
  | ({ readonly _tag: "Stopped" } & Happened)
  | ({ readonly _tag: "Escalated"; readonly crash: string } & Happened)
  /** full: refused or pushed out by a newer one. stopped: a dead letter. */
  | ({ readonly _tag: "Dropped"; readonly why: "full" | "stopped" } & Happened)

/** How many events a subscriber may lag behind. */
const lagMax = 1024

export class ActorEvents extends Context.Service<
  ActorEvents,
  {
    /** Makes and publishes the event if anybody listens. Synchronous, never waits. */
    readonly publish: (make: () => ActorEvent) => void
    /** Subscribed from the moment this completes until the scope closes. */
    readonly subscribe: Effect.Effect<PubSub.Subscription<ActorEvent>, never, Scope.Scope>
    /** Subscribes on its first pull: use `subscribe` where the very next event matters. */
    readonly stream: Stream.Stream<ActorEvent>
  }
>()("resultity/kernel/ActorEvents") {
  static readonly layer = Layer.effect(
    ActorEvents,
    Effect.gen(function* () {
      const pubsub = yield* PubSub.sliding<ActorEvent>(lagMax)
      let subscribers = 0
      const subscribe = Effect.acquireRelease(
        Effect.sync(() => void subscribers++),
        () => Effect.sync(() => void subscribers--)
      ).pipe(Effect.andThen(PubSub.subscribe(pubsub)))
      return ActorEvents.of({
        publish: (make) => {
          if (subscribers > 0) publishNow(pubsub, make())
        },
        subscribe,
        stream: Stream.unwrap(Effect.map(subscribe, (subscription) => Stream.fromSubscription(subscription)))
      })
    })
  )
}

/** A sliding publish never waits and needs no services, so running it is only a function call. */
const publishNow = (pubsub: PubSub.PubSub<ActorEvent>, event: ActorEvent): void =>
  void Effect.runSync(PubSub.publish(pubsub, event))
