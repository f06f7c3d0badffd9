/**
 * What does an actor cost? Bytes of an idle supervised actor against a bare fiber with a queue and a state, and messages a
 * second against the bare queue, all measured in the same run.
 */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import type { Behavior } from "../src/kernel/Actor.ts"
import { ActorEvents } from "../src/kernel/ActorEvents.ts"
import type { ActorRef, Reply } from "../src/kernel/ActorRef.ts"
import { Registry } from "../src/kernel/Registry.ts"
import * as Supervisor from "../src/kernel/Supervisor.ts"
import { type Line, times } from "./support/Line.ts"

const idleActors = 20_000
const roundRobin = 10_000
const messages = 1_000_000
const asks = 200_000
const burst = 1_000

interface Count {
  readonly reply: Reply<number> | undefined
}
const count: Count = { reply: undefined }

const counter: Behavior<Count, number> = {
  init: () => Effect.succeed(0),
  receive: (state, { reply }) => {
    reply?.succeed(state)
    return Effect.succeed(state + 1)
  }
}

const supervisor = (address: string) =>
  Supervisor.make({
    address,
    strategy: "oneForOne",
    intensity: 10,
    period: "5 seconds",
    backoff: { first: "100 millis", max: "5 seconds" }
  })

const startCounters = Effect.fnUntraced(function* (keeper: Supervisor.Supervisor, howMany: number) {
  const refs: Array<ActorRef<Count>> = []
  for (let i = 0; i < howMany; i++) {
    const mailbox = { capacityMax: 2 * burst, whenFull: "refuse" } as const
    refs.push(
      yield* keeper.start({
        address: `${keeper.address}/${i}`,
        kind: "counter",
        behavior: counter,
        restart: "permanent",
        mailbox
      })
    )
  }
  yield* Effect.forEach(refs, settle, { discard: true })
  return refs
})

/** Completes when everything told before is handled. */
const settle = (ref: ActorRef<Count>) => ref.ask<number>((reply) => ({ reply }), "30 seconds")

const bareActor = Effect.gen(function* () {
  const queue = yield* Queue.bounded<Count>(2 * burst)
  const state = yield* Ref.make(0)
  const fiber = yield* Effect.forkDetach(
    Effect.forever(
      Effect.flatMap(Queue.take(queue), () => Ref.update(state, (n) => n + 1)),
      { disableYield: true }
    )
  )
  return { queue, state, fiber }
})

// A context made after the flag has the collector, whatever this process was started with.
setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const heapUsed = Effect.sync(() => {
  for (let i = 0; i < 4; i++) collect()
  return process.memoryUsage().heapUsed
})

const bytesEach = <A, E, R>(howMany: number, make: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = yield* heapUsed
    const kept = yield* make
    yield* Effect.yieldNow
    const bytes = ((yield* heapUsed) - before) / howMany
    return { kept, bytes }
  })

const perSecond = <E, R>(howMany: number, work: Effect.Effect<unknown, E, R>) =>
  Effect.map(Effect.timed(work), ([took]) => howMany / Duration.toSeconds(took))

const inMillions = (rate: number): string => `${(rate / 1e6).toFixed(2)} M/s`

const memory = Effect.gen(function* () {
  const bare = yield* bytesEach(idleActors, Effect.replicateEffect(bareActor, idleActors))
  yield* Fiber.interruptAll(bare.kept.map(({ fiber }) => fiber))
  const keeper = yield* supervisor("idle")
  const actors = yield* bytesEach(idleActors, startCounters(keeper, idleActors))
  yield* keeper.drain("30 seconds")
  return {
    what: `bytes per idle supervised actor (${idleActors})`,
    value: actors.bytes.toFixed(0),
    against: `${bare.bytes.toFixed(0)} bare fiber + Queue + Ref`,
    ratio: times(actors.bytes / bare.bytes)
  }
})

const bareTells = Effect.gen(function* () {
  const { queue, state, fiber } = yield* bareActor
  yield* Effect.gen(function* () {
    for (let sent = 0; sent < messages; sent += burst) {
      for (let i = 0; i < burst; i++) yield* Queue.offer(queue, count)
      while ((yield* Ref.get(state)) < sent + burst) yield* Effect.yieldNow
    }
  })
  yield* Fiber.interrupt(fiber)
})

const tellOne = Effect.gen(function* () {
  const keeper = yield* supervisor("one")
  const [ref] = yield* startCounters(keeper, 1)
  if (ref === undefined) return yield* Effect.die("no actor")
  const tells = Effect.gen(function* () {
    for (let sent = 0; sent < messages; sent += burst) {
      for (let i = 0; i < burst; i++) yield* ref.tell(count)
      yield* settle(ref)
    }
  })
  const unsafeTells = Effect.gen(function* () {
    for (let sent = 0; sent < messages; sent += burst) {
      for (let i = 0; i < burst; i++) ref.tellUnsafe(count)
      yield* settle(ref)
    }
  })
  const bare = yield* perSecond(messages, bareTells)
  const actor = yield* perSecond(messages, tells)
  const unsafe = yield* perSecond(messages, unsafeTells)
  yield* keeper.drain("30 seconds")
  const against = `${inMillions(bare)} bare Queue.offer and take`
  return [
    { what: "tell to one actor", value: inMillions(actor), against, ratio: times(actor / bare) },
    { what: "tellUnsafe to one actor", value: inMillions(unsafe), against, ratio: times(unsafe / bare) }
  ]
})

const bareRoundRobin = Effect.gen(function* () {
  const actors = yield* Effect.replicateEffect(bareActor, roundRobin)
  const rounds = messages / roundRobin
  const rate = yield* perSecond(
    messages,
    Effect.gen(function* () {
      for (let round = 1; round <= rounds; round++) {
        for (const { queue } of actors) Queue.offerUnsafe(queue, count)
        for (const { state } of actors) while ((yield* Ref.get(state)) < round) yield* Effect.yieldNow
      }
    })
  )
  yield* Fiber.interruptAll(actors.map(({ fiber }) => fiber))
  return rate
})

const tellMany = Effect.gen(function* () {
  const bare = yield* bareRoundRobin
  const keeper = yield* supervisor("many")
  const refs = yield* startCounters(keeper, roundRobin)
  const last = refs.at(-1)
  if (last === undefined) return yield* Effect.die("no actor")
  const actor = yield* perSecond(
    messages,
    Effect.gen(function* () {
      for (let round = 0; round < messages / roundRobin; round++) {
        for (const ref of refs) ref.tellUnsafe(count)
        // Turns are taken in order: when the last has answered, so have all.
        yield* settle(last)
      }
    })
  )
  yield* keeper.drain("30 seconds")
  return {
    what: `tell round-robin over ${roundRobin} actors`,
    value: inMillions(actor),
    against: `${inMillions(bare)} bare queues`,
    ratio: times(actor / bare)
  }
})

const asking = Effect.gen(function* () {
  const keeper = yield* supervisor("asked")
  const [ref] = yield* startCounters(keeper, 1)
  if (ref === undefined) return yield* Effect.die("no actor")
  const { queue, fiber } = yield* bareAnswerer
  const bareAsk = Effect.suspend(() => {
    const reply = Deferred.makeUnsafe<number>()
    Queue.offerUnsafe(queue, reply)
    return Effect.timeout(Deferred.await(reply), "30 seconds")
  })
  const manyAtOnce = <E>(ask: Effect.Effect<number, E>) =>
    perSecond(
      asks,
      Effect.forEach(Array.from({ length: asks }), () => ask, { concurrency: 100, discard: true })
    )
  const bare = yield* manyAtOnce(bareAsk)
  const actor = yield* manyAtOnce(settle(ref))
  const alone = yield* perSecond(asks, Effect.repeat(settle(ref), { times: asks - 1 }))
  yield* Fiber.interrupt(fiber)
  yield* keeper.drain("30 seconds")
  const against = `${inMillions(bare)} Deferred + Effect.timeout, 100 at once`
  return [
    { what: "ask with timeout, 100 at once", value: inMillions(actor), against, ratio: times(actor / bare) },
    { what: "ask with timeout, one after the other", value: inMillions(alone), against, ratio: times(alone / bare) }
  ]
})

const bareAnswerer = Effect.gen(function* () {
  const queue = yield* Queue.bounded<Deferred.Deferred<number>>(burst)
  const fiber = yield* Effect.forkDetach(
    Effect.forever(
      Effect.flatMap(Queue.take(queue), (reply) => Deferred.succeed(reply, 1)),
      { disableYield: true }
    )
  )
  return { queue, fiber }
})

export const run = (): Promise<Array<Line>> =>
  Effect.gen(function* () {
    return [yield* memory, ...(yield* tellOne), yield* tellMany, ...(yield* asking)]
  }).pipe(Effect.scoped, Effect.provide(Layer.mergeAll(Registry.layer, ActorEvents.layer)), Effect.runPromise)

if (import.meta.main) console.table(await run())
