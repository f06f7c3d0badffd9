/**
 * Finding and counting over the fields of the documents. Each search names its index, out of which MongoDB takes documents in order: no sort, and no
 * more of them looked at than needed once the most selective condition has chosen. (FerretDB sorts what the index gave.) Values of a user stand as
 * values only, never as operators.
 */
import * as Clock from "effect/Clock"
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
import { newestFirst, type Questions } from "./NewestFirst.ts"
import { oldestFirst, type Question } from "./OldestFirst.ts"
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

const asked = (filter: JobSearch.JobFilter) =>
  JobSearch.FACETS.flatMap((facet) => {
    const value = filter[facet]
    return value === undefined ? [] : [{ facet, value: storedOf(facet, value) }]
  })

const conditionsOf = (
  scope: Scope,
  filter: JobSearch.JobFilter,
  after: JobSearch.Cursor | null
): Filter<JobDocument> => ({
  ...(scope._tag === "Namespace" ? { namespaceId: { $eq: scope.namespaceId } } : {}),
  ...Object.fromEntries(asked(filter).map(({ facet, value }) => [facet, { $eq: value }])),
  ...older(filter, after)
})

const indexFor = (scope: Scope, filter: JobSearch.JobFilter): string =>
  jobIndex(asked(filter)[0]?.facet ?? null, scope._tag === "Namespace")

type Collected = Pick<MongoClient["Service"], "collections">

export const find = (
  { collections: { jobs } }: Collected,
  scope: Scope,
  filter: JobSearch.JobFilter,
  after: JobSearch.Cursor | null,
  limit: number,
  projection: Document = SUMMARY
) =>
  jobs
    .find(conditionsOf(scope, filter, after), { projection, ...SEARCHING })
    .hint(indexFor(scope, filter))
    .sort({ createdAt: -1, _id: -1 })
    .limit(limit)

const questions = (
  client: Collected,
  scope: Scope,
  projection: Document = SUMMARY,
  batch = SUMMARIES
): Questions<JobDocument> => ({
  count: (filter, after, limit) =>
    client.collections.jobs.countDocuments(conditionsOf(scope, filter, after), {
      hint: indexFor(scope, filter),
      limit,
      ...SEARCHING
    }),
  find: (filter, after, limit) => find(client, scope, filter, after, limit, projection).batchSize(batch)
})

/** Documents in one answer of the server. */
const SUMMARIES = 1_000
/** With texts they may be long. */
const LOOKED_AT = 64

/** In the order of their ends, from a place on. Read from the primary: what a sink has passed by it does not see again. */
export const finishedFrom = (
  { collections: { jobs } }: Collected,
  ...[{ at, id }, before, limit]: Parameters<JobSearch.Driver["finished"]>
): Question<JobDocument> => ({
  collection: jobs,
  filter: { finishedAt: { $gte: at, $lt: before }, $or: [{ finishedAt: { $gt: at } }, { _id: { $gt: id } }] },
  by: "finishedAt",
  hint: "by_finished",
  limit,
  options: { projection: SUMMARY }
})

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
  now: number,
  ...[namespaceId, filter, word, after, { limit, looked }]: Parameters<JobSearch.Driver["look"]>
): Promise<JobSearch.Look> => {
  const scope = { _tag: "Namespace", namespaceId } as const
  const found: Array<JobSearch.JobSummary> = []
  let last: JobDocument | null = null
  let seen = 0
  const wanted = { filter, after, limit: looked, now }
  for await (const stored of newestFirst(questions(client, scope, WITH_TEXTS, LOOKED_AT), wanted)) {
    seen++
    last = stored
    if (await documentHolds(client, stored, word)) found.push(summaryOf(stored))
    if (found.length === limit) break
  }
  if (last === null || (found.length < limit && seen < looked)) return { found, reached: null }
  return { found, reached: { createdAt: last.createdAt, jobId: last._id as JobSearch.Cursor["jobId"] } }
}

const search = async (
  client: MongoClient["Service"],
  now: number,
  ...[scope, filter, after, limit]: Parameters<JobSearch.Driver["search"]>
): Promise<ReadonlyArray<JobSearch.JobSummary>> => {
  const found: Array<JobSearch.JobSummary> = []
  for await (const stored of newestFirst(questions(client, scope), { filter, after, limit, now })) {
    found.push(summaryOf(stored))
  }
  return found
}

const atOnce = <A, E>(ask: (now: number) => Effect.Effect<A, E>) => Effect.flatMap(Clock.currentTimeMillis, ask)

export const layer: Layer.Layer<JobSearch.JobSearch, never, MongoClient> = Layer.effect(
  JobSearch.JobSearch,
  Effect.map(MongoClient, (client) =>
    JobSearch.make({
      search: (...asked) => atOnce((now) => client.run(during("search"), () => search(client, now, ...asked))),
      look: (...asked) => atOnce((now) => client.runLong(during("look"), () => look(client, now, ...asked))),
      finished: (after, before, limit) =>
        limit <= 0
          ? Effect.succeed([])
          : client.run(during("finished"), async () =>
              (await oldestFirst(finishedFrom(client, after, before, limit))).map(summaryOf)
            ),
      stats: (scope, query) => client.runLong(during("stats"), () => statsOf(client, scope, query))
    })
  )
)
