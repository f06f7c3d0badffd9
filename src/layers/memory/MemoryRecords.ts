/**
 * The one plain state behind the eight record contracts in memory: what MongoDB and cold storage hold in a cluster, as Maps.
 *
 * `layer` makes a fresh one. A test that lets a daemon die and another come after it makes the state with `make` and provides it to both
 * (`Layer.succeed(MemoryRecords, state)`); that is all that "durable" means here.
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import type { SegmentId } from "../../schemas/Archive.ts"
import type { IncidentId, JobId, NamespaceId } from "../../schemas/Ids.ts"
import type { Incident } from "../../schemas/Incident.ts"
import type { JobRecord, LogEntry } from "../../schemas/JobRecord.ts"
import type { TokenEvent } from "../../schemas/TokenEvent.ts"
import type { Scope } from "../JobRecords.ts"
import type { LeavesAs } from "../RecordRetention.ts"

export interface StoredRecord {
  record: JobRecord
  /** Changes under an older epoch are refused. */
  epoch: number
  /** With a mark the document is frozen: it is on its way to the archive. */
  mark: { readonly segmentId: SegmentId; readonly logsSeen: number; readonly leavesAs: LeavesAs } | null
}

export interface StoredTrace {
  /** Appends under an older epoch are refused; infinite once the job is marked. */
  epoch: number
  readonly events: Array<TokenEvent>
}

export interface StoredLog {
  /** Order of arrival, never used again. */
  readonly number: number
  readonly entry: LogEntry
}

export interface State {
  readonly records: Map<JobId, StoredRecord>
  readonly traces: Map<JobId, StoredTrace>
  logs: Array<StoredLog>
  logsSeen: number
  readonly incidents: Map<IncidentId, Incident>
  /** Of log entries and incidents that are on their way to the archive. */
  readonly marks: Map<string, SegmentId>
  pruned: number
  readonly blobs: Map<string, Uint8Array>
  /** Names of blobs whose `put` fails, as a full disk would make it. */
  refusesPut: (name: string) => boolean
}

export class MemoryRecords extends Context.Service<MemoryRecords, State>()("resultity/layers/memory/MemoryRecords") {}

export const make = (): State => ({
  records: new Map(),
  traces: new Map(),
  logs: [],
  logsSeen: 0,
  incidents: new Map(),
  marks: new Map(),
  pruned: 0,
  blobs: new Map(),
  refusesPut: () => false
})

export const layer: Layer.Layer<MemoryRecords> = Layer.sync(MemoryRecords, make)

/** Whether who asks may see what belongs to this namespace; null belongs to nobody, so only an operator sees it. */
export const sees = (scope: Scope, namespaceId: NamespaceId | null): boolean =>
  scope._tag === "Operator" || scope.namespaceId === namespaceId

/** Half-open: from ≤ at < to. */
export const within = (at: number, span: { readonly from?: number; readonly to?: number }): boolean =>
  at >= (span.from ?? Number.NEGATIVE_INFINITY) && at < (span.to ?? Number.POSITIVE_INFINITY)

export const byText = (a: string, b: string): number => (a < b ? -1 : Number(a > b))
