/**
 * Two may end a job that waits (its deadline, its client), each writing the record before the row; the row takes one. Whoever lost gives the record
 * the row's word: it says what the other one meant to say, in case his write came first.
 */
import * as Effect from "effect/Effect"
import type { JobRecords } from "../layers/JobRecords.ts"
import type { JobStore } from "../layers/JobStore.ts"
import type { JobId } from "../schemas/Ids.ts"
import { isTerminal } from "../schemas/JobState.ts"

export interface RowsWordHouse {
  readonly records: JobRecords["Service"]
  readonly store: JobStore["Service"]
}

const SCOPE = { _tag: "Operator", by: "the row's word" } as const

export const giveRowsWord = ({ records, store }: RowsWordHouse, jobId: JobId) =>
  Effect.gen(function* () {
    const row = yield* store.get(jobId)
    if (row === null || !isTerminal(row.state) || row.state === "completed") return
    const { state, errorCode, finishedAt, charged, epoch } = row
    const record = yield* records.get(SCOPE, jobId)
    if (record === null || (record.state === state && record.errorCode === errorCode)) return
    const patch = { state, errorCode, finishedAt, cost: charged, truncatedReason: errorCode ?? state } as const
    yield* records.patch({ jobId, epoch, patch, durable: true })
  })
