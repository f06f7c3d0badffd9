/**
 * How a trace is kept so that no transaction is needed.
 *
 * An append and a fence each are one guarded update of the one document that decides, the job's head. An append matches only while no later epoch stands
 * in the head and while it continues at the head's last number; a fence raises the epoch, and reads after that. The server puts updates of one document
 * in an order: an append before the fence is in what the fence reads, and one after it finds a later epoch and changes nothing. There is no third case,
 * and none after a crash, for nothing of an append stands outside of that update but a large chunk's file, which nobody sees before the head names it.
 *
 * A head that has grown is emptied in two steps: its chunks are copied into a segment, durably, and then taken out of the head, if its last number is
 * still that of the copy. Between the two, or when somebody dies there, pieces stand twice, and readers skip what they have. Of two who do it at once the
 * longer copy stands, and all copies agree, because a head only ever grows.
 */
import type { AnyBulkWriteOperation, GridFSBucket } from "mongodb"
import type { TokenEvent } from "../../schemas/TokenEvent.ts"
import type { TraceBatch } from "../Traces.ts"
import type { Collections, TraceHead, TraceSegment } from "./Collections.ts"
import * as MongoBatch from "./MongoBatch.ts"
import { DURABLE, LASTING } from "./MongoClient.ts"
import { isDuplicate } from "./MongoErrors.ts"
import { chunkOf, piecesIn } from "./TraceChunks.ts"

export interface TraceStore {
  readonly collections: Collections
  readonly files: GridFSBucket
}

/** An epoch that no writer reaches: what is fenced with it is closed. */
export const CLOSED = Number.MAX_SAFE_INTEGER

/** Characters in a head before it is emptied: small enough to be rewritten with each append, large enough for most answers. */
const HEAD_MAX = 64_000
/** How many pieces pass between two looks at the size of a head. */
const LOOK_EVERY = 64

export const EMPTY = { last: 0, chunks: [], size: 0 }

type Write = AnyBulkWriteOperation<TraceHead>

interface Fresh {
  readonly jobId: string
  readonly epoch: number
  /** What the head must end with for these to continue it. */
  readonly after: number
  readonly last: number
  /** null: nothing that is not there, but the epoch counts. */
  readonly chunk: string | null
}

const freshOf = async (files: GridFSBucket, { jobId, epoch, events }: TraceBatch, after: number): Promise<Fresh> => {
  const rest = events.filter(({ seq }) => seq > after)
  const chunk = rest.length === 0 ? null : await chunkOf(files, jobId, rest)
  return { jobId, epoch, after, last: rest.at(-1)?.seq ?? after, chunk }
}

const firstOf = ({ events }: TraceBatch): number => events[0]?.seq ?? 1

/** Only the beginning of a trace may make its head. */
const writeOf = ({ jobId, epoch, after, last, chunk }: Fresh): Write => ({
  updateOne: {
    filter: { _id: jobId, epoch: { $lte: epoch }, last: after },
    update:
      chunk === null
        ? { $set: { epoch }, $setOnInsert: { chunks: [], size: 0 } }
        : { $set: { epoch, last }, $push: { chunks: chunk }, $inc: { size: chunk.length } },
    upsert: after === 0
  }
})

const TRIES_MAX = 8

/** The careful way, for a batch that did not simply continue its head: a repeat, a gap, another owner, or a race. */
const appendCarefully = async ({ collections: { heads }, files }: TraceStore, batch: TraceBatch): Promise<boolean> => {
  const { jobId, epoch } = batch
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const head = await heads.findOne({ _id: jobId }, { projection: { epoch: 1, last: 1 } })
    if (head === null && firstOf(batch) > 1) return false
    if (head !== null && (head.epoch > epoch || head.last < firstOf(batch) - 1)) return false
    const fresh = await freshOf(files, batch, head?.last ?? 0)
    if ((await MongoBatch.bulk(heads, [writeOf(fresh)], LASTING)) === 1) return true
  }
  throw new Error(`the trace of ${jobId} changes faster than it can be appended to`)
}

/** Batches of different jobs, together. */
export const appendAll = async (
  store: TraceStore,
  batches: ReadonlyArray<TraceBatch>
): Promise<ReadonlyArray<boolean>> => {
  const { heads } = store.collections
  const fresh: Array<Fresh> = []
  for (const batch of batches) fresh.push(await freshOf(store.files, batch, firstOf(batch) - 1))
  const isPlain = fresh.every(({ chunk }) => chunk !== null)
  if (isPlain && (await MongoBatch.bulk(heads, fresh.map(writeOf), LASTING)) === batches.length) {
    await shrink(store, fresh)
    return batches.map(() => true)
  }
  const _id = { $in: batches.map(({ jobId }) => jobId) }
  const known = await heads.find({ _id }, { projection: { epoch: 1, last: 1 } }).toArray()
  const found = new Map(known.map((head) => [head._id, head]))
  const outcomes: Array<boolean> = []
  for (const [place, batch] of batches.entries()) {
    const head = found.get(batch.jobId)
    const { chunk, last } = fresh[place] as Fresh
    const isThere = chunk !== null && head?.epoch === batch.epoch && head.last >= last
    outcomes.push(isThere || (await appendCarefully(store, batch)))
  }
  await shrink(store, fresh)
  return outcomes
}

/** Either it is time to look, or what came was large. */
const mayHaveGrown = ({ after, last, chunk }: Fresh): boolean =>
  Math.floor(last / LOOK_EVERY) > Math.floor(after / LOOK_EVERY) || (chunk?.length ?? 0) > HEAD_MAX / 4

/** What no loss of a server can take back is moved, and nothing else: a segment may stand on another shard than its head. */
const shrink = async ({ collections: { heads, traces }, files }: TraceStore, fresh: ReadonlyArray<Fresh>) => {
  const long = fresh.filter(mayHaveGrown)
  if (long.length === 0) return
  const _id = { $in: long.map(({ jobId }) => jobId) }
  const grown = heads.find({ _id, size: { $gt: HEAD_MAX } }, { readConcern: { level: "majority" } })
  for (const { _id: jobId, last, chunks } of await grown.toArray()) {
    const first = (await piecesIn(files, chunks.slice(0, 1)))[0]?.seq
    if (first === undefined) continue
    try {
      const filter = { _id: `${jobId}:${first}`, jobId, last: { $lt: last } }
      await traces.replaceOne(filter, { jobId, first, last, chunks }, { upsert: true, ...DURABLE })
    } catch (cause) {
      // There is one that is at least as long.
      if (!isDuplicate(cause)) throw cause
    }
    await heads.updateOne({ _id: jobId, last }, { $set: { chunks: [], size: 0 } }, LASTING)
  }
}

/** In order, each once, without a gap from `afterSeq` on; stops where it has enough. */
const collect = (
  found: Array<TokenEvent>,
  pieces: ReadonlyArray<TokenEvent>,
  afterSeq: number,
  limit: number
): void => {
  let last = found.at(-1)?.seq ?? afterSeq
  for (const piece of pieces) {
    if (found.length >= limit) return
    if (piece.seq !== last + 1) continue
    found.push(piece)
    last = piece.seq
  }
}

/** The head was read first: what has left it meanwhile stands in a segment by now. */
const readFrom = async (
  { collections: { traces }, files }: TraceStore,
  head: TraceHead | null,
  jobId: string,
  afterSeq: number,
  limit: number
): Promise<ReadonlyArray<TokenEvent>> => {
  const found: Array<TokenEvent> = []
  if (head === null || head.last <= afterSeq) return found
  const inHead = await piecesIn(files, head.chunks)
  if ((inHead[0]?.seq ?? Infinity) > afterSeq + 1) {
    const segments = traces.find<TraceSegment>({ jobId: { $eq: jobId }, last: { $gt: afterSeq } }).hint("of_job")
    for await (const { chunks } of segments.sort({ first: 1 })) {
      collect(found, await piecesIn(files, chunks), afterSeq, limit)
      if (found.length >= limit) break
    }
  }
  collect(found, inHead, afterSeq, limit)
  return found
}

export const readPieces = async (
  store: TraceStore,
  jobId: string,
  afterSeq: number,
  limit: number
): Promise<ReadonlyArray<TokenEvent>> =>
  readFrom(store, await store.collections.heads.findOne({ _id: { $eq: jobId } }), jobId, afterSeq, limit)

/** Afterwards nobody of an older epoch appends to these. */
export const raise = async ({ collections: { heads } }: TraceStore, jobIds: ReadonlyArray<string>, epoch: number) => {
  const writes = jobIds.map((_id) => ({
    updateOne: { filter: { _id }, update: { $max: { epoch }, $setOnInsert: EMPTY }, upsert: true }
  }))
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    // null: somebody else made one of the heads at the same time, and now it is there.
    if ((await MongoBatch.bulk(heads, writes, DURABLE)) !== null) return
  }
  throw new Error("heads of traces change faster than they can be fenced")
}

/**
 * Raises the fence, and then reads. Not in one step (`findOneAndUpdate`): where two make a head at the same time, a server was seen to answer with the
 * document that it had wanted to insert, and not with the one that stands.
 */
export const fence = async (store: TraceStore, jobId: string, epoch: number): Promise<ReadonlyArray<TokenEvent>> => {
  await raise(store, [jobId], epoch)
  return readPieces(store, jobId, 0, Infinity)
}
