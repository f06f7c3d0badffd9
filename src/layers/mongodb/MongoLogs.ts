/**
 * The typed log, one document an entry. An entry gets its id when it is handed over, so the same call tried again after an Outage writes nothing twice;
 * ids of one process grow, which keeps entries of one instant in the order of their arrival.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Filter, ObjectId } from "mongodb"
import type { LogEntry } from "../../schemas/JobRecord.ts"
import type { Scope } from "../JobRecords.ts"
import * as Logs from "../Logs.ts"
import type { LogDocument } from "./Collections.ts"
import * as MongoBatch from "./MongoBatch.ts"
import { LASTING, MongoClient, SEARCHING } from "./MongoClient.ts"
import { oldestFirst, type Question } from "./OldestFirst.ts"
import { storedText } from "./StoredText.ts"

const during = (method: keyof Logs.Driver) => ({ of: "Logs", method })

/** One lane: there is one order. */
const GROUPING: MongoBatch.Grouping = { batchMax: 128, lanes: 1, waitingMax: 32_768 }

/** The start of this process, what tells it from others, and a number that grows; all of fixed width. */
const idsFrom = (startedAt: number) => {
  const process = `${startedAt.toString(36).padStart(10, "0")}-${new ObjectId().toHexString()}`
  let last = 0
  return () => `${process}-${(++last).toString(36).padStart(9, "0")}`
}

const documentOf = (_id: string, entry: LogEntry): LogDocument => ({
  _id,
  namespaceId: entry.namespaceId,
  type: entry.type,
  at: entry.at,
  jobId: entry.jobId,
  nodeId: entry.nodeId,
  code: storedText(entry.code),
  body: JSON.stringify(entry)
})

export const entryOf = ({ body }: Pick<LogDocument, "body">): LogEntry => JSON.parse(body) as LogEntry

const placed = (stored: LogDocument): Logs.PlacedEntry => ({
  place: { at: stored.at, id: stored._id },
  entry: entryOf(stored)
})

/** Half-open over an instant; undefined when everything is asked for. */
export const within = (from: number | undefined, to: number | undefined) =>
  from === undefined && to === undefined
    ? undefined
    : { ...(from === undefined ? {} : { $gte: from }), ...(to === undefined ? {} : { $lt: to }) }

const filterOf = (scope: Scope, { type, jobId, from, to, after }: Logs.LogQuery): Filter<LogDocument> => {
  // The bound on the time alone is what the index begins at.
  const at = within(after === undefined ? from : Math.max(from ?? after.at, after.at), to)
  return {
    ...(after === undefined ? {} : { $or: [{ at: { $gt: after.at } }, { _id: { $gt: after.id } }] }),
    ...(scope._tag === "Namespace" ? { namespaceId: { $eq: scope.namespaceId } } : {}),
    ...(type === undefined ? {} : { type: { $eq: type } }),
    ...(jobId === undefined ? {} : { jobId: { $eq: jobId } }),
    ...(at === undefined ? {} : { at })
  }
}

const indexFor = (scope: Scope, { type, jobId }: Logs.LogQuery): string => {
  if (jobId !== undefined) return "of_job"
  const facet = type === undefined ? "time" : "type"
  return scope._tag === "Namespace" ? `by_namespace_${facet}` : `by_${facet}`
}

export const entriesOf = (
  { collections: { logs } }: Pick<MongoClient["Service"], "collections">,
  scope: Scope,
  query: Logs.LogQuery
): Question<LogDocument> => ({
  collection: logs,
  filter: filterOf(scope, query),
  by: "at",
  hint: indexFor(scope, query),
  limit: query.limit,
  options: { projection: { at: 1, body: 1 }, ...SEARCHING }
})

export const layerWith = (options: { readonly grouping?: MongoBatch.Grouping }) =>
  Layer.effect(
    Logs.Logs,
    Effect.gen(function* () {
      const client = yield* MongoClient
      const nextId = idsFrom(yield* Clock.currentTimeMillis)
      const insert = yield* MongoBatch.make<ReadonlyArray<LogDocument>, void>(
        client,
        {
          during: during("append"),
          jobOf: () => "",
          together: async (calls) => {
            const inserts = calls.flat().map((document) => ({ insertOne: { document } }))
            await MongoBatch.bulk(client.collections.logs, inserts, LASTING)
            return calls.map(() => undefined)
          }
        },
        options.grouping ?? GROUPING
      )
      return Logs.make({
        append: (entries) => insert(entries.map((entry) => documentOf(nextId(), entry))),
        page: (scope, query) =>
          query.limit <= 0
            ? Effect.succeed([])
            : client.run(during("page"), async () => (await oldestFirst(entriesOf(client, scope, query))).map(placed))
      })
    })
  )

export const layer: Layer.Layer<Logs.Logs, never, MongoClient> = layerWith({})
