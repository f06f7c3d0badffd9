/**
 * One line of a job's history in the deciding store: append-only, gap-free from 1, written in the same
 * transaction as the change it tells. Holds ids and codes, never text of the request or the answer.
 */
import * as Schema from "effect/Schema"
import { DaemonId, JobId, NodeId } from "./Ids.ts"
import { JobState } from "./JobState.ts"

export const JobEventKind = Schema.Literals(["admitted", "claimed", "adopted", "released", "finished"])
export type JobEventKind = typeof JobEventKind.Type

export const JobEvent = Schema.Struct({
  jobId: JobId,
  seq: Schema.Int,
  kind: JobEventKind,
  from: Schema.NullOr(JobState),
  to: JobState,
  epoch: Schema.Int,
  attempt: Schema.Int,
  daemonId: Schema.NullOr(DaemonId),
  nodeId: Schema.NullOr(NodeId),
  code: Schema.NullOr(Schema.String),
  at: Schema.Int
})
export type JobEvent = typeof JobEvent.Type
