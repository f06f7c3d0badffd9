/** What stands in front of every back end of JobSearch: bounds on how many ask at once, how much is looked through, and how many groups there are. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { type Driver, GROUPS_MAX, LOOKED_MAX, make } from "../../src/layers/JobSearch.ts"
import type { StatsRow } from "../../src/layers/JobTally.ts"
import { Credits } from "../../src/schemas/Credits.ts"
import { freshJob, freshNamespace, operator } from "../support/recordFactories.ts"

const driver = (over: Partial<Driver>): Driver => ({
  search: () => Effect.succeed([]),
  look: () => Effect.succeed({ found: [], reached: null }),
  stats: () => Effect.succeed([]),
  finished: () => Effect.succeed([]),
  ...over
})

const QUERY = { groupBy: ["model"], from: 0, to: 1 } as const
const settle = Effect.forEach(Array.from({ length: 200 }), () => Effect.yieldNow, { discard: true })

it.effect("answers four heavy questions at once, lets some wait, and refuses the rest until there is room", () =>
  Effect.gen(function* () {
    let running = 0
    const { stats, searchText, search } = make(
      driver({
        stats: () =>
          Effect.andThen(
            Effect.sync(() => running++),
            Effect.never
          )
      })
    )
    const asked = yield* Effect.forEach(Array.from({ length: 36 }), () => Effect.forkChild(stats(operator, QUERY)))
    yield* settle
    assert.strictEqual(running, 4)
    const refusal = yield* Effect.flip(searchText(freshNamespace(), {}, "word", null, 1))
    assert.strictEqual(refusal._tag === "Refusal" && refusal.code, "overloaded")
    assert.deepStrictEqual(yield* search(operator, {}, null, 1), [])
    yield* Effect.forEach(asked, Fiber.interrupt)
    assert.deepStrictEqual(yield* searchText(freshNamespace(), {}, "word", null, 1), { found: [], next: null })
  })
)

it.effect("looks no further than its bound for a word, however much there is", () =>
  Effect.gen(function* () {
    let looked = 0
    const { searchText } = make(
      driver({
        look: (_namespace, _filter, _word, _after, bounds) =>
          Effect.sync(() => {
            looked += bounds.looked
            return { found: [], reached: { createdAt: 1_000_000 - looked, jobId: freshJob() } }
          })
      })
    )
    const { next } = yield* searchText(freshNamespace(), {}, "word", null, 20)
    assert.strictEqual(looked, LOOKED_MAX)
    assert.strictEqual(next?.createdAt, 1_000_000 - LOOKED_MAX)
  })
)

it.effect("refuses an answer of too many groups", () =>
  Effect.gen(function* () {
    const row: StatsRow = {
      groups: ["a"],
      jobs: 1,
      completed: 0,
      failed: 0,
      promptTokens: 0,
      outputTokens: 0,
      cost: Credits.make(0n),
      queueMs: null,
      firstTokenMs: null,
      totalMs: null
    }
    const rows = (count: number) =>
      make(driver({ stats: () => Effect.succeed(Array.from({ length: count }, () => row)) }))
    assert.lengthOf(yield* rows(GROUPS_MAX).stats(operator, QUERY), GROUPS_MAX)
    const refusal = yield* Effect.flip(rows(GROUPS_MAX + 1).stats(operator, QUERY))
    assert.strictEqual(refusal._tag === "Refusal" && refusal.param, "group_by")
  })
)
