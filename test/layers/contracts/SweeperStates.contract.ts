/** What every SweeperStates must do, whatever it is made of. */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { type Pass, type SweeperState, SweeperStates } from "../../../src/layers/SweeperStates.ts"
import { aDaemonId, freshTime, unique } from "../../support/factories.ts"
import { atOnce, timesAtOnce } from "./StateProbes.ts"

const aPass = (over: Partial<Pass> = {}): Pass => ({ watermark: null, swept: 0, error: null, at: freshTime(), ...over })
const aName = () => `sweeper-${unique()}`

const stateOf = (name: string) =>
  Effect.map(
    Effect.flatMap(SweeperStates, (states) => states.list),
    (all) => all.find((state) => state.name === name) ?? null
  )

export const sweeperStatesContract = <E>(backEnd: string, over: Layer.Layer<SweeperStates, E>) =>
  layer(over, { excludeTestServices: true })(`SweeperStates on ${backEnd}`, (it) => {
    it.effect("begins with the first epoch and nothing swept", () =>
      Effect.gen(function* () {
        const [name, leader] = [aName(), aDaemonId()]
        const state = yield* (yield* SweeperStates).lead(name, leader)
        const expected: SweeperState = {
          name,
          leader,
          epoch: 1,
          watermark: null,
          sweptAt: null,
          swept: 0,
          lastError: null
        }
        assert.deepStrictEqual(state, expected)
        assert.deepStrictEqual(yield* stateOf(name), expected)
      })
    )

    it.effect("keeps the watermark of each pass and adds up what was swept", () =>
      Effect.gen(function* () {
        const states = yield* SweeperStates
        const [name, leader] = [aName(), aDaemonId()]
        const { epoch } = yield* states.lead(name, leader)
        const watermark = { after: `it's "é"`, deep: [1, null, { at: 1.5 }] }
        const failed = aPass({ watermark: 3, swept: 4, error: "the store is out" })
        assert.isTrue(yield* states.save(name, epoch, failed))
        assert.deepInclude(yield* stateOf(name), {
          watermark: 3,
          swept: 4,
          lastError: failed.error,
          sweptAt: failed.at
        })

        const pass = aPass({ watermark, swept: 5 })
        assert.isTrue(yield* states.save(name, epoch, pass))
        const sums = { watermark, swept: 9, sweptAt: pass.at, lastError: null }
        assert.deepStrictEqual(yield* stateOf(name), { name, leader, epoch, ...sums })
      })
    )

    it.effect("takes over with the next epoch from where the last leader stood", () =>
      Effect.gen(function* () {
        const states = yield* SweeperStates
        const [name, heir] = [aName(), aDaemonId()]
        const { epoch } = yield* states.lead(name, aDaemonId())
        yield* states.save(name, epoch, aPass({ watermark: "here", swept: 2 }))
        const before = yield* stateOf(name)

        const taken = yield* states.lead(name, heir)

        assert.deepStrictEqual(taken, { ...before!, leader: heir, epoch: epoch + 1 })
        assert.deepStrictEqual(yield* stateOf(name), taken)
      })
    )

    it.effect("refuses the pass of a leader that was overtaken, even of one that leads again", () =>
      Effect.gen(function* () {
        const states = yield* SweeperStates
        const [name, leader] = [aName(), aDaemonId()]
        const first = yield* states.lead(name, leader)
        const second = yield* states.lead(name, aDaemonId())
        yield* states.save(name, second.epoch, aPass({ watermark: "ahead", swept: 1 }))
        const third = yield* states.lead(name, leader)

        for (const epoch of [first.epoch, second.epoch, third.epoch + 1]) {
          assert.isFalse(yield* states.save(name, epoch, aPass({ watermark: "behind", swept: 100 })))
          assert.deepStrictEqual(yield* stateOf(name), third)
        }
        assert.isTrue(yield* states.save(name, third.epoch, aPass()))
        assert.isFalse(yield* states.save(aName(), 1, aPass()), "nobody leads that one")
      })
    )

    it.effect("gives every one of twenty who lead at once an epoch of its own, and only the last may save", () =>
      Effect.gen(function* () {
        const states = yield* SweeperStates
        const name = aName()
        const led = yield* timesAtOnce(20, () => states.lead(name, aDaemonId()))
        const epochs = led.map(({ epoch }) => epoch).toSorted((a, b) => a - b)
        assert.deepStrictEqual(
          epochs,
          Array.from({ length: 20 }, (_, n) => n + 1)
        )
        const saved = yield* atOnce(epochs.map((epoch) => states.save(name, epoch, aPass({ swept: 1 }))))
        assert.deepStrictEqual([saved.filter(Boolean).length, saved.at(-1)], [1, true])
        assert.strictEqual((yield* stateOf(name))?.swept, 1)
      })
    )

    it.effect("lists sweepers by name, each for itself", () =>
      Effect.gen(function* () {
        const states = yield* SweeperStates
        const word = unique()
        for (const letter of ["b", "a", "c"]) yield* states.lead(`${word}-${letter}`, aDaemonId())
        yield* states.save(`${word}-a`, 1, aPass({ swept: 7 }))
        const own = (yield* states.list).filter(({ name }) => name.startsWith(word))
        assert.deepStrictEqual(
          own.map(({ name, swept }) => [name.slice(-1), swept]),
          [
            ["a", 7],
            ["b", 0],
            ["c", 0]
          ]
        )
      })
    )
  })
