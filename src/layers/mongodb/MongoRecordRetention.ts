/**
 * Marks on documents, and their deletion, in steps that may each be the last one before a crash. The mark on the document comes first and decides;
 * closing its trace and marking its log entries follow, and are made up for by whoever reads the segment. Documents go last, for they say what belongs
 * to the segment.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SegmentId } from "../../schemas/Archive.ts"
import type { JobId, NamespaceId } from "../../schemas/Ids.ts"
import * as RecordRetention from "../RecordRetention.ts"
import type { JobDocument } from "./Collections.ts"
import { recordOf } from "./JobFields.ts"
import * as LargeTexts from "./LargeTexts.ts"
import { MongoClient } from "./MongoClient.ts"
import { hasOnlyDuplicates } from "./MongoErrors.ts"
import { entryOf } from "./MongoLogs.ts"
import { CLOSED, readPieces } from "./TraceStore.ts"

const during = (method: keyof RecordRetention.Driver) => ({ of: "RecordRetention", method })

const DURABLE = { writeConcern: { w: "majority", journal: true } } as const
const ENDED = { $nin: ["queued", "active"] }
/** What retention may take. */
const MAY_LEAVE = { segmentId: null, held: false, state: ENDED }

type Client = MongoClient["Service"]

/** Afterwards nobody appends to these traces, and the entries that are there belong to the segment. Safe to repeat. */
const finishMarks = async ({ collections }: Client, segmentId: SegmentId): Promise<void> => {
  const { jobs, heads, logs } = collections
  const open = await jobs.find({ segmentId, isMarked: false }, { projection: { _id: 1 } }).toArray()
  if (open.length === 0) return
  const ids = open.map(({ _id }) => _id)
  const closing = ids.map((_id) => ({
    updateOne: {
      filter: { _id },
      update: { $max: { epoch: CLOSED }, $setOnInsert: { last: 0, chunks: [], size: 0 } },
      upsert: true
    }
  }))
  try {
    await heads.bulkWrite(closing, { ordered: false, ...DURABLE })
  } catch (cause) {
    if (!hasOnlyDuplicates(cause)) throw cause
  }
  await logs.updateMany({ jobId: { $in: ids }, segmentId: null }, { $set: { segmentId } }, DURABLE)
  await jobs.updateMany({ _id: { $in: ids }, segmentId }, { $set: { isMarked: true } }, DURABLE)
}

const mark = async (client: Client, segmentId: SegmentId, jobIds: ReadonlyArray<JobId>): Promise<number> => {
  const { jobs } = client.collections
  const filter = { _id: { $in: [...jobIds] }, ...MAY_LEAVE, finishedAt: { $ne: null } }
  if (jobIds.length > 0) await jobs.updateMany(filter, { $set: { segmentId, isMarked: false } }, DURABLE)
  await finishMarks(client, segmentId)
  return jobs.countDocuments({ segmentId })
}

const retiring = async ({ collections }: Client): Promise<ReadonlyArray<RecordRetention.RetiringSegment>> => {
  const counts = new Map<string, { segmentId: SegmentId; namespaceId: NamespaceId; count: number }>()
  const marked = collections.jobs.find({ segmentId: { $gt: "" } }, { projection: { segmentId: 1, namespaceId: 1 } })
  for await (const stored of marked) {
    const segmentId = stored.segmentId as SegmentId
    const namespaceId = stored.namespaceId as NamespaceId
    const known = counts.get(`${segmentId} ${namespaceId}`) ?? { segmentId, namespaceId, count: 0 }
    known.count += 1
    counts.set(`${segmentId} ${namespaceId}`, known)
  }
  return [...counts.values()].toSorted((a, b) => (a.segmentId + a.namespaceId < b.segmentId + b.namespaceId ? -1 : 1))
}

const archivedOf = async (
  { collections, files }: Client,
  stored: JobDocument
): Promise<RecordRetention.ArchivedJob> => {
  const { segmentId, _id } = stored
  const logs = collections.logs.find({ jobId: _id, segmentId }, { projection: { body: 1 } })
  return {
    record: recordOf(await LargeTexts.bringBack(files, stored)),
    traces: await readPieces(collections, _id, 0, Infinity),
    logs: (await logs.sort({ at: 1, _id: 1 }).toArray()).map(entryOf)
  }
}

const readSegment = async (client: Client, segmentId: SegmentId) => {
  await finishMarks(client, segmentId)
  const jobs: Array<RecordRetention.ArchivedJob> = []
  const marked = client.collections.jobs.find({ segmentId }).sort({ finishedAt: 1, _id: 1 })
  for await (const stored of marked) jobs.push(await archivedOf(client, stored))
  return jobs
}

/** The tally is written once for a segment, before anything goes: a second attempt counts nothing twice. */
const prune = async ({ collections, files }: Client, segmentId: SegmentId): Promise<number> => {
  const { jobs, heads, traces, logs, pruned } = collections
  const ids = (await jobs.find({ segmentId }, { projection: { _id: 1 } }).toArray()).map(({ _id }) => _id)
  if (ids.length === 0) return 0
  const tally = { $setOnInsert: { pruned: ids.length } }
  await pruned.updateOne({ _id: segmentId }, tally, { upsert: true, ...DURABLE })
  await traces.deleteMany({ jobId: { $in: ids } }, DURABLE)
  await heads.deleteMany({ _id: { $in: ids } }, DURABLE)
  await logs.deleteMany({ segmentId }, DURABLE)
  await LargeTexts.drop(files, ids)
  return (await jobs.deleteMany({ segmentId }, DURABLE)).deletedCount
}

const counts = async ({ collections: { jobs, pruned } }: Client) => {
  let gone = 0
  for await (const tally of pruned.find({})) gone += tally.pruned
  return { live: await jobs.countDocuments({}), pruned: gone }
}

export const layer: Layer.Layer<RecordRetention.RecordRetention, never, MongoClient> = Layer.effect(
  RecordRetention.RecordRetention,
  Effect.map(MongoClient, (client) => {
    const { run, collections } = client
    return RecordRetention.make({
      expired: (namespaceId, finishedBefore, limit) =>
        limit <= 0
          ? Effect.succeed([])
          : run(during("expired"), async () => {
              const filter = { namespaceId, ...MAY_LEAVE, finishedAt: { $lt: finishedBefore } }
              const found = collections.jobs.find(filter, { projection: { _id: 1 } })
              const ids = await found.sort({ finishedAt: 1, _id: 1 }).limit(limit).toArray()
              return ids.map(({ _id }) => _id as JobId)
            }),
      mark: (segmentId, jobIds) => run(during("mark"), () => mark(client, segmentId, jobIds)),
      retiring: run(during("retiring"), () => retiring(client)),
      read: (segmentId) => run(during("read"), () => readSegment(client, segmentId)),
      prune: (segmentId) => run(during("prune"), () => prune(client, segmentId)),
      hold: (jobId, held) =>
        run(during("hold"), async () => {
          const { matchedCount } = await collections.jobs.updateOne(
            { _id: jobId, segmentId: null },
            { $set: { held } },
            DURABLE
          )
          return matchedCount === 1
        }),
      counts: run(during("counts"), () => counts(client))
    })
  })
)
