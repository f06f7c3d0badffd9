/**
 * Wake-ups of who waits for slots, merged until they are taken. Scripts publish the models of a node that got a slot to give; what runs out is found by
 * one fiber that sleeps until then. A connection that broke fails whoever waits, because news may have been missed: he looks at everything once more.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Driver } from "../Leases.ts"
import type { Outage } from "../Outage.ts"
import { fromKeyText } from "./KeyText.ts"
import type { RedisClient } from "./RedisClient.ts"
import { outageOf } from "./RedisErrors.ts"

/** Even when nothing is known to run out, somebody else may have taken a lease meanwhile. */
const LOOK_MAX_MS = 500
const LOOK_MIN_MS = 5
/** Names that wait to be taken. Who left more than these may as well look at everything, and is told so by an Outage. */
export const NAMES_MAX = 10_000

export interface Subscriber {
  names: Set<string>
  waiting: Deferred.Deferred<void, Outage> | null
  broken: Outage | null
}

export const makeSubscriber = (): Subscriber => ({ names: new Set(), waiting: null, broken: null })

/** The fiber that expires lives as long as the scope, and looks only while somebody listens. */
export const makeCapacity = (client: RedisClient["Service"]): Effect.Effect<Driver["capacity"], never, Scope.Scope> =>
  Effect.gen(function* () {
    const subscribers = new Set<Subscriber>()
    const look = Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const next = subscribers.size === 0 ? "" : yield* client.script("Leases", "expire", [now])
      const inMs = next === "" ? LOOK_MAX_MS : Number(next) - now
      yield* Effect.sleep(Math.min(LOOK_MAX_MS, Math.max(LOOK_MIN_MS, inMs)))
    })
    yield* Effect.forkScoped(Effect.forever(Effect.catchCause(look, lookLater)))
    const capacity: Driver["capacity"] = Effect.gen(function* () {
      const subscriber = yield* Effect.acquireRelease(Effect.sync(makeSubscriber), (ended) =>
        Effect.sync(() => subscribers.delete(ended))
      )
      yield* client.listen("Leases", "capacity", `${client.tag}:capacity`, {
        message: (text) => onNews(subscriber, text),
        close: () => breakOff(subscriber, "the connection broke")
      })
      subscribers.add(subscriber)
      return { take: takeFrom(subscriber) }
    })
    return capacity
  })

/** An Outage is heard of by every call; what is ours must be seen, and still nobody else would look for what runs out. */
const lookLater = (cause: Cause.Cause<Outage>) => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause)
  const pause = Effect.sleep(LOOK_MAX_MS)
  return Cause.hasDies(cause) ? Effect.andThen(Effect.logError("nothing runs out", cause), pause) : pause
}

export const onNews = (subscriber: Subscriber, text: string): void => {
  for (const name of namesIn(text)) subscriber.names.add(name)
  if (subscriber.names.size > NAMES_MAX) breakOff(subscriber, "too many wake-ups were not taken")
  else if (subscriber.names.size > 0) answer(subscriber, Effect.void)
}

const breakOff = (subscriber: Subscriber, why: string): void => {
  subscriber.names = new Set()
  subscriber.broken ??= outageOf("Leases", "capacity", new Error(why))
  answer(subscriber, Effect.fail(subscriber.broken))
}

const answer = (subscriber: Subscriber, outcome: Effect.Effect<void, Outage>): void => {
  const { waiting } = subscriber
  subscriber.waiting = null
  if (waiting !== null) Deferred.doneUnsafe(waiting, outcome)
}

export const takeFrom = (subscriber: Subscriber): Effect.Effect<ReadonlySet<string>, Outage> =>
  Effect.suspend(() => {
    const { broken, names } = subscriber
    if (broken !== null) return Effect.fail(broken)
    if (names.size > 0) {
      subscriber.names = new Set()
      return Effect.succeed(names)
    }
    subscriber.waiting ??= Deferred.makeUnsafe()
    return Effect.andThen(Deferred.await(subscriber.waiting), takeFrom(subscriber))
  })

/** Names that a script published; anything else on the channel is not ours. */
const namesIn = (text: string): ReadonlyArray<string> => {
  try {
    const names: unknown = JSON.parse(text)
    return Array.isArray(names) ? names.filter((name) => typeof name === "string").map(fromKeyText) : []
  } catch {
    return []
  }
}
