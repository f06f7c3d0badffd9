/** Hours as the sweeper closes them: each with all receipts of its jobs, one after the other without a gap, each root naming the one before. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, type Schema } from "effect"
import { TestClock } from "effect/testing"
import { ReceiptDesk } from "../../../src/actors/ReceiptDesk.ts"
import * as MerkleSweeper from "../../../src/actors/sweep/MerkleSweeper.ts"
import { DaemonConfig } from "../../../src/layers/DaemonConfig.ts"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { JobStore } from "../../../src/layers/JobStore.ts"
import * as MemoryRecords from "../../../src/layers/memory/MemoryRecords.ts"
import * as MemoryRecordsLayers from "../../../src/layers/memory/MemoryRecordsLayers.ts"
import * as MemoryState from "../../../src/layers/memory/MemoryState.ts"
import * as MemoryStateLayers from "../../../src/layers/memory/MemoryStateLayers.ts"
import { NetworkKey } from "../../../src/layers/NetworkKey.ts"
import * as Keys from "../../../src/layers/NetworkKey.ts"
import { NetworkKeys } from "../../../src/layers/NetworkKeys.ts"
import { HOUR_MS, Receipts } from "../../../src/layers/Receipts.ts"
import type { Completeness, JobRecord } from "../../../src/schemas/JobRecord.ts"
import { FIRST_ROOT, rootHash } from "../../../src/schemas/ReceiptHashes.ts"
import { admitted, claimed, doneOf } from "../../layers/contracts/StateProbes.ts"
import { daemonConfigOf } from "../../support/daemonConfig.ts"
import { aDaemonId, aFinish, aFinishedRecord, livingDaemon } from "../../support/factories.ts"
import { networkKeyOf, testKey } from "../../support/networkKey.ts"
import { bytesOf, faultsOf } from "../../support/receipts.ts"

const START = Date.UTC(2026, 5, 1, 10)
const MINUTE = 60_000
const nothing = { promptTokens: 0, outputTokens: 0 }
const SCOPE = { _tag: "Operator", by: "tester" } as const

const house = (key = testKey) =>
  ReceiptDesk.layer.pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        MemoryStateLayers.over(MemoryState.make({ soleOwner: false })),
        MemoryRecordsLayers.over(MemoryRecords.make()),
        Layer.succeed(DaemonConfig, daemonConfigOf(aDaemonId(), 1)),
        Keys.of(key)
      )
    )
  )

/** A job that ended so long after the start, with its record. */
const ended = Effect.fnUntraced(function* (afterMs: number, completeness: typeof Completeness.Type = "complete") {
  const [store, records] = [yield* JobStore, yield* JobRecords]
  const at = START + afterMs
  const row = yield* claimed(yield* admitted({ acceptedAt: at - 10 }), yield* livingDaemon(at))
  const { job } = doneOf(yield* store.finish(aFinish(row, { at, usage: nothing, charge: row.job.quote.perRequest })))
  const over: Partial<JobRecord> = { jobId: job.id, namespaceId: job.namespaceId, completeness, salt: "5a".repeat(32) }
  yield* records.open(aFinishedRecord(at, over))
  return job.id
})

/** Passes until one takes nothing, at this time. */
const sweepAt = Effect.fnUntraced(function* (afterMs: number, from: Schema.Json) {
  yield* TestClock.setTime(START + afterMs)
  const { sweepBatch } = MerkleSweeper.make({
    desk: yield* ReceiptDesk,
    receipts: yield* Receipts,
    key: yield* NetworkKey,
    environment: "testnet"
  })
  let watermark = from
  while (true) {
    const batch = yield* sweepBatch(watermark, 1, false)
    watermark = batch.watermark
    if (batch.taken === 0) return watermark
  }
})

const fileOf = Effect.fnUntraced(function* (jobId: Parameters<JobStore["Service"]["get"]>[0]) {
  const row = yield* (yield* JobStore).get(jobId)
  return yield* (yield* ReceiptDesk).file(SCOPE, row!)
})

const rootsOf = Effect.flatMap(Receipts, ({ roots }) => roots(0, 100))

describe("the merkle sweeper", () => {
  it.effect("closes each hour once it is well over, empty ones too, in an unbroken chain", () =>
    Effect.gen(function* () {
      let mark = yield* sweepAt(0, null)
      const ids = yield* Effect.forEach([5, 6, 50], (minute) => ended(minute * MINUTE))
      const late = yield* ended(2 * HOUR_MS + MINUTE)
      mark = yield* sweepAt(HOUR_MS + 14 * MINUTE, mark)
      assert.deepStrictEqual(yield* rootsOf, [], "the hour is over, but not for long")
      assert.isNull((yield* fileOf(ids[0]!)).inclusion)
      mark = yield* sweepAt(HOUR_MS + 15 * MINUTE, mark)
      assert.strictEqual((yield* rootsOf).length, 1)
      yield* sweepAt(5 * HOUR_MS, mark)
      const roots = yield* rootsOf
      assert.deepStrictEqual(
        roots.map(({ statement: { number, hour, size } }) => [number, hour - START, size]),
        [
          [1, 0, 3],
          [2, HOUR_MS, 0],
          [3, 2 * HOUR_MS, 1],
          [4, 3 * HOUR_MS, 0]
        ]
      )
      assert.deepStrictEqual(
        roots.map(({ statement }) => statement.previous),
        [FIRST_ROOT, ...roots.slice(0, -1).map(({ statement }) => rootHash(statement))]
      )
      for (const id of [...ids, late]) {
        const file = yield* fileOf(id)
        assert.deepStrictEqual(faultsOf(bytesOf(file)), [])
        assert.isNotNull(file.inclusion)
      }
    }).pipe(Effect.provide(house()))
  )

  it.effect("waits for a record that is still being written, but not for ever", () =>
    Effect.gen(function* () {
      const mark = yield* sweepAt(0, null)
      const [whole, open] = [yield* ended(MINUTE), yield* ended(2 * MINUTE, "open")]
      const later = yield* sweepAt(2 * HOUR_MS, mark)
      assert.deepStrictEqual(yield* rootsOf, [])
      assert.deepInclude({ ...(yield* Effect.flip(fileOf(open))) }, { code: "unavailable" })
      assert.deepStrictEqual(faultsOf(bytesOf(yield* fileOf(whole))), [])
      yield* sweepAt(3 * HOUR_MS, later)
      assert.strictEqual((yield* rootsOf)[0]!.statement.size, 2)
    }).pipe(Effect.provide(house()))
  )

  it.effect("puts a receipt that is asked for after its hour was closed into the next one", () =>
    Effect.gen(function* () {
      const mark = yield* sweepAt(0, null)
      const later = yield* sweepAt(HOUR_MS + 20 * MINUTE, mark)
      const id = yield* ended(30 * MINUTE)
      const file = yield* fileOf(id)
      yield* sweepAt(2 * HOUR_MS + 20 * MINUTE, later)
      assert.deepStrictEqual(
        (yield* rootsOf).map(({ statement }) => statement.size),
        [0, 1]
      )
      const { inclusion, ...rest } = yield* fileOf(id)
      assert.deepStrictEqual(faultsOf(bytesOf({ ...rest, inclusion })), [])
      assert.deepStrictEqual({ ...rest, inclusion: null }, file)
      assert.strictEqual(inclusion?.root.statement.number, 2)
    }).pipe(Effect.provide(house()))
  )

  it.effect("a key that was changed leaves old receipts good under the old one, which stays known", () =>
    Effect.gen(function* () {
      const records = MemoryRecords.make()
      const state = MemoryState.make({ soleOwner: false })
      const under = (digit: string) =>
        ReceiptDesk.layer.pipe(
          Layer.provideMerge(
            Layer.mergeAll(
              MemoryStateLayers.over(state),
              MemoryRecordsLayers.over(records),
              Layer.succeed(DaemonConfig, daemonConfigOf(aDaemonId(), 1)),
              Keys.of(networkKeyOf(digit))
            )
          )
        )
      const id = yield* Effect.flatMap(ended(MINUTE), (jobId) => Effect.as(fileOf(jobId), jobId)).pipe(
        Effect.provide(under("1"), { local: true })
      )
      const [file, keys] = yield* Effect.all([fileOf(id), Effect.flatMap(NetworkKeys, ({ list }) => list)]).pipe(
        Effect.provide(under("2"), { local: true })
      )
      assert.deepStrictEqual(faultsOf(bytesOf(file)), [])
      assert.deepStrictEqual(
        keys.map(({ publicKey }) => publicKey).toSorted(),
        [networkKeyOf("1").publicKey, networkKeyOf("2").publicKey].toSorted()
      )
    })
  )
})
