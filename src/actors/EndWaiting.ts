/**
 * The end of a job that waits and that nobody acts for: its record, then its row, guarded by the epoch that was seen; who claimed it in between
 * keeps it. A job whose document never came gets one here that says how it ended, so that one that is opened for it later says nothing else.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Guarded } from "../layers/JobStore.ts"
import type { Outage } from "../layers/Outage.ts"
import { zero } from "../schemas/Credits.ts"
import { type Envelope, freshEnvelope } from "../schemas/Envelope.ts"
import type { JobRow } from "../schemas/JobState.ts"
import { withdrawnRecord } from "./OpenRecord.ts"
import { giveRowsWord, type RowsWordHouse } from "./RowsWord.ts"

export interface WaitingEnd {
  readonly state: "cancelled" | "expired"
  readonly code: string
}

export interface EndedWaiting {
  /** Done: by this call. Stale: somebody else was faster, and the record says what the row says. */
  readonly guarded: Guarded
  /** In the outbox when it is done. */
  readonly envelope: Envelope
}

export const endWaiting = (
  house: RowsWordHouse,
  { job, epoch }: JobRow,
  { state, code }: WaitingEnd
): Effect.Effect<EndedWaiting, Outage> =>
  Effect.gen(function* () {
    const { records, store } = house
    const at = yield* Clock.currentTimeMillis
    const patch = {
      state,
      errorCode: code,
      finishedAt: at,
      cost: zero,
      completeness: "truncated",
      truncatedReason: code
    } as const
    const close = (durable: boolean) => records.patch({ jobId: job.id, epoch, patch, durable })
    // As a note: who comes late changes nothing of a record that is closed. One that a power failure takes is written again by the repair.
    const noted = yield* close(false)
    const { traceparent } = job
    const envelope = yield* freshEnvelope({ _tag: "JobFinished", jobId: job.id, state }, { traceparent })
    const guarded = yield* store.finish({
      jobId: job.id,
      daemonId: null,
      epoch,
      state,
      charge: zero,
      usage: { promptTokens: 0, outputTokens: 0 },
      nodeId: null,
      code,
      envelope,
      at
    })
    if (guarded._tag === "Stale") yield* giveRowsWord(house, job.id)
    else if (noted === "stale") yield* close(true)
    // Not before the row says so: the document of a job that ended long ago is in the archive.
    else if (noted === "missing" && !(yield* records.open({ ...withdrawnRecord(job), ...patch }))) yield* close(true)
    return { guarded, envelope }
  })
