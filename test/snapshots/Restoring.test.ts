/** A restore gives back what the snapshot holds, whole or not at all; a fork is another network; records are referred to and not copied. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { JobRecords } from "../../src/layers/JobRecords.ts"
import type { JobId } from "../../src/schemas/Ids.ts"
import { inColdStorage } from "../../src/snapshots/Blocks.ts"
import { create } from "../../src/snapshots/Creating.ts"
import * as Heads from "../../src/snapshots/Heads.ts"
import { restore } from "../../src/snapshots/Restoring.ts"
import { diffIn, verifyIn } from "../../src/snapshots/Snapshots.ts"
import { aFinishedRecord } from "../support/recordFactories.ts"
import { aState, rowsOf, stateTableNamed } from "../support/stateFactories.ts"
import { AT, coldStorage, flip, making, memoryRows, quiet, snapshotOf } from "./Bench.ts"

const SMALL = { namespaces: 4, jobs: 900 } as const

describe("B32: a restore", () => {
  it.effect("of any state, snapshotted again, has the same state block", () =>
    Effect.gen(function* () {
      for (const [namespaces, jobs] of [
        [1, 0],
        [1, 1],
        [5, 260],
        [9, 3000]
      ] as const) {
        const [cold, { rows }] = [coldStorage(), memoryRows(aState({ namespaces, jobs, seed: jobs + 1 }))]
        const head = yield* snapshotOf(rows, cold)
        const other = memoryRows(new Map())
        const restored = yield* restore(inColdStorage(cold), Heads.cidIn(head.sealed), other.rows, null, quiet)
        assert.strictEqual(restored.rows, head.rows)
        assert.strictEqual((yield* snapshotOf(other.rows, coldStorage())).state, head.state)
      }
    })
  )

  it.effect("over a broken block names it and leaves the store empty", () =>
    Effect.gen(function* () {
      const [cold, { rows }] = [coldStorage(), memoryRows(aState(SMALL))]
      const head = yield* snapshotOf(rows, cold)
      const largest = [...cold.held].toSorted(([, one], [, other]) => other.byteLength - one.byteLength)[0]!
      flip(largest[1], 1000)
      const other = memoryRows(new Map())
      const failure = yield* Effect.flip(
        restore(inColdStorage(cold), Heads.cidIn(head.sealed), other.rows, null, quiet)
      )
      assert.strictEqual(failure._tag === "BrokenSnapshot" ? failure.block : failure._tag, largest[0].split("/").at(-1))
      assert.strictEqual(other.state.tables.size, 0)
    })
  )

  it.effect(
    "as a fork is refused when two namespaces of two environments have one name; models of one name are one",
    () =>
      Effect.gen(function* () {
        const sample = new Map(aState({ ...SMALL, mainnet: 1 }))
        const cold = coldStorage()
        const fork = { environment: "mainnet", keepKeys: false } as const
        const { state, rows } = memoryRows(sample)
        state.tables.set("model", [...(sample.get("model") ?? []), ["mainnet", '"a"', '["chat"]', 5]])
        const head = yield* snapshotOf(rows, cold)
        const other = memoryRows(new Map())
        yield* restore(inColdStorage(cold), Heads.cidIn(head.sealed), other.rows, fork, quiet)
        assert.strictEqual(other.state.tables.get("model")?.length, sample.get("model")?.length)
        const [first = [], ...rest] = sample.get("namespace") ?? []
        const alike = rest.map((row) => row.with(1, first[1] ?? null).with(2, "mainnet"))
        state.tables.set("namespace", [first, ...alike])
        const clash = yield* snapshotOf(rows, cold)
        const into = memoryRows(new Map())
        const refusal = yield* Effect.flip(
          restore(inColdStorage(cold), Heads.cidIn(clash.sealed), into.rows, fork, quiet)
        )
        assert.deepInclude({ ...refusal }, { _tag: "Refusal", code: "conflict" } as object)
        assert.strictEqual(into.state.tables.size, 0)
      })
  )

  it.effect(
    "C40: as a fork has another environment everywhere, no keys unless they are kept, and everything else",
    () =>
      Effect.gen(function* () {
        const [cold, { rows }] = [coldStorage(), memoryRows(aState(SMALL))]
        const head = yield* snapshotOf(rows, cold)
        for (const keepKeys of [false, true]) {
          const other = memoryRows(new Map())
          const fork = { environment: "mainnet", keepKeys } as const
          yield* restore(inColdStorage(cold), Heads.cidIn(head.sealed), other.rows, fork, quiet)
          const text = JSON.stringify([...other.state.tables], (_, value: unknown) =>
            typeof value === "bigint" ? String(value) : value
          )
          assert.notInclude(text, "testnet")
          assert.strictEqual((other.state.tables.get("api_key") ?? []).length, keepKeys ? SMALL.namespaces : 0)
          for (const name of ["idempotency_key", "sweeper_state", "rollup_accounts", "receipt_root", "network_key"]) {
            assert.isUndefined(other.state.tables.get(name), name)
          }
          for (const name of ["namespace", "credit_balance", "job", "job_event", "credit_entry", "audit", "erasure"]) {
            assert.strictEqual(
              other.state.tables.get(name)?.length,
              rows === null ? 0 : rowsOf(aState(SMALL), stateTableNamed(name)).length
            )
          }
        }
      })
  )
})

describe("records", () => {
  it.effect("are referred to by id and hash when it is asked, and never by what they say", () =>
    Effect.gen(function* () {
      const [cold, { rows }] = [coldStorage(), memoryRows(aState({ namespaces: 2, jobs: 40 }))]
      const base = aFinishedRecord(5)
      let tag = "first"
      const records = JobRecords.of({
        get: (_: unknown, jobId: JobId) => Effect.succeed({ ...base, jobId, clientTag: tag })
      } as never)
      const make = create({ ...making(rows, cold), records }, { at: AT, full: false, records: true }, quiet)
      yield* make
      yield* make
      tag = "another"
      yield* make
      yield* snapshotOf(rows, cold)
      const recordsIn = (one: number, other: number) =>
        Effect.map(diffIn(cold, one, other, 1), ({ tables }) => tables.find(({ table }) => table === "record"))
      // Those of completed and failed jobs: every second one of two states in four.
      assert.deepInclude(yield* recordsIn(4, 3), { added: 20 })
      assert.deepInclude(yield* recordsIn(1, 2), { added: 0, removed: 0, changed: 0 })
      assert.deepInclude(yield* recordsIn(2, 3), { changed: 20 })
      for (const number of [1, 2, 3, 4]) assert.deepStrictEqual((yield* verifyIn(cold, number, null, quiet)).faults, [])
      const all = Buffer.concat([...cold.held.values()]).toString("latin1")
      assert.notInclude(all, JSON.stringify(base.input.request).slice(1, 60))
    })
  )
})
