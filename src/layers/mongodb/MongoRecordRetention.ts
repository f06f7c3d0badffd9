/**
 * Marks on documents, and their deletion, in steps that may each be the last one before a crash. The mark on the document comes first and decides.
 * Then its trace is closed, and the document learns which log entries go with it, once: whoever comes later, or was slow, finds that decided. Documents
 * go last, for they say what belongs to the segment; closed heads of traces stay a day, against appends from before.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SegmentId } from "../../schemas/Archive.ts"
import { withoutBody } from "../../schemas/Body.ts"
import type { JobId, NamespaceId } from "../../schemas/Ids.ts"
import type { Tombstone } from "../../schemas/Tombstone.ts"
import * as RecordRetention from "../RecordRetention.ts"
import type { JobDocument } from "./Collections.ts"
import { patchFields, recordOf } from "./JobFields.ts"
import * as LargeTexts from "./LargeTexts.ts"
import * as MongoBatch from "./MongoBatch.ts"
import { DURABLE, MongoClient } from "./MongoClient.ts"
import { entryOf } from "./MongoLogs.ts"
import { oldestFirst } from "./OldestFirst.ts"
import { CLOSED, EMPTY, raise, readPieces } from "./TraceStore.ts"

const during = (method: keyof RecordRetention.Driver) => ({ of: "RecordRetention", method })

const ENDED = { $nin: ["queued", "active"] }
/** What retention may take; the bound on the end stands beside it. */
const MAY_LEAVE = { segmentId: null, held: false, state: ENDED }
const ANY_END = { $gte: Number.MIN_SAFE_INTEGER }

const FENCE_STAYS_MS = 86_400_000
/** Entries in one statement. */
const IDS_MAX = 1_000

type Client = MongoClient["Service"]

/** Afterwards nobody appends to these traces, and it is said which entries belong to the segment. Safe to repeat, also by several at once. */
const finishMarks = async (client: Client, segmentId: SegmentId): Promise<void> => {
  const { jobs, logs } = client.collections
  const marked = jobs.find({ segmentId: { $eq: segmentId }, logIds: null }, { projection: { namespaceId: 1 } })
  const open = await marked.hint("marked").toArray()
  if (open.length === 0) return
  await raise(
    client,
    open.map(({ _id }) => _id),
    CLOSED
  )
  const deciding = []
  for (const { _id, namespaceId } of open) {
    const found = logs.find({ jobId: _id, namespaceId }, { projection: { _id: 1 } }).hint("of_job")
    const logIds = (await found.sort({ at: 1, _id: 1 }).toArray()).map((entry) => entry._id)
    deciding.push({ updateOne: { filter: { _id, segmentId, logIds: null }, update: { $set: { logIds } } } })
  }
  await MongoBatch.bulk(jobs, deciding, DURABLE)
}

const countMarked = ({ collections: { jobs } }: Client, segmentId: SegmentId): Promise<number> =>
  jobs.countDocuments({ segmentId: { $eq: segmentId } }, { hint: "marked" })

const mark = async (
  client: Client,
  segmentId: SegmentId,
  jobIds: ReadonlyArray<JobId>,
  leavesAs: RecordRetention.LeavesAs
): Promise<number> => {
  const mayBeMarked = leavesAs === "held" ? { segmentId: null, state: ENDED } : MAY_LEAVE
  const filter = { _id: { $in: [...jobIds] }, ...mayBeMarked, finishedAt: ANY_END }
  if (jobIds.length > 0) await client.collections.jobs.updateMany(filter, { $set: { segmentId, leavesAs } }, DURABLE)
  await finishMarks(client, segmentId)
  return countMarked(client, segmentId)
}

const retiring = async ({ collections }: Client): Promise<ReadonlyArray<RecordRetention.RetiringSegment>> => {
  const counts = new Map<
    string,
    { -readonly [Field in keyof RecordRetention.RetiringSegment]: RecordRetention.RetiringSegment[Field] }
  >()
  const projection = { segmentId: 1, namespaceId: 1, leavesAs: 1 }
  for await (const stored of collections.jobs.find({ segmentId: { $gte: "" } }, { projection }).hint("marked")) {
    const segmentId = stored.segmentId as SegmentId
    const namespaceId = stored.namespaceId as NamespaceId
    const leavesAs = (stored.leavesAs ?? "jobs") as RecordRetention.LeavesAs
    const known = counts.get(`${segmentId} ${namespaceId}`) ?? { segmentId, namespaceId, leavesAs, count: 0 }
    known.count += 1
    counts.set(`${segmentId} ${namespaceId}`, known)
  }
  return [...counts].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, segment]) => segment)
}

const chunked = (ids: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> =>
  Array.from({ length: Math.ceil(ids.length / IDS_MAX) }, (_, at) => ids.slice(at * IDS_MAX, (at + 1) * IDS_MAX))

const archivedOf = async (client: Client, stored: JobDocument): Promise<RecordRetention.ArchivedJob> => {
  const logs: Array<ReturnType<typeof entryOf>> = []
  for (const ids of chunked(stored.logIds ?? [])) {
    const found = client.collections.logs.find({ _id: { $in: [...ids] } }, { projection: { body: 1, at: 1 } })
    logs.push(...(await found.sort({ at: 1, _id: 1 }).toArray()).map(entryOf))
  }
  return {
    record: recordOf(await LargeTexts.bringBack(client.files, stored)),
    traces: await readPieces(client, stored._id, 0, Infinity),
    logs
  }
}

const readSegment = async (client: Client, segmentId: SegmentId) => {
  await finishMarks(client, segmentId)
  const jobs: Array<RecordRetention.ArchivedJob> = []
  const marked = client.collections.jobs.find({ segmentId: { $eq: segmentId } }).hint("marked")
  for await (const stored of marked.sort({ finishedAt: 1, _id: 1 })) jobs.push(await archivedOf(client, stored))
  return jobs
}

/** The tally is written once for a segment, before anything goes: a second attempt counts nothing twice. */
const prune = async (client: Client, segmentId: SegmentId, now: number): Promise<number> => {
  const { jobs, heads, traces, logs, pruned } = client.collections
  await finishMarks(client, segmentId)
  const marked = jobs.find({ segmentId: { $eq: segmentId } }, { projection: { logIds: 1 } }).hint("marked")
  const leaving = await marked.toArray()
  const ids = leaving.map(({ _id }) => _id)
  if (ids.length === 0) return 0
  await pruned.updateOne({ _id: segmentId }, { $max: { pruned: ids.length } }, { upsert: true, ...DURABLE })
  await traces.deleteMany({ jobId: { $in: ids } }, DURABLE)
  const purgeAfter = DateTime.toDateUtc(DateTime.makeUnsafe(now + FENCE_STAYS_MS))
  await heads.updateMany({ _id: { $in: ids } }, { $set: { ...EMPTY, epoch: CLOSED, purgeAfter } }, DURABLE)
  for (const logIds of chunked(leaving.flatMap((stored) => stored.logIds ?? []))) {
    await logs.deleteMany({ _id: { $in: [...logIds] } }, DURABLE)
  }
  await LargeTexts.dropAll(client.files, ids)
  return (await jobs.deleteMany({ segmentId: { $eq: segmentId } }, DURABLE)).deletedCount
}

/** The document first, so that whoever comes after a crash finds the body gone and the mark still there; then pieces, then files that they may name; the mark last. */
const strip = async (client: Client, segmentId: SegmentId, stones: ReadonlyArray<RecordRetention.Stone>) => {
  const { jobs, heads, traces } = client.collections
  await finishMarks(client, segmentId)
  const _id = { $in: stones.map(({ jobId }): string => jobId) }
  const marked = new Map(
    (await jobs.find({ _id, segmentId }).hint("_id_").toArray()).map((stored) => [stored._id, stored])
  )
  for (const { jobId, tombstone } of stones) {
    const stored = marked.get(jobId)
    if (stored !== undefined && stored.tombstone !== JSON.stringify(tombstone))
      await putStripped(client, stored, tombstone)
  }
  const ids = { $in: [...marked.keys()] }
  await traces.deleteMany({ jobId: ids }, DURABLE)
  await heads.updateMany({ _id: ids }, { $set: { ...EMPTY, epoch: CLOSED } }, DURABLE)
  for (const stored of marked.values()) await LargeTexts.dropBut(client.files, stored._id, keptFiles(stored))
  const unmarked = { segmentId: null, logIds: null, leavesAs: null }
  return (await jobs.updateMany({ _id: ids, segmentId, stripped: true }, { $set: unmarked }, DURABLE)).modifiedCount
}

const keptFiles = ({ files: { input: _input, output: _output, workflow: _workflow, ...kept } }: JobDocument) =>
  Object.values(kept).filter((name) => typeof name === "string")

const putStripped = async ({ collections: { jobs }, files }: Client, stored: JobDocument, tombstone: Tombstone) => {
  const record = withoutBody(recordOf(await LargeTexts.bringBack(files, stored)), tombstone)
  const { input, output, workflow, clientTag } = record
  const bodies = { "files.input": null, "files.output": null, "files.workflow": null }
  const set = { ...patchFields({ input, output, workflow, clientTag }), ...bodies, stripped: true }
  const filter = { _id: stored._id, segmentId: stored.segmentId }
  await jobs.updateOne(filter, { $set: { ...set, tombstone: JSON.stringify(tombstone) } }, DURABLE)
}

/** Each with the index that serves it. */
const PARTS = {
  whole: { filter: { ...MAY_LEAVE, stripped: null }, index: "leaving_part" },
  stripped: { filter: { ...MAY_LEAVE, stripped: true }, index: "leaving_part" },
  held: { filter: { segmentId: null, held: true, state: ENDED }, index: "held" }
} as const

const expired = async (
  { collections: { jobs } }: Client,
  namespaceId: NamespaceId,
  finishedBefore: number,
  limit: number,
  part: RecordRetention.Part
): Promise<ReadonlyArray<JobId>> => {
  const finishedAt = { ...ANY_END, $lt: finishedBefore }
  const filter = { namespaceId: { $eq: namespaceId }, ...PARTS[part].filter, finishedAt }
  const question = { collection: jobs, filter, by: "finishedAt", hint: PARTS[part].index, limit } as const
  const ids = await oldestFirst({ ...question, options: { projection: { _id: 1 } } })
  return ids.map(({ _id }) => _id as JobId)
}

const counts = async ({ collections: { jobs, pruned } }: Client) => {
  let gone = 0
  for await (const tally of pruned.find({})) gone += Number(tally.pruned)
  // Over the index of ids, not over the documents.
  return { live: await jobs.countDocuments({ _id: { $gte: "" } }), pruned: gone }
}

const hold = async ({ collections: { jobs } }: Client, jobId: JobId, held: boolean): Promise<boolean> => {
  const { matchedCount } = await jobs.updateOne({ _id: jobId, segmentId: null }, { $set: { held } }, DURABLE)
  return matchedCount === 1
}

export const layer: Layer.Layer<RecordRetention.RecordRetention, never, MongoClient> = Layer.effect(
  RecordRetention.RecordRetention,
  Effect.map(MongoClient, (client) =>
    RecordRetention.make({
      expired: (namespaceId, finishedBefore, limit, part = "whole") =>
        limit <= 0
          ? Effect.succeed([])
          : client.run(during("expired"), () => expired(client, namespaceId, finishedBefore, limit, part)),
      mark: (segmentId, jobIds, leavesAs = "jobs") =>
        client.runLong(during("mark"), () => mark(client, segmentId, jobIds, leavesAs)),
      retiring: client.runLong(during("retiring"), () => retiring(client)),
      read: (segmentId) => client.runLong(during("read"), () => readSegment(client, segmentId)),
      prune: (segmentId, stones) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) =>
          client.runLong(during("prune"), () =>
            stones === undefined ? prune(client, segmentId, now) : strip(client, segmentId, stones)
          )
        ),
      hold: (jobId, held) => client.run(during("hold"), () => hold(client, jobId, held)),
      counts: client.runLong(during("counts"), () => counts(client))
    })
  )
)
