/** Somebody's wish that what was asked and answered is forgotten: of one job, of an end user, or of a whole namespace. It stays until it is done. */
import * as Schema from "effect/Schema"
import { ErasureId, JobId, NamespaceId } from "./Ids.ts"

export const ErasureOrder = Schema.Struct({
  id: ErasureId,
  namespaceId: NamespaceId,
  /** null: not of one job. */
  jobId: Schema.NullOr(JobId),
  /** Of the end user; null with no job: of all of the namespace. */
  clientTag: Schema.NullOr(Schema.String),
  by: Schema.String,
  reason: Schema.String,
  askedAt: Schema.Int
})
export type ErasureOrder = typeof ErasureOrder.Type

export const Erasure = Schema.Struct({
  ...ErasureOrder.fields,
  /** Where the next batch begins; null at the beginning. */
  cursor: Schema.NullOr(Schema.String),
  /** Jobs whose body is gone everywhere by this order, counted once a place where it stood. */
  erased: Schema.Int,
  /** Jobs that were left: unfinished, or under legal hold. */
  refused: Schema.Int,
  doneAt: Schema.NullOr(Schema.Int)
})
export type Erasure = typeof Erasure.Type
