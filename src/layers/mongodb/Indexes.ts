/**
 * Every index, by name, because each question names the one that serves it: left to itself a planner may find the whole collection good enough, or
 * sort what an index would have given in order. Made at start; what is there already is left as it is.
 *
 * On a sharded cluster an operator declares the keys once, after the first start of a daemon (`resultity` is the database):
 * `db.jobs.createIndex({ namespaceId: 1, _id: "hashed" }); sh.shardCollection("resultity.jobs", { namespaceId: 1, _id: "hashed" })`
 * `db.logs.createIndex({ namespaceId: 1, jobId: "hashed" }); sh.shardCollection("resultity.logs", { namespaceId: 1, jobId: "hashed" })`
 * `sh.shardCollection("resultity.trace_heads", { _id: "hashed" }); db.traces.createIndex({ jobId: "hashed" }); sh.shardCollection("resultity.traces", { jobId: "hashed" })`
 */
import type { Db, IndexDescription, IndexSpecification } from "mongodb"
import { type Facet, FACETS, NULLABLE } from "../JobSearch.ts"
import { type Collections, collectionsOf, FILES_BUCKET } from "./Collections.ts"

export const jobIndex = (facet: Facet | null, byNamespace: boolean): string =>
  `by_${byNamespace ? "namespace_" : ""}${facet ?? "time"}`

/** The words in which a question must ask, for the index to hold all the answers: only what is text stands in it. */
const IS_TEXT = { $gte: "" } as const

const index = (
  name: string,
  key: IndexSpecification,
  only?: IndexDescription["partialFilterExpression"]
): IndexDescription => ({ name, key: key as IndexDescription["key"], ...(only && { partialFilterExpression: only }) })

const jobSearches = [null, ...FACETS].flatMap((facet) =>
  [true, false].map((byNamespace) =>
    index(
      jobIndex(facet, byNamespace),
      { ...(byNamespace ? { namespaceId: 1 } : {}), ...(facet === null ? {} : { [facet]: 1 }), createdAt: -1, _id: -1 },
      facet !== null && NULLABLE.has(facet) ? { [facet]: IS_TEXT } : undefined
    )
  )
)

const HAS_ENDED = { finishedAt: { $gte: Number.MIN_SAFE_INTEGER } }

const latest = { at: -1, _id: -1 } as const
const inOrder = { at: 1, _id: 1 } as const

export const INDEXES: Readonly<Record<Exclude<keyof Collections, "pruned">, ReadonlyArray<IndexDescription>>> = {
  jobs: [
    ...jobSearches,
    index("unfinished", { createdAt: 1, _id: 1 }, { completeness: "open" }),
    index("by_finished", { finishedAt: 1, _id: 1 }, { finishedAt: { $gte: Number.MIN_SAFE_INTEGER } }),
    index("by_feedback", { feedbackAt: 1 }, { feedbackAt: { $gte: Number.MIN_SAFE_INTEGER } }),
    index("leaving_part", { namespaceId: 1, stripped: 1, finishedAt: 1, _id: 1 }, HAS_ENDED),
    index("held", { namespaceId: 1, finishedAt: 1, _id: 1 }, { held: true }),
    index("marked", { segmentId: 1, finishedAt: 1, _id: 1 }, { segmentId: IS_TEXT })
  ],
  heads: [{ ...index("purge", { purgeAfter: 1 }), expireAfterSeconds: 0 }],
  traces: [index("of_job", { jobId: 1, first: 1 })],
  logs: [
    index("by_time", inOrder),
    index("by_type", { type: 1, ...inOrder }),
    index("by_namespace_time", { namespaceId: 1, ...inOrder }),
    index("by_namespace_type", { namespaceId: 1, type: 1, ...inOrder }),
    index("of_job", { jobId: 1, ...inOrder }, { jobId: IS_TEXT }),
    index("marked", { segmentId: 1, ...inOrder }, { segmentId: IS_TEXT })
  ],
  incidents: [
    index("by_time", latest),
    index("by_kind", { kind: 1, ...latest }),
    index("by_type", { type: 1, ...latest }),
    index("by_subject", { subject: 1, ...latest }),
    index("by_namespace_time", { namespaceId: 1, ...latest }),
    index("by_namespace_kind", { namespaceId: 1, kind: 1, ...latest }),
    index("by_namespace_type", { namespaceId: 1, type: 1, ...latest }),
    index("by_namespace_subject", { namespaceId: 1, subject: 1, ...latest }),
    index("by_number", { type: 1, subject: 1, number: -1 }, { number: { $gte: 0 } }),
    index("open_by_time", latest, { isOpen: true }),
    index("by_end", { closedAt: 1, _id: 1 }, { closedAt: { $gte: Number.MIN_SAFE_INTEGER } }),
    index("by_refused_key", { at: 1, keyId: 1, namespaceId: 1, type: 1 }, { keyId: IS_TEXT }),
    index("marked", { segmentId: 1, ...inOrder }, { segmentId: IS_TEXT })
  ],
  quality: [
    index("by_time", { family: 1, ...latest }),
    index("by_node", { family: 1, nodeId: 1, model: 1, source: 1, ...latest }),
    index("by_node_time", { family: 1, nodeId: 1, ...latest }),
    index("by_set", { family: 1, setId: 1, ...latest }),
    index("by_version", { family: 1, setId: 1, rev: -1 }),
    index("open", inOrder, { open: true }),
    index("pending", { nodeId: 1, model: 1 }, { pending: true })
  ]
}

export const makeIndexes = async (db: Db): Promise<void> => {
  const { jobs, heads, traces, logs, incidents, quality } = collectionsOf(db)
  await jobs.createIndexes([...INDEXES.jobs])
  await heads.createIndexes([...INDEXES.heads])
  await traces.createIndexes([...INDEXES.traces])
  await logs.createIndexes([...INDEXES.logs])
  await incidents.createIndexes([...INDEXES.incidents])
  await quality.createIndexes([...INDEXES.quality])
  await db.collection(`${FILES_BUCKET}.files`).createIndexes([index("of_job", { "metadata.jobId": 1 })])
}
