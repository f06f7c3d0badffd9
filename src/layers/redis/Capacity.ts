/**
 * Wake-ups of who waits for slots, merged until they are taken. Scripts publish the models of a node that got a slot to give; what runs out is found by
 * one fiber that sleeps until then. A connection that broke fails whoever waits, because news may have been missed: he looks at everything once more.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Redis } from "ioredis"
import type { Driver } from "../Leases.ts"
import { Outage } from "../Outage.ts"
import type { RedisClient } from "./RedisClient.ts"

/** Even when nothing is known to run out, somebody else may have taken a lease meanwhile. */
const LOOK_MAX_MS = 500
const LOOK_MIN_MS = 5

interface Subscriber {
  models: Set<string>
  waiting: Deferred.Deferred<void, Outage> | null
  broken: boolean
}

const lost = (cause: unknown) => new Outage({ of: "Leases", during: "capacity", cause })

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
    const patient = Effect.catch(look, () => Effect.sleep(LOOK_MAX_MS))
    yield* Effect.forkScoped(Effect.forever(patient))
    return Effect.gen(function* () {
      const redis = yield* client.listener("Leases", "capacity")
      const subscriber = yield* Effect.acquireRelease(
        Effect.sync((): Subscriber => ({ models: new Set(), waiting: null, broken: false })),
        (ended) => Effect.sync(() => subscribers.delete(ended))
      )
      yield* listen(redis, `${client.tag}:capacity`, subscriber)
      subscribers.add(subscriber)
      return { take: takeFrom(subscriber) }
    })
  })

const listen = (redis: Redis, channel: string, subscriber: Subscriber) => {
  redis.on("message", (_channel: string, text: string) => {
    for (const model of namesIn(text)) subscriber.models.add(model)
    if (subscriber.models.size > 0) answer(subscriber, Effect.void)
  })
  redis.on("close", () => {
    subscriber.broken = true
    answer(subscriber, Effect.fail(lost(new Error("the connection broke"))))
  })
  return Effect.tryPromise({ try: () => redis.subscribe(channel), catch: lost })
}

const answer = (subscriber: Subscriber, outcome: Effect.Effect<void, Outage>) => {
  const { waiting } = subscriber
  subscriber.waiting = null
  if (waiting !== null) Deferred.doneUnsafe(waiting, outcome)
}

const takeFrom = (subscriber: Subscriber): Effect.Effect<ReadonlySet<string>, Outage> =>
  Effect.suspend(() => {
    if (subscriber.broken) return Effect.fail(lost(new Error("the connection broke")))
    if (subscriber.models.size > 0) {
      const { models } = subscriber
      subscriber.models = new Set()
      return Effect.succeed(models)
    }
    subscriber.waiting ??= Deferred.makeUnsafe()
    return Effect.andThen(Deferred.await(subscriber.waiting), takeFrom(subscriber))
  })

/** Names that a script published; anything else on the channel is not ours. */
const namesIn = (text: string): ReadonlyArray<string> => {
  try {
    const names: unknown = JSON.parse(text)
    return Array.isArray(names) ? names.filter((name) => typeof name === "string") : []
  } catch {
    return []
  }
}
