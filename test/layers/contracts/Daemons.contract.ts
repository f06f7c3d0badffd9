/** What every Daemons must do, whatever it is made of. That the dead are refused everywhere stands in the JobStore suite. */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { Daemons } from "../../../src/layers/Daemons.ts"
import type { DaemonId } from "../../../src/schemas/Ids.ts"
import { freshTime, livingDaemon, MINUTE, SECOND } from "../../support/factories.ts"
import { type StateCapabilities, timesAtOnce } from "./StateProbes.ts"

const rowOf = (id: DaemonId) =>
  Effect.map(
    Effect.flatMap(Daemons, (daemons) => daemons.list),
    (rows) => rows.find((row) => row.id === id) ?? null
  )
const stateOf = (id: DaemonId) => Effect.map(rowOf(id), (row) => row?.state)

export const daemonsContract = <E>(
  backEnd: string,
  over: Layer.Layer<Daemons, E>,
  { soleOwner = false }: StateCapabilities = {}
) =>
  layer(over, { excludeTestServices: true })(`Daemons on ${backEnd}`, (it) => {
    it.effect("lives after it joined, since then", () =>
      Effect.gen(function* () {
        const daemons = yield* Daemons
        const at = freshTime()
        const id = yield* livingDaemon(at)
        assert.deepStrictEqual(yield* rowOf(id), { id, startedAt: at, beatAt: at, state: "live" })
        assert.isTrue(yield* daemons.beat(id, at + SECOND))
        assert.deepStrictEqual(yield* rowOf(id), { id, startedAt: at, beatAt: at + SECOND, state: "live" })
      })
    )

    it.effect("tells the time, in whole milliseconds, and it goes on", () =>
      Effect.gen(function* () {
        const { time } = yield* Daemons
        const first = yield* time
        assert.isTrue(Number.isInteger(first))
        assert.isAbove(first, Date.UTC(2020, 0))
        assert.isAtLeast(yield* time, first)
      })
    )

    it.effect("declares dead who did not beat since then, once, and nobody else", () =>
      Effect.gen(function* () {
        const daemons = yield* Daemons
        const at = freshTime()
        const id = yield* livingDaemon(at)
        assert.notInclude(yield* daemons.bury(at - SECOND), id)
        assert.strictEqual(yield* stateOf(id), "live")
        yield* daemons.beat(id, at + 5 * SECOND)
        assert.notInclude(yield* daemons.bury(at + SECOND), id)

        assert.include(yield* daemons.bury(at + MINUTE), id)
        assert.strictEqual(yield* stateOf(id), "dead")
        assert.notInclude(yield* daemons.bury(at + MINUTE), id, "it died by the first call")
      })
    )

    it.effect("stays dead, whatever it does", () =>
      Effect.gen(function* () {
        const daemons = yield* Daemons
        const at = freshTime()
        const id = yield* livingDaemon(at)
        yield* daemons.bury(at + SECOND)

        assert.isFalse(yield* daemons.beat(id, at + MINUTE))
        yield* daemons.join(id, at + MINUTE)
        assert.strictEqual(yield* stateOf(id), "dead")
        yield* daemons.leave(id, at + MINUTE)
        assert.strictEqual(yield* stateOf(id), "dead")
      })
    )

    it.effect("has left after an orderly end, and is not declared dead then", () =>
      Effect.gen(function* () {
        const daemons = yield* Daemons
        const at = freshTime()
        const id = yield* livingDaemon(at)
        yield* daemons.leave(id, at + SECOND)
        assert.strictEqual(yield* stateOf(id), "left")
        assert.notInclude(yield* daemons.bury(at + MINUTE), id)
        assert.strictEqual(yield* stateOf(id), "left")
      })
    )

    it.effect("keeps living, when it joins again or beats late", () =>
      Effect.gen(function* () {
        const daemons = yield* Daemons
        const at = freshTime()
        const id = yield* livingDaemon(at)
        yield* daemons.beat(id, at + MINUTE)
        yield* daemons.beat(id, at + SECOND)
        yield* daemons.join(id, at)
        assert.notInclude(yield* daemons.bury(at + 2 * SECOND), id, "a beat is never taken back")
        assert.strictEqual(yield* stateOf(id), "live")
      })
    )

    it.effect.skipIf(soleOwner)("lets many live side by side and declares each dead by its own beat", () =>
      Effect.gen(function* () {
        const daemons = yield* Daemons
        const at = freshTime()
        const [one, two] = [yield* livingDaemon(at), yield* livingDaemon(at)]
        assert.isTrue(yield* daemons.beat(one, at + MINUTE))
        const buried = yield* daemons.bury(at + SECOND)
        assert.include(buried, two)
        assert.notInclude(buried, one)
        assert.deepStrictEqual([yield* stateOf(one), yield* stateOf(two)], ["live", "dead"])
      })
    )

    it.effect.skipIf(soleOwner)("is declared dead by one of many who look at once", () =>
      Effect.gen(function* () {
        const daemons = yield* Daemons
        const at = freshTime()
        const id = yield* livingDaemon(at)
        const buried = yield* timesAtOnce(20, () => daemons.bury(at + SECOND))
        assert.strictEqual(buried.flat().filter((each) => each === id).length, 1)
      })
    )

    it.effect.skipIf(!soleOwner)("declares every earlier one dead when it joins, but none that has left", () =>
      Effect.gen(function* () {
        const daemons = yield* Daemons
        const at = freshTime()
        const gone = yield* livingDaemon(at)
        yield* daemons.leave(gone, at)
        const earlier = yield* livingDaemon(at + SECOND)
        const id = yield* livingDaemon(at + MINUTE)
        assert.deepStrictEqual(
          [yield* stateOf(gone), yield* stateOf(earlier), yield* stateOf(id)],
          ["left", "dead", "live"]
        )
        assert.isFalse(yield* daemons.beat(earlier, at + MINUTE))
      })
    )
  })
