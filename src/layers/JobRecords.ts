/**
 * The one document of each job, complete while it grows. One writer (the job's actor), whole fields at a time, so every write may be
 * repeated; a writer that was replaced is refused by its epoch. Every read names who asks: a namespace sees its own, an operator says who he is.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { JobId, NamespaceId } from "../schemas/Ids.ts"
import type { JobRecord } from "../schemas/JobRecord.ts"
import type { Outage } from "./Outage.ts"
import { traced } from "./Traced.ts"

export type Scope =
  | { readonly _tag: "Namespace"; readonly namespaceId: NamespaceId }
  | { readonly _tag: "Operator"; readonly by: string }

export type RecordPatch = Partial<
  Omit<JobRecord, "jobId" | "version" | "namespaceId" | "keyId" | "environment" | "createdAt" | "service" | "tombstone">
>

/** A change of a record by whoever acts for the job under this epoch (0: nobody claimed it yet). */
export interface Change {
  readonly jobId: JobId
  readonly epoch: number
  readonly patch: RecordPatch
  /**
   * False: a note of how far the job is. It may be lost by a power failure, never by the death of the process, and it changes an open document only:
   * a store may carry it out long after its caller was told of an Outage, and by then the last word may stand there.
   */
  readonly durable: boolean
}

/** missing: no such document, or one that is frozen: on its way to the archive, or without its body for good. stale: a later epoch has changed it already, or a note came after the end, and nothing was changed. */
export type Patched = "done" | "missing" | "stale"

export interface Driver {
  /** Afterwards a document exists durably: this one (true), or perhaps one with its job id that was there before, which nothing changes (false). */
  readonly open: (record: JobRecord) => Effect.Effect<boolean, Outage>
  /** Replaces the named fields. Afterwards only this epoch and later ones change the document. */
  readonly patch: (change: Change) => Effect.Effect<Patched, Outage>
  readonly get: (scope: Scope, jobId: JobId) => Effect.Effect<JobRecord | null, Outage>
  /** Removes the document of a submission that was refused after it was written. */
  readonly discard: (jobId: JobId) => Effect.Effect<void, Outage>
  /** Ids of documents still `open` in state queued or active, created before `before`, oldest first, for comparison with the deciding store. */
  readonly unfinished: (before: number, limit: number) => Effect.Effect<ReadonlyArray<JobId>, Outage>
}

export class JobRecords extends Context.Service<JobRecords, Driver>()("resultity/layers/JobRecords") {}

export const make = (driver: Driver): JobRecords["Service"] =>
  JobRecords.of({
    open: traced("JobRecords.open", driver.open),
    patch: traced("JobRecords.patch", driver.patch),
    get: traced("JobRecords.get", driver.get),
    discard: driver.discard,
    unfinished: driver.unfinished
  })
