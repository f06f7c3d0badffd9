/** Old snapshots that are let go: what stays is whole, what only they had is gone, and whoever dies on the way has deleted nothing that is needed. */
import { Arbitrary, Effect, Exit, Schema } from "effect"
import { assert, describe, it } from "@effect/vitest"
import { Outage } from "../../src/layers/Outage.ts"
import type { StateRow } from "../../src/schemas/StateTable.ts"
import { inColdStorage } from "../../src/snapshots/Blocks.ts"
import * as Heads from "../../src/snapshots/Heads.ts"
import { prune } from "../../src/snapshots/Pruning.ts"
import { listOf, verifyIn } from "../../src/snapshots/Snapshots.ts"
import { openSnapshot, tableCids, treeCids } from "../../src/snapshots/Walking.ts"
import { jobRow } from "../support/stateFactories.ts"
import { AT, type Cold, coldStorage, memoryRows, quiet, snapshotOf } from "./Bench.ts"

const SIZE = { namespaces: 3, jobs: 1200 }
const jobs = (from: number, to: number): ReadonlyArray<StateRow> =>
  Array.from({ length: to - from }, (_, n) => jobRow(from + n, SIZE))

/** So many snapshots over rows of which some come and some go in between. */
const chain = Effect.fnUntraced(function* (count: number) {
  const [cold, { state, rows }] = [coldStorage(), memoryRows(new Map([["job", jobs(0, 900)]]))]
  for (let n = 0; n < count; n++) {
    state.tables.set("job", jobs(n * 40, 900 + n * 40))
    yield* snapshotOf(rows, cold, AT + n)
  }
  return { cold, rows, state }
})

const blocksOf = (cold: Cold) => [...cold.held.keys()].filter((name) => name.startsWith("blocks/")).toSorted()

/** Names of all blocks that the snapshots which are there lead to, by another way than pruning's. */
const needed = Effect.fnUntraced(function* (cold: Cold) {
  const names = new Set<string>()
  const source = inColdStorage(cold)
  for (const { sealed } of yield* listOf(cold, 100)) {
    const opened = yield* openSnapshot(source, Heads.cidIn(sealed))
    const { state, references } = opened.snapshot
    for (const cid of [sealed, opened.sealed.snapshot, state, references]) names.add(String(cid))
    for (const [, cid] of tableCids(opened)) for (const name of yield* treeCids(source, cid)) names.add(name)
  }
  return [...names].map((cid) => `blocks/${cid.slice(-2)}/${cid}`).toSorted()
})

const allWhole = Effect.fnUntraced(function* (cold: Cold) {
  for (const { number } of yield* listOf(cold, 100))
    assert.deepStrictEqual((yield* verifyIn(cold, number, null, quiet)).faults, [])
})

const numbersOf = (cold: Cold) => Effect.map(listOf(cold, 100), (heads) => heads.map(({ number }) => number))

describe("S18: old snapshots", () => {
  it.effect("go with the blocks that only they had, and the others are whole", () =>
    Effect.gen(function* () {
      const { cold, rows } = yield* chain(5)
      const before = blocksOf(cold).length
      const would = yield* prune({ rows, blobs: cold }, { keep: 2, dryRun: true }, quiet)
      assert.strictEqual(blocksOf(cold).length, before)
      const pruned = yield* prune({ rows, blobs: cold }, { keep: 2, dryRun: false }, quiet)
      assert.deepStrictEqual(pruned, { dryRun: false, removed: 3, kept: 2, oldest: 4, blocks: pruned.blocks })
      assert.deepStrictEqual(would, { ...pruned, dryRun: true })
      assert.strictEqual(blocksOf(cold).length, before - pruned.blocks)
      assert.isAbove(pruned.blocks, 0)
      assert.deepStrictEqual(yield* numbersOf(cold), [5, 4])
      assert.deepStrictEqual(blocksOf(cold), yield* needed(cold))
      yield* allWhole(cold)
    })
  )

  it.effect("give their numbers to nobody: the next one follows the newest, and shares its blocks", () =>
    Effect.gen(function* () {
      const { cold, rows } = yield* chain(3)
      yield* prune({ rows, blobs: cold }, { keep: 1, dryRun: false }, quiet)
      const next = yield* snapshotOf(rows, cold, AT + 9)
      assert.strictEqual(next.number, 4)
      assert.isAtMost(next.blocksAdded, 4)
      yield* allWhole(cold)
    })
  )

  it.effect("stay, all of them, when one that should stay is broken, which is told", () =>
    Effect.gen(function* () {
      const { cold, rows } = yield* chain(4)
      const [newest] = yield* listOf(cold, 1)
      const root = blocksOf(cold).find((name) => name.endsWith(newest?.state ?? "?")) ?? ""
      const bytes = cold.held.get(root)
      cold.held.delete(root)
      const before = [...cold.held.keys()]
      const error = yield* Effect.flip(prune({ rows, blobs: cold }, { keep: 1, dryRun: false }, quiet))
      assert.include(error.message, newest?.state ?? "?")
      assert.deepStrictEqual([...cold.held.keys()], before)
      cold.held.set(root, bytes!)
      assert.deepInclude(yield* prune({ rows, blobs: cold }, { keep: 1, dryRun: false }, quiet), { removed: 3 })
    })
  )

  it.effect("take along what an attempt that broke off has left, and nothing that is no block", () =>
    Effect.gen(function* () {
      const { cold, rows, state } = yield* chain(1)
      const names = blocksOf(cold)
      state.tables.set("job", jobs(300, 1200))
      yield* snapshotOf(rows, cold)
      cold.held.delete(Heads.headName(2))
      cold.held.set("blocks/README", new Uint8Array(3))
      const { blocks } = yield* prune({ rows, blobs: cold }, { keep: 9, dryRun: false }, quiet)
      assert.isAbove(blocks, 0)
      assert.deepStrictEqual(blocksOf(cold), ["blocks/README", ...names].toSorted())
    })
  )

  it.effect("are not touched while a snapshot is being made, nor is one made meanwhile", () =>
    Effect.gen(function* () {
      const { cold, rows } = yield* chain(2)
      const kept = { keep: 1, dryRun: false }
      const while1 = yield* Effect.flip(rows.view(() => prune({ rows, blobs: cold }, kept, quiet)))
      assert.deepInclude(while1, { _tag: "Refusal", code: "conflict" })
      const making: Array<string> = []
      const attempt = Effect.match(snapshotOf(rows, cold), { onFailure: ({ _tag }) => _tag, onSuccess: () => "made" })
      const report = () => Effect.map(attempt, (said) => void making.push(said))
      yield* prune({ rows, blobs: cold }, kept, report)
      assert.deepStrictEqual([...new Set(making)], ["Refusal"])
      assert.deepStrictEqual(yield* numbersOf(cold), [2])
    })
  )

  it.effect.prop(
    "lose nothing that is needed when whoever lets them go dies at any call, and the next one ends it",
    { dies: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 }))) },
    ({ dies }) =>
      Effect.gen(function* () {
        const { cold, rows } = yield* chain(4)
        let calls = 0
        const dead = new Outage({ of: "Archive", during: "remove", cause: "killed" })
        const remove = (name: string) => (calls++ >= dies ? Effect.fail(dead) : cold.remove(name))
        const exit = yield* Effect.exit(prune({ rows, blobs: { ...cold, remove } }, { keep: 2, dryRun: false }, quiet))
        yield* allWhole(cold)
        assert.include([...(yield* numbersOf(cold))], 4)
        yield* prune({ rows, blobs: cold }, { keep: 2, dryRun: false }, quiet)
        assert.deepStrictEqual(yield* numbersOf(cold), [4, 3])
        assert.deepStrictEqual(blocksOf(cold), yield* needed(cold))
        assert.strictEqual(Exit.isSuccess(exit), calls <= dies)
      }),
    { arbitrary: { runs: 15 }, timeout: 60_000 }
  )
})
