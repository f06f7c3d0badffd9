/**
 * Finding and counting over the fields of the documents. Each search names its index, out of which MongoDB takes documents in order: no sort, and no
 * more of them looked at than needed once the most selective condition has chosen. (FerretDB sorts what the index gave.) Values of a user stand as
 * values only, never as operators.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Document, Filter } from "mongodb"
import type { JobRecord } from "../../schemas/JobRecord.ts"
import { jsonMayHold, outputHolds, requestHolds } from "../../schemas/JobWords.ts"
import type { Scope } from "../JobRecords.ts"
import * as JobSearch from "../JobSearch.ts"
import type { JobDocument } from "./Collections.ts"
import { jobIndex } from "./Indexes.ts"
import { costOf } from "./JobFields.ts"
import { statsOf } from "./JobStats.ts"
import * as LargeTexts from "./LargeTexts.ts"
import { MongoClient, SEARCHING } from "./MongoClient.ts"
import { readOrNull, readText, storedText } from "./StoredText.ts"

const during = (method: keyof JobSearch.Driver) => ({ of: "JobSearch", method })

/** Free text stands as JSON text. */
const storedOf = (facet: JobSearch.Facet, value: string): string =>
  JobSearch.FREE_TEXT.has(facet) ? storedText(value) : value

/** The bound on the time alone lets the index begin at the right place; the pair then leaves out what was on the page before. */
const older = ({ to, from }: JobSearch.JobFilter, after: JobSearch.Cursor | null): Filter<JobDocument> => {
  const least = from === undefined ? {} : { $gte: from }
  if (after === null || (to !== undefined && after.createdAt >= to)) {
    return { createdAt: { ...least, $lt: to ?? Number.MAX_SAFE_INTEGER } }
  }
  const { createdAt, jobId } = after
  return {
    createdAt: { ...least, $lte: createdAt },
    $or: [{ createdAt: { $lt: createdAt } }, { _id: { $lt: String(jobId) } }]
  }
}

export const find = (
  { collections: { jobs } }: Pick<MongoClient["Service"], "collections">,
  scope: Scope,
  filter: JobSearch.JobFilter,
  after: JobSearch.Cursor | null,
  limit: number,
  projection: Document = SUMMARY
) => {
  const asked = JobSearch.FACETS.flatMap((facet) => {
    const value = filter[facet]
    return value === undefined ? [] : [{ facet, value: storedOf(facet, value) }]
  })
  const conditions: Filter<JobDocument> = {
    ...(scope._tag === "Namespace" ? { namespaceId: { $eq: scope.namespaceId } } : {}),
    ...Object.fromEntries(asked.map(({ facet, value }) => [facet, { $eq: value }])),
    ...older(filter, after)
  }
  return jobs
    .find(conditions, { projection, ...SEARCHING })
    .hint(jobIndex(asked[0]?.facet ?? null, scope._tag === "Namespace"))
    .sort({ createdAt: -1, _id: -1 })
    .limit(limit)
}

/** In the order of their ends, from a place on. Read from the primary: what a sink has passed by it does not see again. */
export const findFinished = (
  { collections: { jobs } }: Pick<MongoClient["Service"], "collections">,
  ...[{ at, id }, before, limit]: Parameters<JobSearch.Driver["finished"]>
) =>
  jobs
    .find(
      { finishedAt: { $gte: at, $lt: before }, $or: [{ finishedAt: { $gt: at } }, { _id: { $gt: id } }] },
      { projection: SUMMARY }
    )
    .hint("by_finished")
    .sort({ finishedAt: 1, _id: 1 })
    .limit(limit)

/** Everything but the long texts. */
const SUMMARY = {
  namespaceId: 1,
  keyId: 1,
  endpoint: 1,
  mode: 1,
  model: 1,
  priority: 1,
  state: 1,
  errorCode: 1,
  nodeId: 1,
  clientTag: 1,
  createdAt: 1,
  finishedAt: 1,
  promptTokens: 1,
  outputTokens: 1,
  cost: 1,
  queueMs: 1,
  firstTokenMs: 1,
  totalMs: 1
} as const
const WITH_TEXTS = { ...SUMMARY, input: 1, output: 1, files: 1 } as const

const summaryOf = (stored: JobDocument): JobSearch.JobSummary => ({
  jobId: stored._id as JobSearch.JobSummary["jobId"],
  namespaceId: stored.namespaceId as JobSearch.JobSummary["namespaceId"],
  keyId: stored.keyId as JobSearch.JobSummary["keyId"],
  endpoint: stored.endpoint as JobSearch.JobSummary["endpoint"],
  mode: stored.mode as JobSearch.JobSummary["mode"],
  model: readText(stored.model),
  priority: stored.priority as JobSearch.JobSummary["priority"],
  state: stored.state as JobSearch.JobSummary["state"],
  errorCode: readOrNull(stored.errorCode),
  nodeId: stored.nodeId as JobSearch.JobSummary["nodeId"],
  clientTag: readOrNull(stored.clientTag),
  createdAt: stored.createdAt,
  finishedAt: stored.finishedAt,
  promptTokens: stored.promptTokens,
  outputTokens: stored.outputTokens,
  cost: costOf(stored),
  queueMs: stored.queueMs,
  firstTokenMs: stored.firstTokenMs,
  totalMs: stored.totalMs
})

type Texts = Pick<JobDocument, "input" | "output" | "files">

/** What stands in a file is fetched: a long text is no less the job's. */
const textOf = async (client: MongoClient["Service"], stored: Texts, body: "input" | "output") => {
  const name = stored.files[body]
  return typeof name === "string" ? LargeTexts.read(client.files, name) : stored[body]
}

const documentHolds = async (client: MongoClient["Service"], stored: Texts, word: string): Promise<boolean> => {
  const input = await textOf(client, stored, "input")
  if (input !== null && jsonMayHold(input, word)) {
    if (requestHolds((JSON.parse(input) as JobRecord["input"]).request, word)) return true
  }
  const output = await textOf(client, stored, "output")
  return output !== null && jsonMayHold(output, word) && outputHolds(JSON.parse(output) as JobRecord["output"], word)
}

/** The texts come over the wire, since a server would compare them by its own rules of upper and lower case. */
const look = async (
  client: MongoClient["Service"],
  ...[namespaceId, filter, word, after, { limit, looked }]: Parameters<JobSearch.Driver["look"]>
): Promise<JobSearch.Look> => {
  const found: Array<JobSearch.JobSummary> = []
  let last: JobDocument | null = null
  let seen = 0
  const documents = find(client, { _tag: "Namespace", namespaceId }, filter, after, looked, WITH_TEXTS)
  for await (const stored of documents.batchSize(LOOK_BATCH)) {
    seen++
    last = stored
    if (await documentHolds(client, stored, word)) found.push(summaryOf(stored))
    if (found.length === limit) break
  }
  if (last === null || (found.length < limit && seen < looked)) return { found, reached: null }
  return { found, reached: { createdAt: last.createdAt, jobId: last._id as JobSearch.Cursor["jobId"] } }
}

/** Documents with their texts in one answer of the server. */
const LOOK_BATCH = 64

export const layer: Layer.Layer<JobSearch.JobSearch, never, MongoClient> = Layer.effect(
  JobSearch.JobSearch,
  Effect.map(MongoClient, (client) =>
    JobSearch.make({
      search: (scope, filter, after, limit) =>
        client.run(during("search"), async () =>
          (await find(client, scope, filter, after, limit).toArray()).map(summaryOf)
        ),
      look: (...asked) => client.runLong(during("look"), () => look(client, ...asked)),
      finished: (after, before, limit) =>
        limit <= 0
          ? Effect.succeed([])
          : client.run(during("finished"), async () =>
              (await findFinished(client, after, before, limit).toArray()).map(summaryOf)
            ),
      stats: (scope, query) => client.runLong(during("stats"), () => statsOf(client, scope, query))
    })
  )
)
