/** Snapshots over rows in memory: what is shared, what is named when it is broken, what a diff reads, and what a restore gives back. */
import { assert, describe, it } from "@effect/vitest"
import { CarReader } from "@ipld/car/reader"
import { decode } from "@ipld/dag-cbor"
import { Effect, Schema, Stream } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import { STATE, type StateRow } from "../../src/schemas/StateTable.ts"
import { cidOf, inColdStorage } from "../../src/snapshots/Blocks.ts"
import { carOf, openCar, verifyCar } from "../../src/snapshots/Car.ts"
import { create } from "../../src/snapshots/Creating.ts"
import * as Heads from "../../src/snapshots/Heads.ts"
import { diffIn, listOf, verifyIn } from "../../src/snapshots/Snapshots.ts"
import { aState, jobRow, rowsOf, stateTableNamed } from "../support/stateFactories.ts"
import { AT, coldStorage, flip, making, memoryRows, quiet, snapshotOf } from "./Bench.ts"

const JOB = stateTableNamed("job")
const SMALL = { namespaces: 4, jobs: 900 } as const
const folder = mkdtempSync(join(tmpdir(), "resultity-car-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const withColumn = (row: StateRow, column: string, value: StateRow[number]): StateRow =>
  row.map((old, at) => (JOB.columns[at]?.name === column ? value : old))

const carBytes = (cold: ReturnType<typeof coldStorage>, sealed: string) =>
  Effect.map(Stream.runCollect(carOf(inColdStorage(cold), Heads.cidIn(sealed))), (parts) => Buffer.concat(parts))

describe("S18: a snapshot", () => {
  it.effect("is numbered, names the one before it, and is signed", () =>
    Effect.gen(function* () {
      const [cold, { rows }] = [coldStorage(), memoryRows(aState(SMALL))]
      const first = yield* snapshotOf(rows, cold)
      const second = yield* snapshotOf(rows, cold, AT + 1)
      assert.deepStrictEqual([first.number, second.number, first.previous], [1, 2, null])
      assert.strictEqual(second.previous, first.root)
      assert.deepStrictEqual(yield* listOf(cold, 10), [second, first])
      for (const { number } of [first, second]) {
        const check = yield* verifyIn(cold, number, first.signer, quiet)
        assert.deepStrictEqual(check.faults, [])
        assert.deepInclude(check, { number, signer: first.signer, rows: first.rows })
      }
    })
  )

  it.effect(
    "of a state that did not change has the same state block, and writes only what stands above it (C108)",
    () =>
      Effect.gen(function* () {
        const [cold, { rows }] = [coldStorage(), memoryRows(aState(SMALL))]
        const first = yield* snapshotOf(rows, cold)
        const second = yield* snapshotOf(rows, cold, AT + 1)
        assert.strictEqual(second.state, first.state)
        assert.notStrictEqual(second.root, first.root)
        assert.isAtMost(second.blocksAdded, 4)
      })
  )

  it.effect("does not depend on the order in which rows came in, or on what was there before", () =>
    Effect.gen(function* () {
      const sample = aState(SMALL)
      const other = memoryRows(new Map([...sample].map(([name, rows]) => [name, rows.toReversed()])))
      const [cold, grown] = [coldStorage(), memoryRows(aState({ ...SMALL, jobs: 17 }))]
      yield* snapshotOf(grown.rows, cold)
      for (const [name, rows] of sample) grown.state.tables.set(name, rows)
      const { state } = yield* snapshotOf(memoryRows(sample).rows, coldStorage())
      assert.strictEqual((yield* snapshotOf(other.rows, coldStorage())).state, state)
      assert.strictEqual((yield* snapshotOf(grown.rows, cold)).state, state)
    })
  )

  it.effect("adds a handful of blocks when one row of 100 000 changed, came or went", () =>
    Effect.gen(function* () {
      const size = { namespaces: 3, jobs: 100_000 }
      const jobs = Array.from({ length: size.jobs }, (_, n) => jobRow(n, size))
      const [cold, { state, rows }] = [coldStorage(), memoryRows(new Map([["job", jobs]]))]
      const whole = yield* snapshotOf(rows, cold)
      assert.isAbove(whole.blocksAdded, 300)
      let now = jobs
      const edits: ReadonlyArray<(rows: ReadonlyArray<StateRow>, at: number) => Array<StateRow>> = [
        (rows, at) => rows.with(at, withColumn(rows[at] ?? [], "error_code", "other")),
        (rows, at) => rows.toSpliced(at, 1),
        (rows, at) => rows.toSpliced(at, 0, withColumn(rows[at] ?? [], "id", `${rows[at - 1]?.[0]}x`))
      ]
      for (const at of [17, 77_777]) {
        for (const edit of edits) {
          now = edit(now, at)
          state.tables.set("job", now)
          const { blocksAdded, bytesAdded } = yield* snapshotOf(rows, cold)
          assert.isAtMost(blocksAdded, 10)
          assert.isBelow(bytesAdded / whole.bytesAdded, 0.02)
        }
      }
    })
  )

  it.effect("writes every block again when it is asked to, also one that was lost", () =>
    Effect.gen(function* () {
      const [cold, { rows }] = [coldStorage(), memoryRows(aState(SMALL))]
      yield* snapshotOf(rows, cold)
      const [[lost] = [""]] = [...cold.held].toSorted(([, one], [, other]) => other.byteLength - one.byteLength)
      cold.held.delete(lost)
      yield* snapshotOf(rows, cold)
      assert.isAbove((yield* verifyIn(cold, 2, null, quiet)).faults.length, 0)
      yield* create(making(rows, cold), { at: AT, full: true }, quiet)
      for (const number of [1, 2, 3]) assert.deepStrictEqual((yield* verifyIn(cold, number, null, quiet)).faults, [])
    })
  )

  it.effect("that breaks off is none, and the next one takes its number", () =>
    Effect.gen(function* () {
      const [cold, { rows }] = [coldStorage(), memoryRows(aState(SMALL))]
      const full = {
        ...cold,
        put: (name: string, bytes: Uint8Array) => (cold.puts.length < 5 ? cold.put(name, bytes) : Effect.die("no room"))
      }
      yield* Effect.exit(snapshotOf(rows, full))
      assert.deepStrictEqual(yield* listOf(cold, 10), [])
      assert.strictEqual((yield* snapshotOf(rows, cold)).number, 1)
    })
  )
})

describe("S18: one flipped byte", () => {
  it.effect.prop(
    "in any block is told with the block and its table",
    { where: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000 })) },
    ({ where }) =>
      Effect.gen(function* () {
        const [cold, { rows }] = [coldStorage(), memoryRows(aState(SMALL))]
        yield* snapshotOf(rows, cold)
        const blocks = [...cold.held].filter(([name]) => name.startsWith("blocks/"))
        const [name, bytes] = blocks[where % blocks.length] ?? ["", new Uint8Array(1)]
        flip(bytes, where % bytes.byteLength)
        const { faults } = yield* verifyIn(cold, 1, null, quiet)
        assert.strictEqual(faults.length, 1)
        assert.strictEqual(faults[0]?.block, name.split("/").at(-1))
        const parts = ["seal", "snapshot", "state", "references", "segment", ...STATE.map((table) => table.name)]
        assert.include(parts, faults[0]?.table)
        assert.include(String(faults[0]?.why), "broken")
      }),
    { arbitrary: { runs: 40 } }
  )

  it.live("anywhere in a CAR file is found", () =>
    Effect.gen(function* () {
      const [cold, { rows }] = [coldStorage(), memoryRows(aState({ namespaces: 2, jobs: 12 }))]
      const head = yield* snapshotOf(rows, cold)
      const bytes = yield* carBytes(cold, head.sealed)
      const path = join(folder, "flipped.car")
      const check = () => {
        writeFileSync(path, bytes)
        return Effect.scoped(Effect.flatMap(openCar(path), (file) => verifyCar(file, { signer: null }, quiet)))
      }
      assert.deepStrictEqual((yield* check()).faults, [])
      // Every byte of the frame at the beginning, and then some of everything.
      const places = Array.from({ length: 500 }, (_, n) => (n < 150 ? n : (n * 7919) % bytes.byteLength))
      for (const at of places) {
        flip(bytes, at)
        assert.isAbove((yield* check()).faults.length, 0, `byte ${at} of ${bytes.byteLength}`)
        flip(bytes, at)
      }
    })
  )

  it.effect("in a head, or a head that names another snapshot, is told", () =>
    Effect.gen(function* () {
      const [cold, { rows }] = [coldStorage(), memoryRows(aState(SMALL))]
      yield* snapshotOf(rows, cold)
      yield* snapshotOf(rows, cold, AT + 1)
      cold.held.set(
        Heads.headName(2),
        Buffer.from(String(Buffer.from(cold.held.get(Heads.headName(1))!)).replace('"number":1', '"number":2'))
      )
      assert.isAbove((yield* verifyIn(cold, 2, null, quiet)).faults.length, 0)
      flip(cold.held.get(Heads.headName(1))!, 3)
      assert.strictEqual((yield* Effect.flip(verifyIn(cold, 1, null, quiet)))._tag, "BrokenSnapshot")
    })
  )

  it.effect("is no matter when another one signed: that is told too", () =>
    Effect.gen(function* () {
      const [cold, { rows }] = [coldStorage(), memoryRows(aState(SMALL))]
      yield* snapshotOf(rows, cold)
      const { faults } = yield* verifyIn(cold, 1, "ab".repeat(32), quiet)
      assert.include(String(faults[0]?.why), "is signed by")
    })
  )
})

it.effect("a CAR file of a snapshot is read by the reader of IPFS, block by block, with the seal as its root", () =>
  Effect.gen(function* () {
    const [cold, { rows }] = [coldStorage(), memoryRows(aState(SMALL))]
    const head = yield* snapshotOf(rows, cold)
    const reader = yield* Effect.promise(async () =>
      CarReader.fromBytes(await Effect.runPromise(carBytes(cold, head.sealed)))
    )
    const roots = yield* Effect.promise(() => reader.getRoots())
    assert.deepStrictEqual(roots.map(String), [head.sealed])
    let blocks = 0
    yield* Stream.runForEach(Stream.fromAsyncIterable(reader.blocks(), String), ({ cid, bytes }) =>
      Effect.sync(() => {
        blocks++
        assert.isTrue(cidOf(bytes).equals(cid))
      })
    )
    assert.strictEqual(blocks, head.blocksAdded)
    const sealed = yield* Effect.promise(() => reader.get(roots[0]!))
    const { snapshot } = decode<{ snapshot: (typeof roots)[0] }>(sealed!.bytes)
    assert.strictEqual(String(snapshot), head.root)
  })
)

describe("a diff", () => {
  it.effect("names added, removed and changed rows, and reads only blocks that differ", () =>
    Effect.gen(function* () {
      const sample = aState({ namespaces: 4, jobs: 20_000 })
      const [cold, { state, rows }] = [coldStorage(), memoryRows(sample)]
      const whole = yield* snapshotOf(rows, cold)
      const jobs = rowsOf(sample, JOB)
      const changed = jobs
        .with(300, withColumn(jobs[300] ?? [], "error_code", "other"))
        .toSpliced(9_000, 1)
        .toSpliced(15_000, 0, withColumn(jobs[15_001] ?? [], "id", `${jobs[15_000]?.[0]}x`))
      state.tables.set("job", changed)
      yield* snapshotOf(rows, cold)
      const { tables, changes, more } = yield* diffIn(cold, 1, 2, 100)
      const ofJobs = tables.find(({ table }) => table === "job")
      assert.deepInclude(ofJobs, { added: 1, removed: 1, changed: 1 })
      assert.isBelow(ofJobs?.blocksRead ?? 0, whole.blocksAdded / 10)
      assert.deepStrictEqual(
        changes.map(({ change, key, columns }) => [change, key[0], columns]),
        [
          ["changed", String(jobs[300]?.[0]), ["error_code"]],
          ["removed", String(jobs[9_000]?.[0]), []],
          ["added", `${jobs[15_000]?.[0]}x`, []]
        ]
      )
      assert.isFalse(more)
      for (const { table, blocksRead } of tables) if (table !== "job") assert.strictEqual(blocksRead, 0, table)
    })
  )

  it.effect.prop(
    "is the difference of the rows, whatever was taken away, put in or changed",
    { picks: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2999 }))) },
    ({ picks }) =>
      Effect.gen(function* () {
        const all = Array.from({ length: 1000 }, (_, n) => jobRow(n, { namespaces: 2, jobs: 1000 }))
        const removed = new Set(picks.filter((pick) => pick < 1000))
        const touched = new Set(picks.filter((pick) => pick >= 1000 && pick < 2000).map((pick) => pick - 1000))
        const added = new Set(picks.filter((pick) => pick >= 2000))
        const after = [
          ...all.flatMap((row, n) => (removed.has(n) ? [] : [touched.has(n) ? withColumn(row, "run_at", 1) : row])),
          ...[...added].map((n) => jobRow(n, { namespaces: 2, jobs: 1000 }))
        ]
        const [cold, { state, rows }] = [coldStorage(), memoryRows(new Map([["job", all]]))]
        yield* snapshotOf(rows, cold)
        state.tables.set("job", after)
        yield* snapshotOf(rows, cold)
        const { tables } = yield* diffIn(cold, 1, 2, 10)
        assert.deepInclude(
          tables.find(({ table }) => table === "job"),
          {
            added: added.size,
            removed: removed.size,
            changed: [...touched].filter((n) => !removed.has(n)).length
          }
        )
      }),
    { arbitrary: { runs: 40 } }
  )

  it.effect("between a full and an empty store names every row, up to its limit", () =>
    Effect.gen(function* () {
      const [cold, { state, rows }] = [coldStorage(), memoryRows(aState(SMALL))]
      yield* snapshotOf(rows, cold)
      state.tables.clear()
      yield* snapshotOf(rows, cold)
      const { tables, changes, more } = yield* diffIn(cold, 1, 2, 5)
      assert.strictEqual(tables.find(({ table }) => table === "job")?.removed, SMALL.jobs)
      assert.deepStrictEqual([changes.length, more], [5, true])
    })
  )
})
