/** What the signed chain of events is worth over every back end: an event that is altered in the store, past its triggers, is found and named. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { ReceiptDesk } from "../../../src/actors/ReceiptDesk.ts"
import { DaemonConfig } from "../../../src/layers/DaemonConfig.ts"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { JobStore } from "../../../src/layers/JobStore.ts"
import * as MemoryRecords from "../../../src/layers/memory/MemoryRecords.ts"
import * as MemoryRecordsLayers from "../../../src/layers/memory/MemoryRecordsLayers.ts"
import * as NetworkKey from "../../../src/layers/NetworkKey.ts"
import type { NetworkKeys } from "../../../src/layers/NetworkKeys.ts"
import type { Receipts } from "../../../src/layers/Receipts.ts"
import type { JobId } from "../../../src/schemas/Ids.ts"
import { daemonConfigOf } from "../../support/daemonConfig.ts"
import { aDaemonId, aFinish, aFinishedRecord, freshTime, livingDaemon } from "../../support/factories.ts"
import { testKey } from "../../support/networkKey.ts"
import { operator } from "../../support/recordFactories.ts"
import { bytesOf, faultsOf } from "../../support/receipts.ts"
import { admitted, claimed, doneOf, type JobServices } from "./StateProbes.ts"

export interface AuditFaults {
  /** Changes the code of one event behind the contract's back. */
  readonly tamper: (jobId: JobId, seq: number, code: string) => Effect.Effect<unknown>
}

export const receiptAuditContract = <E>(
  backEnd: string,
  over: Layer.Layer<Receipts | NetworkKeys | JobServices, E>,
  { tamper }: AuditFaults
) =>
  layer(
    ReceiptDesk.layer.pipe(
      Layer.provideMerge(
        Layer.mergeAll(
          over,
          MemoryRecordsLayers.over(MemoryRecords.make()),
          Layer.succeed(DaemonConfig, daemonConfigOf(aDaemonId(), 1)),
          NetworkKey.of(testKey)
        )
      )
    ),
    { excludeTestServices: true }
  )(`the chain of events on ${backEnd}`, (it) => {
    it.effect("S23: shows which event was altered, while the receipt stays what was signed", () =>
      Effect.gen(function* () {
        const [store, records, desk] = [yield* JobStore, yield* JobRecords, yield* ReceiptDesk]
        const at = freshTime()
        const row = yield* claimed(yield* admitted({ acceptedAt: at }), yield* livingDaemon(at))
        const ended = doneOf(
          yield* store.finish(
            aFinish(row, {
              at: at + 9,
              usage: { promptTokens: 0, outputTokens: 0 },
              charge: row.job.quote.perRequest
            })
          )
        )
        const { id, namespaceId } = ended.job
        yield* records.open(aFinishedRecord(at + 9, { jobId: id, namespaceId, completeness: "complete" }))
        const signed = yield* desk.file(operator, ended)
        assert.deepStrictEqual(faultsOf(bytesOf(signed)), [])
        assert.deepInclude(yield* desk.audit(operator, ended), { differs: [], event: null })

        yield* tamper(id, 2, "forged")
        assert.strictEqual((yield* store.events(id))[1]!.code, "forged")
        assert.deepInclude(yield* desk.audit(operator, ended), { differs: ["events"], event: 2 })
        assert.isTrue(bytesOf(yield* desk.file(operator, ended)).equals(bytesOf(signed)))
      })
    )
  })
