import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { OrderedHeap } from "../../src/policies/OrderedHeap.ts"

interface Item {
  rank: number
  readonly id: number
}
const before = (a: Item, b: Item) => a.rank < b.rank || (a.rank === b.rank && a.id < b.id)
const steps = Arbitrary.array(
  Arbitrary.all({
    what: Arbitrary.schema(Schema.Literals(["push", "push", "push", "pop", "remove", "move"])),
    at: Arbitrary.schema(Schema.Natural),
    rank: Arbitrary.schema(Schema.Natural)
  }),
  { minLength: 80, maxLength: 160 }
)

describe("OrderedHeap", () => {
  it.prop(
    "it gives what a sorted list gives, through any pushes, removals and moves",
    { steps },
    ({ steps }) => {
      const heap = new OrderedHeap<Item>(before)
      let list: Array<Item> = []
      for (const [id, { what, at, rank }] of steps.entries()) {
        const some = list[at % Math.max(1, list.length)]
        if (what === "push" || some === undefined) {
          const item = { rank: rank % 50, id }
          heap.push(item)
          list.push(item)
        } else if (what === "move") {
          some.rank = rank % 50
          heap.moved(some)
        } else {
          const gone = what === "pop" ? list[0]! : some
          assert.isTrue(heap.remove(gone))
          list = list.filter((item) => item !== gone)
        }
        list.sort((a, b) => (before(a, b) ? -1 : 1))
        assert.strictEqual(heap.peek(), list[0])
        assert.strictEqual(heap.size, list.length)
      }
      for (const item of list) {
        assert.strictEqual(heap.peek(), item)
        heap.remove(item)
      }
      assert.isUndefined(heap.peek())
    },
    { arbitrary: { runs: 300 } }
  )

  it("the item that fills a gap rises, when it belongs above it", () => {
    const heap = new OrderedHeap<Item>(before)
    const items = [1, 10, 2, 11, 12, 3, 4].map((rank) => ({ rank, id: rank }))
    for (const item of items) heap.push(item)
    heap.remove(items[3]!)
    const ranks: Array<number> = []
    for (let item = heap.peek(); item !== undefined; item = heap.peek()) {
      ranks.push(item.rank)
      heap.remove(item)
    }
    assert.deepStrictEqual(ranks, [1, 2, 3, 4, 10, 12])
  })

  it("strangers and repeats change nothing", () => {
    const heap = new OrderedHeap<Item>(before)
    const item = { rank: 1, id: 1 }
    heap.push(item)
    heap.push(item)
    heap.moved({ rank: 0, id: 2 })
    assert.strictEqual(heap.size, 1)
    assert.isFalse(heap.remove({ rank: 1, id: 1 }))
    assert.isTrue(heap.remove(item))
    assert.isFalse(heap.remove(item))
  })
})
