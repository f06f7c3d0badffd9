/**
 * Many calls of one method as one statement on arrays. The statement gives each item a verdict of its own and fails for no item's fault, with one
 * exception that it cannot help: a value that the server does not take. Then the items go one by one, and only the one whose fault it is dies.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import * as Batcher from "../Batcher.ts"
import type { Outage } from "../Outage.ts"
import type { PgClient } from "./PgClient.ts"
import { type During, explained, isDataError, isOutage, isTaken, outageOf } from "./PgErrors.ts"
import type { Parameter } from "./PgValues.ts"

/** How a method is batched. With `batchMax` 1 there are no batches, for comparison. */
export interface Grouping {
  readonly batchMax: number
  readonly atOnce: number
  readonly waitingMax: number
}

/**
 * One at once: a second one halves the batches, and they wait for each other at the rows of an account. Larger batches cost latency and win
 * little; what waits beyond the bound is a server that does not keep up.
 */
export const GROUPING: Grouping = { batchMax: 256, atOnce: 1, waitingMax: 32_768 }

export interface BatchedMethod<Item, Row extends object, Result, Error> {
  readonly during: During
  readonly text: string
  readonly parameters: (items: ReadonlyArray<Item>) => ReadonlyArray<Parameter>
  /** One outcome for each item, in order. */
  readonly outcomes: (items: ReadonlyArray<Item>, rows: ReadonlyArray<Row>) => ReadonlyArray<Exit.Exit<Result, Error>>
}

export const make = <Item, Row extends object, Result, Error = never>(
  client: PgClient["Service"],
  method: BatchedMethod<Item, Row, Result, Error>,
  grouping: Grouping = GROUPING
): Effect.Effect<(item: Item) => Effect.Effect<Result, Error | Outage>, never, Scope.Scope> => {
  type Outcome = Exit.Exit<Result, Error | Outage>
  const { during, text, parameters, outcomes } = method

  const together = (items: ReadonlyArray<Item>): Effect.Effect<ReadonlyArray<Outcome>, SqlError | Unwritable> =>
    Effect.try({ try: () => parameters(items), catch: (cause) => new Unwritable({ cause }) }).pipe(
      Effect.flatMap((values) => client.raw<Row>(text, values)),
      Effect.map((rows) => outcomes(items, rows))
    )

  const alone = (item: Item): Effect.Effect<Outcome> =>
    together([item]).pipe(
      // Two daemons made the same thing at the same time: the second look finds it made.
      Effect.retry({ times: ALONE_AGAIN, while: (error) => error._tag === "SqlError" && isTaken(error) }),
      Effect.map((told) => told[0] ?? Exit.die(new Error(`${during.of}.${during.method} told nothing of an item`))),
      Effect.catch((error) =>
        Effect.succeed<Outcome>(
          error._tag === "SqlError" && isOutage(error) ? Exit.fail(outageOf(during, error)) : Exit.die(error)
        )
      )
    )

  return Batcher.make<Item, Result, Error | Outage>({
    of: during.of,
    during: during.method,
    ...grouping,
    run: (items) =>
      together(items).pipe(
        Effect.catchTag("Unwritable", () => Effect.forEach(items, alone)),
        Effect.catchIf(isDataError, () => Effect.forEach(items, alone)),
        explained(during)
      )
  })
}

const ALONE_AGAIN = 3

/** A value that has no form on the wire. */
class Unwritable extends Data.TaggedError("Unwritable")<{ readonly cause: unknown }> {}

/** For items that are about the same thing: the place of each among those, from 1. What comes later sees what came before it. */
export const roundsOf = (keys: ReadonlyArray<string>): ReadonlyArray<number> => {
  const seen = new Map<string, number>()
  return keys.map((key) => {
    const round = (seen.get(key) ?? 0) + 1
    seen.set(key, round)
    return round
  })
}

/** Rows by the place of their item, which counts from 1. */
export const placed = <Row extends { readonly place: number }>(rows: ReadonlyArray<Row>, count: number) => {
  const byPlace = Array.from<Row | undefined>({ length: count })
  for (const row of rows) byPlace[row.place - 1] = row
  return byPlace
}
