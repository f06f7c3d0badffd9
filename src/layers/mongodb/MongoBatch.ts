/**
 * Many calls of one method as one bulk. Batches go in lanes by the job they are about: those of one job in their order, those of other jobs beside it.
 * What no server would take is found out one by one, so that only the call whose fault it is dies.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { AnyBulkWriteOperation, Collection, Document, WriteConcern } from "mongodb"
import * as Batcher from "../Batcher.ts"
import type { Outage } from "../Outage.ts"
import type { During, MongoClient } from "./MongoClient.ts"
import { hasOnlyDuplicates, isOurs } from "./MongoErrors.ts"

/** With `batchMax` 1 and many lanes there are no batches, for comparison. */
export interface Grouping {
  readonly batchMax: number
  readonly lanes: number
  readonly waitingMax: number
}

/** One lane: a second one halves the batches, and their number is what costs. */
export const GROUPING: Grouping = { batchMax: 256, lanes: 1, waitingMax: 16_384 }

export interface GroupedMethod<Item, Result> {
  readonly during: During
  readonly jobOf: (item: Item) => string
  /** One outcome for each item, in order. */
  readonly together: (items: ReadonlyArray<Item>) => Promise<ReadonlyArray<Result>>
}

const laneOf = (jobId: string, lanes: number): number => {
  let hash = 0
  for (let at = 0; at < jobId.length; at++) hash = (Math.imul(hash, 31) + jobId.charCodeAt(at)) >>> 0
  return hash % lanes
}

/** All of them, or each alone when one of them is nothing that a server could take. */
const fairly = async <Item, Result>(
  together: (items: ReadonlyArray<Item>) => Promise<ReadonlyArray<Result>>,
  items: ReadonlyArray<Item>
): Promise<ReadonlyArray<Exit.Exit<Result>>> => {
  try {
    return (await together(items)).map((result) => Exit.succeed(result))
  } catch (cause) {
    if (!isOurs(cause)) throw cause
    if (items.length === 1) return [Exit.die(cause)]
    const outcomes: Array<Exit.Exit<Result>> = []
    for (const item of items) outcomes.push(...(await fairly(together, [item])))
    return outcomes
  }
}

export const make = <Item, Result>(
  { run }: MongoClient["Service"],
  { during, jobOf, together }: GroupedMethod<Item, Result>,
  { batchMax, lanes, waitingMax }: Grouping = GROUPING
): Effect.Effect<(item: Item) => Effect.Effect<Result, Outage>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const batchers = yield* Effect.forEach(Array.from({ length: lanes }), () =>
      Batcher.make<Item, Result>({
        of: during.of,
        during: during.method,
        batchMax,
        atOnce: 1,
        waitingMax,
        run: (items) => run(during, () => fairly(together, items))
      })
    )
    return (item) =>
      batchers[laneOf(jobOf(item), lanes)]?.(item) ?? Effect.die(new Error(`${during.of}.${during.method} has no lane`))
  })

/** First those that are the first about their job, then the second ones … */
export const inRounds = async <Item, Result>(
  items: ReadonlyArray<Item>,
  jobOf: (item: Item) => string,
  together: (items: ReadonlyArray<Item>) => Promise<ReadonlyArray<Result>>
): Promise<ReadonlyArray<Result>> => {
  const rounds: Array<Array<number>> = []
  const seen = new Map<string, number>()
  for (const [place, item] of items.entries()) {
    const round = seen.get(jobOf(item)) ?? 0
    seen.set(jobOf(item), round + 1)
    ;(rounds[round] ??= []).push(place)
  }
  const outcomes: Array<Result> = []
  for (const places of rounds) {
    const told = await together(places.map((place) => items[place] as Item))
    places.forEach((place, at) => void (outcomes[place] = told[at] as Result))
  }
  return outcomes
}

/** How many documents were found or made; null when some were there already that were to be made. In no order. */
export const bulk = async <Stored extends Document>(
  collection: Collection<Stored>,
  writes: ReadonlyArray<AnyBulkWriteOperation<Stored>>,
  concern: { readonly writeConcern: WriteConcern | { readonly w: number | "majority"; readonly journal?: boolean } }
): Promise<number | null> => {
  try {
    const { insertedCount, matchedCount, upsertedCount } = await collection.bulkWrite([...writes], {
      ordered: false,
      writeConcern: concern.writeConcern as WriteConcern
    })
    return insertedCount + matchedCount + upsertedCount
  } catch (cause) {
    if (!hasOnlyDuplicates(cause)) throw cause
    return null
  }
}
