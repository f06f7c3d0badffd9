/**
 * What left the live stores: segments of compressed NDJSON, each described by a manifest that anybody can check.
 * A segment's id follows from what it holds, so writing it twice makes one segment.
 */
import * as Schema from "effect/Schema"
import { NamespaceId } from "./Ids.ts"
import { Incident } from "./Incident.ts"
import { JobRecord, LogEntry, RECORD_VERSION } from "./JobRecord.ts"
import { JOB_ROW_VERSION } from "./JobRowLine.ts"
import { ROLLUP_VERSION } from "./Rollup.ts"
import { SegmentId } from "./SegmentId.ts"
import { ErasureStone } from "./Tombstone.ts"
import { TokenEvent } from "./TokenEvent.ts"

export { SegmentId }

/**
 * jobs: all of a job. bodies: what was asked and answered, before the rest leaves. metadata: the rest, later. held: all of a job that is under legal
 * hold. logs and incidents: entries of no live job, and incidents. rows: rows of jobs from the deciding store, of all namespaces.
 */
export const JobClass = Schema.Literals(["jobs", "bodies", "metadata", "held"])
export type JobClass = typeof JobClass.Type
export const EntryClass = Schema.Literals(["logs", "incidents"])
export type EntryClass = typeof EntryClass.Type
export const DataClass = Schema.Literals([...JobClass.literals, ...EntryClass.literals, "rollups", "rows"])
export type DataClass = typeof DataClass.Type

/** The newest shape of lines that this program knows, as `recordVersion` says it. */
export const NEWEST_VERSION: Readonly<Record<DataClass, number>> = {
  jobs: RECORD_VERSION,
  bodies: RECORD_VERSION,
  metadata: RECORD_VERSION,
  held: RECORD_VERSION,
  logs: RECORD_VERSION,
  incidents: RECORD_VERSION,
  rollups: ROLLUP_VERSION,
  rows: JOB_ROW_VERSION
}

export const isJobClass = Schema.is(JobClass)

export const SegmentManifest = Schema.Struct({
  id: SegmentId,
  dataClass: DataClass,
  /** null: of nobody's, such as an incident of a node, or of all, as rollups and rows are. */
  namespaceId: Schema.NullOr(NamespaceId),
  recordVersion: Schema.Int,
  /** Lines in the file. */
  count: Schema.Int,
  /** Span of `finishedAt` of the records or rows in it, of `at` of entries, or of `period` of rollups, epoch ms, both ends included. */
  from: Schema.Int,
  to: Schema.Int,
  compression: Schema.Literal("gzip"),
  /** Compressed size. */
  bytes: Schema.Int,
  /** Of the compressed file, hexadecimal. */
  sha256: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)),
  createdAt: Schema.Int,
  /** The segment that this one stands for, without what was erased from it since. */
  replaces: Schema.optionalKey(SegmentId),
  /** SHA-256 of the canonical JSON of the other fields; manifests of earlier programs have none. */
  digest: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)))
})
export type SegmentManifest = typeof SegmentManifest.Type

/** One line of a segment of jobs: everything that is known of one. */
export const ArchivedLine = Schema.toCodecJson(
  Schema.Struct({
    record: JobRecord,
    traces: Schema.Array(TokenEvent),
    logs: Schema.Array(LogEntry)
  })
)
export type ArchivedLine = typeof ArchivedLine.Type

/** In the place of a job that was erased. */
export const ErasedLine = Schema.Struct({ erased: ErasureStone })
export type ErasedLine = typeof ErasedLine.Type

export const LogLine = Schema.toCodecJson(Schema.Struct({ log: LogEntry }))
export const IncidentLine = Schema.toCodecJson(Schema.Struct({ incident: Incident }))
