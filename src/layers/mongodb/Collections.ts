/**
 * The collections, the shapes of their documents, and their indexes: the one place that says what stands in the database. Free text stands as JSON
 * text, because a document keeps no lone surrogate and a key may not begin with a dollar; what is searched and counted stands as fields of its own.
 *
 * On a sharded cluster the two collections that grow without bound are sharded by an operator, once:
 * `sh.shardCollection("resultity.jobs", { namespaceId: 1, _id: "hashed" })` and the same for `resultity.logs`.
 */
import type { Collection, Db, IndexDescription, Long } from "mongodb"

/** One job. `input` and `output` are JSON text, or null beside the name of the file that holds it. */
export interface JobDocument {
  readonly _id: string
  readonly namespaceId: string
  readonly keyId: string
  readonly version: number
  readonly service: string
  readonly environment: string
  readonly createdAt: number
  readonly clientTag: string | null
  readonly priority: string
  readonly constraints: string
  readonly state: string
  readonly errorCode: string | null
  readonly finishedAt: number | null
  readonly endpoint: string
  readonly mode: string
  readonly model: string
  readonly nodeId: string | null
  readonly promptTokens: number
  readonly outputTokens: number
  readonly totalMs: number | null
  readonly input: string | null
  readonly inputFile: string | null
  readonly output: string | null
  readonly outputFile: string | null
  readonly routing: string
  readonly evaluation: string
  readonly system: string
  readonly cost: Long | bigint | null
  readonly workflow: string | null
  readonly completeness: string
  readonly truncatedReason: string | null
  readonly moments: string
  readonly held: boolean
  /** Of the newest writer; an older one changes nothing. */
  readonly epoch: number
  /** On its way to the archive: frozen. */
  readonly segmentId: string | null
  /** Its trace is closed, and its log entries carry the mark as well. */
  readonly isMarked: boolean
}

/** Where a trace stands, and its last chunks. Every append goes through this one document, which decides by its epoch and its last number. */
export interface TraceHead {
  readonly _id: string
  readonly epoch: number
  readonly last: number
  /** JSON text of lists of pieces, in order. */
  readonly chunks: ReadonlyArray<string>
  readonly size: number
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
  readonly namespaceId: string
  readonly type: string
  readonly at: number
  readonly jobId: string | null
  readonly body: string
  readonly segmentId: string | null
}

export interface IncidentDocument {
  readonly _id: string
  readonly namespaceId: string | null
  readonly kind: string
  readonly type: string
  readonly subject: string
  readonly at: number
  readonly body: string
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

export const collectionsOf = (db: Db): Collections => ({
  jobs: db.collection("jobs"),
  heads: db.collection("trace_heads"),
  traces: db.collection("traces"),
  logs: db.collection("logs"),
  incidents: db.collection("incidents"),
  pruned: db.collection("pruned")
})

const newest = { createdAt: -1, _id: -1 } as const
const latest = { at: -1, _id: -1 } as const

/** Filters that choose few documents, most selective first; the others are checked on the way along the time. */
export const FACETS = ["clientTag", "nodeId", "errorCode", "keyId", "state", "model"] as const

/** By collection. Every question of this room has one that leads to its documents and no other collection is ever scanned. */
export const INDEXES: Readonly<Record<keyof Collections, ReadonlyArray<IndexDescription>>> = {
  jobs: [
    { key: { namespaceId: 1, ...newest } },
    ...FACETS.map((facet) => ({ key: { namespaceId: 1, [facet]: 1, ...newest } as const })),
    { key: newest },
    { key: { nodeId: 1, ...newest } },
    { key: { errorCode: 1, ...newest } },
    { key: { completeness: 1, state: 1, createdAt: 1, _id: 1 } },
    { key: { namespaceId: 1, segmentId: 1, held: 1, finishedAt: 1, _id: 1 } },
    { key: { segmentId: 1 } }
  ],
  heads: [],
  traces: [{ key: { jobId: 1, first: 1 } }],
  logs: [
    { key: { namespaceId: 1, type: 1, at: 1, _id: 1 } },
    { key: { namespaceId: 1, at: 1, _id: 1 } },
    { key: { jobId: 1, at: 1, _id: 1 } },
    { key: { at: 1, _id: 1 } },
    { key: { segmentId: 1 } }
  ],
  incidents: [
    { key: latest },
    { key: { namespaceId: 1, ...latest } },
    { key: { kind: 1, ...latest } },
    { key: { type: 1, ...latest } },
    { key: { subject: 1, ...latest } }
  ],
  pruned: []
}

/** Idempotent: what is there already is left as it is. */
export const makeIndexes = async (db: Db): Promise<void> => {
  const collections = collectionsOf(db)
  for (const [name, indexes] of Object.entries(INDEXES)) {
    const collection = collections[name as keyof Collections]
    if (indexes.length > 0) await collection.createIndexes([...indexes])
  }
}
