/** What every NetworkKeys must do: a key that was used is known for good, and counted are the living daemons that sign with it. */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { Daemons } from "../../../src/layers/Daemons.ts"
import { NetworkKeys } from "../../../src/layers/NetworkKeys.ts"
import { freshTime, livingDaemon, unique } from "../../support/factories.ts"
import type { JobServices, StateCapabilities } from "./StateProbes.ts"

const aKey = () => ({ id: `nk_${unique()}`, publicKey: "ab".repeat(32) })

const known = (id: string) =>
  Effect.map(
    Effect.flatMap(NetworkKeys, ({ list }) => list),
    (keys) => keys.find((key) => key.id === id)
  )

export const networkKeysContract = <E>(
  backEnd: string,
  over: Layer.Layer<NetworkKeys | JobServices, E>,
  { soleOwner = false }: StateCapabilities = {}
) =>
  layer(over, { excludeTestServices: true })(`NetworkKeys on ${backEnd}`, (it) => {
    it.effect("knows a key since its first use, and how many living daemons use it", () =>
      Effect.gen(function* () {
        const keys = yield* NetworkKeys
        const at = freshTime()
        const key = aKey()
        const one = yield* livingDaemon(at)
        yield* keys.use(one, key, at)
        assert.deepStrictEqual(yield* known(key.id), { ...key, since: at, daemons: 1 })
        yield* keys.use(one, key, at + 5)
        assert.deepStrictEqual(yield* known(key.id), { ...key, since: at, daemons: 1 }, "twice")
        if (soleOwner) return
        const two = yield* livingDaemon(at)
        yield* keys.use(two, key, at + 10)
        assert.deepStrictEqual(yield* known(key.id), { ...key, since: at, daemons: 2 })
      })
    )

    it.effect("keeps the old key when a daemon comes back with another, and forgets none whose daemons are gone", () =>
      Effect.gen(function* () {
        const keys = yield* NetworkKeys
        const at = freshTime()
        const [old, other] = [aKey(), aKey()]
        const one = yield* livingDaemon(at)
        yield* keys.use(one, old, at)
        yield* keys.use(one, other, at + 1)
        assert.deepStrictEqual(yield* known(old.id), { ...old, since: at, daemons: 0 })
        assert.deepStrictEqual(yield* known(other.id), { ...other, since: at + 1, daemons: 1 })
        yield* (yield* Daemons).leave(one, at + 2)
        assert.deepStrictEqual(yield* known(other.id), { ...other, since: at + 1, daemons: 0 })
        const all = (yield* keys.list).map(({ since }) => since)
        assert.deepStrictEqual(
          all,
          all.toSorted((a, b) => a - b)
        )
      })
    )
  })
