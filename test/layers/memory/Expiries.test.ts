/** The heap of what runs out: always the soonest first, and nothing left behind by what was moved or removed. */
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Expiries, type Expiring } from "../../../src/layers/memory/Expiries.ts"

const Index = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 19 }))
const Step = Schema.Union([
  Schema.TaggedStruct("set", { index: Index, at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 50 })) }),
  Schema.TaggedStruct("remove", { index: Index })
])

it.effect.prop(
  "gives the soonest first after any additions, moves and removals",
  { steps: Schema.Array(Step) },
  ({ steps }) =>
    Effect.sync(() => {
      const heap = new Expiries<Expiring>()
      const entries = Array.from({ length: 20 }, (): Expiring => ({ expiresAt: 0, heapIndex: -1 }))
      const model = new Map<number, number>()
      for (const step of steps) {
        if (step._tag === "set") {
          heap.set(entries[step.index]!, step.at)
          model.set(step.index, step.at)
        } else {
          heap.remove(entries[step.index]!)
          model.delete(step.index)
        }
        assert.strictEqual(heap.size, model.size)
        assert.strictEqual(heap.first()?.expiresAt, model.size === 0 ? undefined : Math.min(...model.values()))
      }
      const drained: Array<number> = []
      for (let first = heap.first(); first !== undefined; first = heap.first()) {
        drained.push(first.expiresAt)
        heap.remove(first)
      }
      assert.deepStrictEqual(
        drained,
        [...model.values()].toSorted((a, b) => a - b)
      )
    })
)
