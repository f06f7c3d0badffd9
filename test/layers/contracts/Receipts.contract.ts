/** What every Receipts must do: one leaf a job for good, a closed hour that gets no further leaf, roots without a gap, and proofs that lead to them. */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { JobStore } from "../../../src/layers/JobStore.ts"
import { type Block, HOUR_MS, hourOf, type Leaf, type NewLeaf, Receipts } from "../../../src/layers/Receipts.ts"
import { JobId } from "../../../src/schemas/Ids.ts"
import { BLOCK_LEAVES, leafHash, pathIn, rootFrom, rootOver } from "../../../src/schemas/MerkleTree.ts"
import type { RootStatement, SignedRoot } from "../../../src/schemas/Receipt.ts"
import { FIRST_ROOT, rootBytes } from "../../../src/schemas/ReceiptHashes.ts"
import { aFinish, freshTime, livingDaemon, unique } from "../../support/factories.ts"
import { testKey } from "../../support/networkKey.ts"
import { admitted, claimed, doneOf, type JobServices, timesAtOnce } from "./StateProbes.ts"

const hex = (n: number) => n.toString(16).padStart(64, "0")
let made = 0

const aLeaf = (endedAt: number, over: Partial<NewLeaf> = {}): NewLeaf => ({
  jobId: JobId.make(`job_${unique()}`),
  endedAt,
  hash: hex(++made),
  blind: hex(made + 1_000_000),
  ...over
})

/** In the first hour of a day of its own that is later than every closed one. */
const anOpenHour = Effect.gen(function* () {
  const last = yield* (yield* Receipts).last
  return Math.max(hourOf(freshTime()), last === null ? 0 : last.statement.hour + 24 * HOUR_MS)
})

const rootOf = Effect.fnUntraced(function* (hour: number, leaves: ReadonlyArray<Leaf>) {
  const last = yield* (yield* Receipts).last
  const blocks: Array<Block> = []
  for (let at = 0; at < leaves.length; at += BLOCK_LEAVES) {
    const block = leaves.slice(at, at + BLOCK_LEAVES)
    blocks.push({ firstJobId: block[0]!.jobId, hash: rootOver(block.map(({ hash }) => leafHash(hash))) })
  }
  const statement: RootStatement = {
    domain: "resultity/root/v1",
    environment: "testnet",
    number: (last?.statement.number ?? 0) + 1,
    hour,
    size: leaves.length,
    root: rootOver(blocks.map(({ hash }) => hash)),
    previous: FIRST_ROOT
  }
  const root: SignedRoot = { statement, network: testKey.sign((keyId) => rootBytes(statement, keyId)) }
  return { root, blocks }
})

const allOf = Effect.fnUntraced(function* (hour: number, page: number) {
  const receipts = yield* Receipts
  const all: Array<Leaf> = []
  while (true) {
    const next = yield* receipts.leaves(hour, all.at(-1)?.jobId ?? null, page)
    all.push(...next)
    if (next.length < page) return all
  }
})

export const receiptsContract = <E>(backEnd: string, over: Layer.Layer<Receipts | JobServices, E>) =>
  layer(over, { excludeTestServices: true })(`Receipts on ${backEnd}`, (it) => {
    it.effect("finds jobs that ended and have no leaf, in order of their end", () =>
      Effect.gen(function* () {
        const [receipts, store] = [yield* Receipts, yield* JobStore]
        const at = freshTime()
        const daemonId = yield* livingDaemon(at)
        const end = Effect.fnUntraced(function* (acceptedAt: number, endedAt: number) {
          const row = yield* claimed(yield* admitted({ acceptedAt }), daemonId)
          return doneOf(yield* store.finish(aFinish(row, { at: endedAt }))).job.id
        })
        const second = yield* end(at, at + 20)
        const first = yield* end(at, at + 10)
        yield* admitted({ acceptedAt: at })
        const before: Parameters<typeof receipts.due>[0] = { endedAt: at - 1, jobId: JobId.make("job_0") }
        assert.deepStrictEqual(yield* receipts.due(before, at + 100, 10), [
          { endedAt: at + 10, jobId: first },
          { endedAt: at + 20, jobId: second }
        ])
        assert.deepStrictEqual(yield* receipts.due(before, at + 20, 10), [{ endedAt: at + 10, jobId: first }])
        assert.deepStrictEqual(yield* receipts.due({ endedAt: at + 10, jobId: first }, at + 100, 1), [
          { endedAt: at + 20, jobId: second }
        ])
        yield* receipts.put([aLeaf(at + 10, { jobId: first })])
        assert.deepStrictEqual(yield* receipts.due(before, at + 100, 10), [{ endedAt: at + 20, jobId: second }])
      })
    )

    it.effect("keeps the first leaf of a job, also of those that come at once, and says which it is", () =>
      Effect.gen(function* () {
        const receipts = yield* Receipts
        const hour = yield* anOpenHour
        const { jobId } = aLeaf(hour)
        const offered = Array.from({ length: 8 }, () => aLeaf(hour + 5, { jobId }))
        const answers = (yield* timesAtOnce(8, (n) => receipts.put([offered[n % 8]!]))).flat()
        const [standing] = answers
        assert.strictEqual(new Set(answers.map(({ hash }) => hash)).size, 1)
        assert.deepStrictEqual(yield* receipts.find(jobId), { leaf: standing!, closed: null })
        assert.strictEqual(standing!.hour, hour)
        assert.isNull(yield* receipts.find(JobId.make(`job_${unique()}`)))
        assert.deepStrictEqual(yield* receipts.put([]), [])
      })
    )

    it.effect("closes an hour once, in its turn, with all its leaves, and what is late goes into the next", () =>
      Effect.gen(function* () {
        const receipts = yield* Receipts
        const hour = yield* anOpenHour
        const leaves = [aLeaf(hour), aLeaf(hour + 5), aLeaf(hour + HOUR_MS - 1)]
        yield* receipts.put(leaves)
        const all = yield* allOf(hour, 2)
        assert.deepStrictEqual(
          all.map(({ jobId }) => jobId),
          leaves.map(({ jobId }) => jobId).toSorted()
        )
        const { root, blocks } = yield* rootOf(hour, all)
        const { statement } = root
        const but = (wrong: Partial<RootStatement>) =>
          receipts.close({ ...root, statement: { ...statement, ...wrong } }, blocks)
        assert.isFalse(yield* but({ number: statement.number + 1 }))
        assert.isFalse(yield* but({ size: 2 }))
        assert.isTrue(yield* receipts.close(root, blocks))
        assert.isFalse(yield* receipts.close(root, blocks))
        assert.isFalse(yield* but({ number: statement.number + 1 }), "the same hour again")
        assert.deepStrictEqual(yield* receipts.last, root)
        assert.deepStrictEqual(yield* receipts.roots(statement.number - 1, 10), [root])
        assert.deepStrictEqual(yield* receipts.roots(statement.number, 10), [])

        const [late] = yield* receipts.put([aLeaf(hour + 1)])
        assert.strictEqual(late!.hour, hour + HOUR_MS)
        assert.strictEqual((yield* allOf(hour, 10)).length, 3)
      })
    )

    it.effect("lets no leaf slip into an hour that is being closed", () =>
      Effect.gen(function* () {
        const receipts = yield* Receipts
        const hour = yield* anOpenHour
        yield* receipts.put([aLeaf(hour)])
        const { root, blocks } = yield* rootOf(hour, yield* allOf(hour, 10))
        const [closed, put] = yield* Effect.all([receipts.close(root, blocks), receipts.put([aLeaf(hour)])], {
          concurrency: 2
        })
        assert.strictEqual(put[0]!.hour, closed ? hour + HOUR_MS : hour)
      })
    )

    it.effect("proves a receipt of an hour of several blocks by its block and the roots of the others", () =>
      Effect.gen(function* () {
        const receipts = yield* Receipts
        const hour = yield* anOpenHour
        const leaves = Array.from({ length: 2 * BLOCK_LEAVES + 3 }, () => aLeaf(hour))
        yield* receipts.put(leaves)
        const all = yield* allOf(hour, BLOCK_LEAVES)
        const { root, blocks } = yield* rootOf(hour, all)
        assert.strictEqual(blocks.length, 3)
        assert.isTrue(yield* receipts.close(root, blocks))
        for (const index of [0, BLOCK_LEAVES - 1, BLOCK_LEAVES, all.length - 1]) {
          const { jobId, hash } = all[index]!
          const closed = (yield* receipts.find(jobId))!.closed!
          const at = closed.leaves.findIndex((leaf) => leaf.jobId === jobId)
          assert.strictEqual(closed.block * BLOCK_LEAVES + at, index)
          const within = closed.leaves.map((leaf) => leafHash(leaf.hash))
          const path = [...pathIn(within, at), ...pathIn(closed.blocks, closed.block)]
          assert.strictEqual(rootFrom(leafHash(hash), index, all.length, path), root.statement.root)
        }
      })
    )
  })
