/**
 * The numbered pieces of each job's output, as they came. What is stored for a number never changes. A writer first fences the job with its
 * epoch; appends under an older epoch change nothing, so an actor that was replaced cannot write into its successor's stream.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { JobId } from "../schemas/Ids.ts"
import type { TokenEvent } from "../schemas/TokenEvent.ts"
import type { Scope } from "./JobRecords.ts"
import type { Outage } from "./Outage.ts"
import { traced } from "./Traced.ts"

export interface TraceBatch {
  readonly jobId: JobId
  readonly epoch: number
  readonly attempt: number
  /** Gap-free and ascending. */
  readonly events: ReadonlyArray<TokenEvent>
}

export interface Driver {
  /** Afterwards only this epoch and later ones append; the pieces stored so far, in order, gap-free from 1. */
  readonly fence: (jobId: JobId, epoch: number) => Effect.Effect<ReadonlyArray<TokenEvent>, Outage>
  /**
   * Afterwards the pieces survive the death of the process. Pieces stored already are skipped. False, and nothing stored, when the epoch is
   * older than the fence or the batch does not join what is stored.
   */
  readonly append: (batch: TraceBatch) => Effect.Effect<boolean, Outage>
  /** Pieces after `afterSeq`, in order, at most `limit`. The scope sees its own jobs only: another's reads as empty. */
  readonly read: (
    scope: Scope,
    jobId: JobId,
    afterSeq: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<TokenEvent>, Outage>
}

export class Traces extends Context.Service<Traces, Driver>()("resultity/layers/Traces") {}

export const make = (driver: Driver): Traces["Service"] =>
  Traces.of({
    fence: traced("Traces.fence", driver.fence),
    append: (batch) =>
      batch.events.every((event, index) => index === 0 || event.seq === (batch.events[index - 1]?.seq ?? 0) + 1)
        ? driver.append(batch)
        : Effect.die(new Error(`pieces of ${batch.jobId} are not gap-free`)),
    read: traced("Traces.read", driver.read)
  })
