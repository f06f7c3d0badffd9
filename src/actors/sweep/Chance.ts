/** Drawing from a list. */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/** undefined of an empty list. */
export const oneOf = <A>(list: ReadonlyArray<A>) =>
  list.length === 0
    ? Effect.succeed(undefined)
    : Effect.map(Random.nextIntBetween(0, list.length - 1), (at) => list[at])

export const shuffled = <A>(list: ReadonlyArray<A>) => Random.shuffle(list)
