/** Marks on log entries and incidents, and their deletion. Each step is one statement that may be the last before a crash, and may be repeated. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Collection } from "mongodb"
import type { EntryClass, SegmentId } from "../../schemas/Archive.ts"
import type { NamespaceId } from "../../schemas/Ids.ts"
import type { Incident } from "../../schemas/Incident.ts"
import * as EntryRetention from "../EntryRetention.ts"
import type { IncidentDocument, LogDocument } from "./Collections.ts"
import { DURABLE, MongoClient } from "./MongoClient.ts"
import { entryOf } from "./MongoLogs.ts"
import { oldestFirst } from "./OldestFirst.ts"

const during = (method: keyof EntryRetention.Driver) => ({ of: "EntryRetention", method })

type Client = MongoClient["Service"]
/** What both kinds of documents have. */
type Common = Pick<LogDocument, "_id" | "at" | "segmentId"> & {
  readonly namespaceId: string | null
  readonly jobId?: string | null
}

const of = ({ collections }: Client, dataClass: EntryClass): Collection<Common> =>
  collections[dataClass] as unknown as Collection<Common>

/** Pages that are looked through for entries of no live job before the pass says that there are none for now. */
const PAGES_MAX = 20

const withoutLiveJobs = async ({ collections: { jobs } }: Client, page: ReadonlyArray<Common>) => {
  const ids = [...new Set(page.flatMap(({ jobId }) => jobId ?? []))]
  if (ids.length === 0) return page
  const live = await jobs
    .find({ _id: { $in: ids } }, { projection: { _id: 1 } })
    .hint("_id_")
    .toArray()
  const known = new Set(live.map(({ _id }) => _id))
  return page.filter(({ jobId }) => jobId === null || jobId === undefined || !known.has(jobId))
}

const expired = async (
  client: Client,
  dataClass: EntryClass,
  namespaceId: NamespaceId | null,
  before: number,
  limit: number
): Promise<ReadonlyArray<string>> => {
  const found: Array<string> = []
  let after: Common | undefined
  for (let pages = 0; pages < PAGES_MAX && found.length < limit; pages++) {
    const further =
      after === undefined ? {} : { $or: [{ at: { $gt: after.at } }, { at: after.at, _id: { $gt: after._id } }] }
    const at = { $lt: before, ...(after === undefined ? {} : { $gte: after.at }) }
    const page = await oldestFirst({
      collection: of(client, dataClass),
      filter: { namespaceId, at, segmentId: null, ...further },
      by: "at",
      hint: "by_namespace_time",
      limit,
      options: { projection: { at: 1, jobId: 1 } }
    })
    found.push(...(await withoutLiveJobs(client, page)).map(({ _id }) => _id))
    after = page.at(-1)
    if (page.length < limit) break
  }
  return found.slice(0, limit)
}

const count = (client: Client, dataClass: EntryClass, segmentId: SegmentId): Promise<number> =>
  of(client, dataClass).countDocuments({ segmentId: { $eq: segmentId } }, { hint: "marked" })

const mark = async (client: Client, dataClass: EntryClass, segmentId: SegmentId, ids: ReadonlyArray<string>) => {
  const filter = { _id: { $in: [...ids] }, segmentId: null }
  if (ids.length > 0) await of(client, dataClass).updateMany(filter, { $set: { segmentId } }, DURABLE)
  return count(client, dataClass, segmentId)
}

const retiring = async (client: Client): Promise<ReadonlyArray<EntryRetention.RetiringEntries>> => {
  const segments = new Map<string, EntryRetention.RetiringEntries>()
  for (const dataClass of ["logs", "incidents"] as const) {
    const marked = of(client, dataClass).find(
      { segmentId: { $gte: "" } },
      { projection: { segmentId: 1, namespaceId: 1 } }
    )
    for await (const stored of marked.hint("marked")) {
      const segmentId = stored.segmentId as SegmentId
      const namespaceId = stored.namespaceId as NamespaceId | null
      segments.set(segmentId, { segmentId, dataClass, namespaceId, count: (segments.get(segmentId)?.count ?? 0) + 1 })
    }
  }
  return [...segments.values()]
}

const read = async (client: Client, dataClass: EntryClass, segmentId: SegmentId) => {
  const found = await of(client, dataClass)
    .find({ segmentId: { $eq: segmentId } })
    .hint("marked")
    .sort({ at: 1, _id: 1 })
    .toArray()
  return found.map((stored): EntryRetention.Entry =>
    dataClass === "logs"
      ? { _tag: "log", id: stored._id, at: stored.at, entry: entryOf(stored as unknown as LogDocument) }
      : {
          _tag: "incident",
          id: stored._id,
          at: stored.at,
          entry: JSON.parse((stored as unknown as IncidentDocument).body) as Incident
        }
  )
}

const prune = async (client: Client, dataClass: EntryClass, segmentId: SegmentId): Promise<number> =>
  (await of(client, dataClass).deleteMany({ segmentId: { $eq: segmentId } }, DURABLE)).deletedCount

export const layer: Layer.Layer<EntryRetention.EntryRetention, never, MongoClient> = Layer.effect(
  EntryRetention.EntryRetention,
  Effect.map(MongoClient, (client) =>
    EntryRetention.make({
      expired: (dataClass, namespaceId, before, limit) =>
        limit <= 0
          ? Effect.succeed([])
          : client.runLong(during("expired"), () => expired(client, dataClass, namespaceId, before, limit)),
      mark: (dataClass, segmentId, ids) =>
        client.runLong(during("mark"), () => mark(client, dataClass, segmentId, ids)),
      retiring: client.runLong(during("retiring"), () => retiring(client)),
      read: (dataClass, segmentId) => client.runLong(during("read"), () => read(client, dataClass, segmentId)),
      prune: (dataClass, segmentId) => client.runLong(during("prune"), () => prune(client, dataClass, segmentId))
    })
  )
)
