/**
 * The shapes of the documents: the one place that says what stands in the database. What is searched, counted or of use to an operator with a shell
 * stands as a field; whatever a user or a model wrote stands as JSON text besides, because a document keeps no lone surrogate and no server agrees with
 * the next on keys that begin with a dollar, hold a dot, or nothing.
 */
import type { Collection, Db, Long } from "mongodb"

/** Parts of a record that stand as JSON text, or in a file beside the document when they are large. */
export const BODIES = [
  "input",
  "output",
  "routing",
  "evaluation",
  "system",
  "workflow",
  "moments",
  "constraints"
] as const
export type Body = (typeof BODIES)[number]

/** One job. */
export interface JobDocument extends Readonly<Record<Body, string | null>> {
  readonly _id: string
  readonly namespaceId: string
  readonly keyId: string
  readonly version: number
  readonly service: string
  readonly environment: string
  readonly createdAt: number
  readonly clientTag: string | null
  readonly priority: string
  readonly state: string
  readonly errorCode: string | null
  readonly finishedAt: number | null
  readonly endpoint: string
  readonly mode: string
  readonly model: string
  readonly requestedModel: string
  readonly nodeId: string | null
  readonly assignedAt: number | null
  readonly attempts: number
  readonly outputKind: string | null
  readonly promptTokens: number
  readonly outputTokens: number
  readonly failure: boolean
  /** Of feedback: when it was given, and its score. */
  readonly feedbackAt: number | null
  readonly feedbackScore: number | null
  readonly queueMs: number | null
  readonly dispatchMs: number | null
  readonly firstTokenMs: number | null
  readonly totalMs: number | null
  readonly retries: number
  readonly cost: Long | bigint | null
  readonly completeness: string
  readonly truncatedReason: string | null
  readonly held: boolean
  readonly salt?: string
  /** JSON text, as it is kept of records of this program. */
  readonly nodeProof?: string
  readonly receipt?: string
  /** By body: the file that holds it, while the field itself is null. */
  readonly files: Readonly<Partial<Record<Body, string | null>>>
  /** Of the newest writer; an older one changes nothing. */
  readonly epoch: number
  /** Which process wrote last, and its how-manieth write that was: one that it has given up and made again must not come in later. */
  readonly writer: string | null
  readonly rev: number
  /** On its way to the archive: frozen. */
  readonly segmentId: string | null
  /** Ids of the log entries that go with it, decided once; null before that. */
  readonly logIds: ReadonlyArray<string> | null
  /** What the mark is for; documents of earlier programs have none of the three. */
  readonly leavesAs?: string | null
  /** True once the body has left. */
  readonly stripped?: boolean | null
  readonly tombstone?: string | null
}

/** Where a trace stands, and its last chunks. Every append goes through this one document, which decides by its epoch and its last number. */
export interface TraceHead {
  readonly _id: string
  readonly epoch: number
  readonly last: number
  /** In order: JSON text of a list of pieces, or the name of the file that holds one (`TraceChunks.ts`). */
  readonly chunks: ReadonlyArray<string>
  readonly size: number
  /** Of a job that is gone: the fence stays a while, against whoever did not hear of it. */
  readonly purgeAfter?: Date
}

/** Chunks that were moved out of the head when it had grown. What it says of a number is true; it may say it again. */
export interface TraceSegment {
  readonly _id: string
  readonly jobId: string
  readonly first: number
  readonly last: number
  readonly chunks: ReadonlyArray<string>
}

export interface LogDocument {
  /** Ids of one process grow, so entries of one instant keep their order. */
  readonly _id: string
  readonly namespaceId: string
  readonly type: string
  readonly at: number
  readonly jobId: string | null
  readonly nodeId: string | null
  readonly code: string
  readonly body: string
  /** On its way to the archive, as an entry of no live job. */
  readonly segmentId?: string | null
}

export interface IncidentDocument {
  readonly _id: string
  readonly namespaceId: string | null
  readonly kind: string
  readonly type: string
  readonly severity: string
  readonly subject: string
  readonly at: number
  readonly body: string
  readonly keyId: string | null
  /** Of an episode; null: it happened once. */
  readonly number: number | null
  readonly sightings: number | null
  readonly closedAt: number | null
  readonly isOpen: boolean
  /** On its way to the archive. */
  readonly segmentId?: string | null
}

/** How many documents a segment took with it. */
export interface PrunedDocument {
  readonly _id: string
  readonly pruned: number
}

export interface Collections {
  readonly jobs: Collection<JobDocument>
  readonly heads: Collection<TraceHead>
  readonly traces: Collection<TraceSegment>
  readonly logs: Collection<LogDocument>
  readonly incidents: Collection<IncidentDocument>
  readonly pruned: Collection<PrunedDocument>
}

/** Of GridFS: `texts.files` and `texts.chunks`. */
export const FILES_BUCKET = "texts"

export const collectionsOf = (db: Db): Collections => ({
  jobs: db.collection("jobs"),
  heads: db.collection("trace_heads"),
  traces: db.collection("traces"),
  logs: db.collection("logs"),
  incidents: db.collection("incidents"),
  pruned: db.collection("pruned")
})
