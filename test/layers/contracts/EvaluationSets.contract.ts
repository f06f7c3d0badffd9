/** What every EvaluationSets must do: versions without a gap that nothing changes, with who, when and why. */
import { assert, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { digestOf, EvaluationSets, lineOf } from "../../../src/layers/EvaluationSets.ts"
import { aDraft, freshSetId } from "../../support/qualityFactories.ts"

const prompt = (id: string, text: string) => ({
  id,
  text,
  tokensMin: 8,
  expect: [{ kind: "exact", text: "a\u0000\ud800" }] as const
})

export const evaluationSetsContract = (backEnd: string, layer: Layer.Layer<EvaluationSets, unknown>) =>
  it.layer(layer)(`EvaluationSets on ${backEnd}`, (it) => {
    it.effect("S50: numbers versions from one, and keeps each as it was with who, when and why", () =>
      Effect.gen(function* () {
        const sets = yield* EvaluationSets
        const id = freshSetId()
        const first = yield* sets.add(aDraft({ id, prompts: [prompt("one", "\ud800 lone")], reason: "begin" }))
        const second = yield* sets.add(
          aDraft({ id, prompts: [prompt("one", "other"), prompt("two", "more")], by: "operator/other", at: 2_000 })
        )

        assert.deepStrictEqual([first.version, second.version], [1, 2])
        assert.strictEqual(first.sha256, digestOf(first))
        assert.notStrictEqual(second.sha256, first.sha256)
        assert.deepStrictEqual(yield* sets.get(id, 1), first)
        assert.deepStrictEqual(yield* sets.get(id, 2), second)
        assert.deepStrictEqual(yield* sets.get(id, null), second)
        assert.deepStrictEqual(yield* sets.history(id, 10), [lineOf(second), lineOf(first)])
        assert.deepStrictEqual(yield* sets.history(id, 1), [lineOf(second)])
        const listed = (yield* sets.list).filter((line) => line.id === id)
        assert.deepStrictEqual(listed, [lineOf(second)])
      })
    )

    it.effect("makes no version of what the newest one says already, but one of what an older one said", () =>
      Effect.gen(function* () {
        const sets = yield* EvaluationSets
        const id = freshSetId()
        const draft = aDraft({ id })
        const first = yield* sets.add(draft)
        assert.deepStrictEqual(yield* sets.add({ ...draft, by: "operator/other", at: 9_000 }), first)
        yield* sets.add({ ...draft, models: "other" })

        assert.strictEqual((yield* sets.add(draft)).version, 3)
        assert.strictEqual((yield* sets.history(id, 10)).length, 3)
      })
    )

    it.effect("gives every one of several writers at once a version of its own", () =>
      Effect.gen(function* () {
        const sets = yield* EvaluationSets
        const id = freshSetId()
        const drafts = Array.from({ length: 6 }, (_, at) => aDraft({ id, models: `model-${at}` }))
        const added = yield* Effect.forEach(drafts, sets.add, { concurrency: 6 })

        assert.deepStrictEqual(
          added.map(({ version }) => version).toSorted((a, b) => a - b),
          [1, 2, 3, 4, 5, 6]
        )
        for (const set of added) assert.deepStrictEqual(yield* sets.get(id, set.version), set)
      })
    )

    it.effect("answers null for what is not there", () =>
      Effect.gen(function* () {
        const sets = yield* EvaluationSets
        const { id } = yield* sets.add(aDraft())

        assert.isNull(yield* sets.get(freshSetId(), null))
        assert.isNull(yield* sets.get(id, 2))
        assert.deepStrictEqual(yield* sets.history(freshSetId(), 10), [])
      })
    )
  })
