/**
 * Group commit for back ends that speak to a server: what arrives while a batch is on its way leaves together as the next one, so batches grow with
 * the load and a lone call never waits for company. After a crowd the next batch fills up for a while: a server that is busy does more in fewer,
 * larger batches, and so does this process. Each caller learns its own outcome; a batch that fails as a whole fails as an Outage for each, and when it
 * took long to fail, for those as well who waited behind it: nobody waits for one silence after another.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { Outage } from "./Outage.ts"

export interface BatchOptions<Item, Result, Error> {
  /** The contract and method, for the Outage of a caller that found no room. */
  readonly of: string
  readonly during: string
  /** Items of one batch. */
  readonly batchMax: number
  /** Batches on their way at once. More than one gives up the order between them. */
  readonly atOnce: number
  /** Items that may wait; one more is refused as an Outage, because memory is no place for a backlog. */
  readonly waitingMax: number
  /** One outcome for each item, in order. Must not fail for the fault of one item. */
  readonly run: (items: ReadonlyArray<Item>) => Effect.Effect<ReadonlyArray<Exit.Exit<Result, Error>>, Outage>
}

/** A batch of so many is a crowd: more are on their way. */
const CROWD_MIN = 4
/** For how long the next batch then fills up: this many times what the last one took, and never longer than `REST_MAX_MS`. */
const REST_SHARE = 2
const REST_MAX_MS = 100
/** A batch that failed after so long was not answered. */
const SILENCE_MS = 1000
const NANOS_PER_MS = 1_000_000

interface Waiting<Item, Result, Error> {
  readonly item: Item
  readonly done: Deferred.Deferred<Result, Error | Outage>
}

/** A function that behaves like a single call and is carried out in batches. Its batches end with the scope. */
export const make = <Item, Result, Error = never>(
  options: BatchOptions<Item, Result, Error>
): Effect.Effect<(item: Item) => Effect.Effect<Result, Error | Outage>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    let waiting: Array<Waiting<Item, Result, Error>> = []
    let underWay = 0
    let closed = false

    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        closed = true
        for (const { done } of waiting) Deferred.doneUnsafe(done, Exit.fail(ended(options)))
        waiting = []
      })
    )

    const carryOut = (batch: ReadonlyArray<Waiting<Item, Result, Error>>) =>
      options.run(batch.map(({ item }) => item)).pipe(
        Effect.onExit((exit) =>
          Effect.sync(() =>
            batch.forEach(({ done }, index) => Deferred.doneUnsafe(done, outcomeOf(options, exit, index)))
          )
        ),
        Effect.exit
      )

    const giveUp = (exit: Exit.Exit<ReadonlyArray<Exit.Exit<Result, Error>>, Outage>): void => {
      const behind = waiting
      waiting = []
      for (const { done } of behind) Deferred.doneUnsafe(done, outcomeOf(options, exit, 0))
    }

    /** To see that nothing waits and to come to rest is one step, which no caller gets between: he would wait for nobody. */
    const takeBatch = (): ReadonlyArray<Waiting<Item, Result, Error>> | null => {
      if (waiting.length === 0) {
        underWay -= 1
        return null
      }
      const batch = waiting.slice(0, options.batchMax)
      waiting = waiting.slice(options.batchMax)
      return batch
    }

    /** The next batch starts with what came meanwhile; an idle batcher holds no fiber. */
    const drain: Effect.Effect<void> = Effect.gen(function* () {
      for (let batch = takeBatch(); batch !== null; batch = takeBatch()) {
        const from = yield* Clock.monotonicTimeNanos
        const exit = yield* carryOut(batch)
        const tookMs = Number((yield* Clock.monotonicTimeNanos) - from) / NANOS_PER_MS
        if (Exit.isFailure(exit) && tookMs >= SILENCE_MS) giveUp(exit)
        const isFull = waiting.length >= options.batchMax
        if (batch.length >= CROWD_MIN && !isFull) yield* Effect.sleep(Math.min(tookMs * REST_SHARE, REST_MAX_MS))
      }
    })

    return (item) =>
      Effect.suspend(() => {
        if (closed) return Effect.fail(ended(options))
        if (waiting.length >= options.waitingMax) return Effect.fail(noRoom(options))
        const done = Deferred.makeUnsafe<Result, Error | Outage>()
        waiting.push({ item, done })
        if (underWay >= options.atOnce) return Deferred.await(done)
        underWay += 1
        // After a turn of the scheduler, so that calls of one burst leave in one batch.
        return Effect.andThen(Effect.forkIn(Effect.andThen(Effect.yieldNow, drain), scope), Deferred.await(done))
      })
  })

const outcomeOf = <Result, Error>(
  method: Method,
  exit: Exit.Exit<ReadonlyArray<Exit.Exit<Result, Error>>, Outage>,
  index: number
): Exit.Exit<Result, Error | Outage> => {
  if (Exit.isFailure(exit))
    return Cause.hasInterrupts(exit.cause) ? Exit.fail(ended(method)) : Exit.failCause(exit.cause)
  return (
    exit.value[index] ?? Exit.die(new Error(`a batch of more than ${index} items has no outcome for item ${index}`))
  )
}

type Method = Pick<BatchOptions<never, never, never>, "of" | "during">

/** Whether it was carried out is not known, as with every Outage of a write. */
const ended = ({ of, during }: Method) => new Outage({ of, during, cause: new Error("the back end is closed") })

const noRoom = ({ of, during, waitingMax }: Method & { waitingMax: number }) =>
  new Outage({ of, during, cause: new Error(`${waitingMax} calls wait already`) })
