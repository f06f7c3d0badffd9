/** What every Erasures must do: an order is one order and ends once, and the first stone of a job stands. */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { begun, Erasures } from "../../../src/layers/Erasures.ts"
import type { ErasureOrder } from "../../../src/schemas/Erasure.ts"
import { ErasureId } from "../../../src/schemas/Ids.ts"
import type { ErasureStone } from "../../../src/schemas/Tombstone.ts"
import { aJobId, aNamespaceId, freshTime } from "../../support/factories.ts"

const anOrder = (over: Partial<ErasureOrder> = {}): ErasureOrder => {
  const askedAt = freshTime()
  const id = ErasureId.make(`erasure_${askedAt}`)
  return {
    id,
    namespaceId: aNamespaceId(),
    jobId: null,
    clientTag: null,
    by: "tester",
    reason: "asked",
    askedAt,
    ...over
  }
}

const aStone = (over: Partial<ErasureStone> = {}): ErasureStone => ({
  jobId: aJobId(),
  namespaceId: aNamespaceId(),
  finishedAt: 5,
  sha256: "a".repeat(64),
  erasedAt: 9,
  key: "b".repeat(64),
  signature: "c".repeat(128),
  ...over
})

export const erasuresContract = <E>(backEnd: string, over: Layer.Layer<Erasures, E>) =>
  layer(over, { excludeTestServices: true })(`Erasures on ${backEnd}`, (it) => {
    it.effect("keeps an order as it was asked for, once", () =>
      Effect.gen(function* () {
        const erasures = yield* Erasures
        const order = anOrder({ clientTag: "o'Neil \"\u0000\ud800", reason: "asked\u0000", jobId: aJobId() })
        assert.deepStrictEqual(yield* erasures.order(order), begun(order))
        assert.deepStrictEqual(yield* erasures.order({ ...order, reason: "again" }), begun(order))
        assert.deepStrictEqual(yield* erasures.get(order.id), begun(order))
        assert.isNull(yield* erasures.get(ErasureId.make("erasure_none")))
      })
    )

    it.effect("adds up what the batches did, until it is done, and then no more", () =>
      Effect.gen(function* () {
        const erasures = yield* Erasures
        const order = yield* erasures.order(anOrder())
        yield* erasures.advance(order.id, { cursor: "here", erased: 2, refused: 1, doneAt: null })
        const half = yield* erasures.advance(order.id, { cursor: "there", erased: 3, refused: 0, doneAt: null })
        assert.deepStrictEqual(half, { ...order, cursor: "there", erased: 5, refused: 1 })
        const done = yield* erasures.advance(order.id, { cursor: null, erased: 1, refused: 0, doneAt: 77 })
        assert.deepStrictEqual(done, { ...order, cursor: null, erased: 6, refused: 1, doneAt: 77 })
        assert.isNull(yield* erasures.advance(order.id, { cursor: "late", erased: 9, refused: 9, doneAt: null }))
        assert.deepStrictEqual(yield* erasures.get(order.id), done)
      })
    )

    it.effect("lists all newest first, and those that are open oldest first", () =>
      Effect.gen(function* () {
        const erasures = yield* Erasures
        const [first, second, third] = [anOrder(), anOrder(), anOrder()]
        for (const order of [second, third, first]) yield* erasures.order(order)
        yield* erasures.advance(second.id, { cursor: null, erased: 0, refused: 0, doneAt: 1 })
        const mine = new Set<string>([first.id, second.id, third.id])
        const ids = (found: ReadonlyArray<{ readonly id: string }>) =>
          found.map(({ id }) => id).filter((id) => mine.has(id))
        assert.deepStrictEqual(ids(yield* erasures.list(1000)), [third.id, second.id, first.id])
        assert.deepStrictEqual(ids(yield* erasures.open(1000)), [first.id, third.id])
        assert.lengthOf(yield* erasures.list(1), 1)
        assert.lengthOf(yield* erasures.open(0), 0)
      })
    )

    it.effect("lets the first stone of a job stand", () =>
      Effect.gen(function* () {
        const erasures = yield* Erasures
        const stone = aStone()
        assert.isNull(yield* erasures.stone(stone.jobId))
        assert.deepStrictEqual(yield* erasures.bury(stone), stone)
        assert.deepStrictEqual(yield* erasures.bury({ ...stone, sha256: null, erasedAt: 10 }), stone)
        assert.deepStrictEqual(yield* erasures.stone(stone.jobId), stone)
      })
    )
  })
