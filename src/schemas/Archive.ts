/**
 * What left the live stores: segments of compressed NDJSON, each described by a manifest that anybody can check.
 * A segment's id follows from what it holds, so writing it twice makes one segment.
 */
import * as Schema from "effect/Schema"
import { NamespaceId } from "./Ids.ts"
import { JobRecord, LogEntry } from "./JobRecord.ts"
import { TokenEvent } from "./TokenEvent.ts"

export const DataClass = Schema.Literals(["jobs", "rollups"])
export type DataClass = typeof DataClass.Type

export const SegmentId = Schema.String.check(Schema.isPattern(/^seg_[0-9a-f]{32}$/)).pipe(Schema.brand("SegmentId"))
export type SegmentId = typeof SegmentId.Type

export const SegmentManifest = Schema.Struct({
  id: SegmentId,
  dataClass: DataClass,
  /** Whose jobs they are. null: rollups, which are of all. */
  namespaceId: Schema.NullOr(NamespaceId),
  recordVersion: Schema.Int,
  /** Lines in the file. */
  count: Schema.Int,
  /** Span of `finishedAt` of the records, or of `period` of the rollups in it, epoch ms, both ends included. */
  from: Schema.Int,
  to: Schema.Int,
  compression: Schema.Literal("gzip"),
  /** Compressed size. */
  bytes: Schema.Int,
  /** Of the compressed file, hexadecimal. */
  sha256: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)),
  createdAt: Schema.Int,
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
