/** What every Catalog must do, whatever it is made of. */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { Catalog, type KnownModel } from "../../../src/layers/Catalog.ts"
import { freshTime, unique } from "../../support/factories.ts"
import { atOnce } from "./StateProbes.ts"

const aModel = (over: Partial<KnownModel> = {}): KnownModel => ({
  name: `vendor/${unique()}`,
  environment: "testnet",
  endpoints: ["chat"],
  firstSeenAt: freshTime(),
  ...over
})

/** The order of its endpoints says nothing. */
const sorted = (model: KnownModel | null): KnownModel | null =>
  model === null ? null : { ...model, endpoints: model.endpoints.toSorted() }

export const catalogContract = <E>(backEnd: string, over: Layer.Layer<Catalog, E>) =>
  layer(over, { excludeTestServices: true })(`Catalog on ${backEnd}`, (it) => {
    it.effect("knows what it learned, in that environment only", () =>
      Effect.gen(function* () {
        const catalog = yield* Catalog
        const model = aModel({ name: `it's "é".${unique()}`, endpoints: ["chat", "embeddings"] })
        assert.isNull(yield* catalog.get("testnet", model.name))
        yield* catalog.learn([model])
        assert.deepStrictEqual(sorted(yield* catalog.get("testnet", model.name)), sorted(model))
        assert.isNull(yield* catalog.get("mainnet", model.name))
      })
    )

    it.effect("gains endpoints and keeps the first date, when a known model is learned again", () =>
      Effect.gen(function* () {
        const catalog = yield* Catalog
        const model = aModel({ endpoints: ["chat"] })
        const { firstSeenAt } = model
        const learn = (endpoints: KnownModel["endpoints"]) =>
          catalog.learn([{ ...model, endpoints, firstSeenAt: firstSeenAt + 5 }])
        yield* catalog.learn([model])
        yield* learn(["completions", "chat"])
        yield* learn(["chat"])
        yield* learn([])
        const expected: KnownModel = { ...model, endpoints: ["chat", "completions"] }
        assert.deepStrictEqual(sorted(yield* catalog.get("testnet", model.name)), expected)
      })
    )

    it.effect("loses no endpoint, when many nodes teach one model at once", () =>
      Effect.gen(function* () {
        const catalog = yield* Catalog
        const model = aModel()
        const endpoints = ["chat", "completions", "embeddings"] as const
        const lessons = Array.from({ length: 30 }, (_, n) => [{ ...model, endpoints: [endpoints[n % 3]!] }])
        yield* atOnce(lessons.map(catalog.learn))
        assert.deepStrictEqual(sorted(yield* catalog.get("testnet", model.name))?.endpoints, [...endpoints])
      })
    )

    it.effect("lists an environment by name, each model once", () =>
      Effect.gen(function* () {
        const catalog = yield* Catalog
        const word = unique()
        const [a, b, c] = ["a", "b", "c"].map((letter) => aModel({ name: `${word}/${letter}` }))
        yield* catalog.learn([c!, a!, c!])
        yield* catalog.learn([b!, aModel({ name: `${word}/d`, environment: "mainnet" })])
        yield* catalog.learn([])
        const own = (yield* catalog.list("testnet")).filter(({ name }) => name.startsWith(word))
        assert.deepStrictEqual(own, [a, b, c])
      })
    )
  })
