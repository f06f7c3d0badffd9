/** The set that candidates are drawn from: its members, and that chance favours none of them. */
import { assert, it } from "@effect/vitest"
import { Effect, Random, Schema } from "effect"
import { FreeSet } from "../../../src/layers/memory/FreeSet.ts"

const Item = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 }))
const Step = Schema.Union([
  Schema.TaggedStruct("add", { item: Item }),
  Schema.TaggedStruct("delete", { item: Item }),
  Schema.TaggedStruct("draw", { max: Item, refused: Item })
])

it.effect.prop(
  "holds what a Set holds and draws distinct members of it, under any steps",
  { steps: Schema.Array(Step) },
  ({ steps }) =>
    Effect.gen(function* () {
      const random = yield* Random.Random
      const set = new FreeSet<number>()
      const model = new Set<number>()
      for (const step of steps) {
        if (step._tag === "add") {
          set.add(step.item)
          model.add(step.item)
        } else if (step._tag === "delete") {
          set.delete(step.item)
          model.delete(step.item)
        } else {
          const drawn = set.draw(
            step.max,
            (item) => item !== step.refused,
            () => random.nextDoubleUnsafe()
          )
          const able = [...model].filter((item) => item !== step.refused)
          assert.strictEqual(new Set(drawn).size, Math.min(step.max, able.length))
          assert.isTrue(drawn.every((item) => able.includes(item)))
        }
        assert.strictEqual(set.size, model.size)
        for (let item = 0; item < 10; item++) assert.strictEqual(set.has(item), model.has(item))
      }
    })
)

it.effect("draws every member equally often, however it was ordered before", () =>
  Effect.gen(function* () {
    const random = yield* Random.Random
    const set = new FreeSet<number>()
    for (let item = 0; item < 10; item++) set.add(item)
    const drawn = Array.from({ length: 10 }, () => 0)
    for (let round = 0; round < 10_000; round++) {
      for (const item of set.draw(
        3,
        () => true,
        () => random.nextDoubleUnsafe()
      ))
        drawn[item]!++
    }
    for (const times of drawn) assert.approximately(times, 3000, 200)
  }).pipe(Random.withSeed("fair"))
)
