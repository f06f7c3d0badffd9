/**
 * How a trace is kept so that no transaction is needed. Every append is one guarded update of the job's head: it matches only while no later epoch has
 * fenced the head and while it continues at the head's last number; so a late append of an older owner and a fence can never both take effect. A head
 * that has grown is emptied in two steps: its chunks are copied into a segment first and taken out of the head after, by a guard on its last number.
 * Between the two, or when somebody dies there, a piece stands twice, and readers skip what they have. What is stored for a number never changes.
 */
import type { AnyBulkWriteOperation } from "mongodb"
import type { TokenEvent } from "../../schemas/TokenEvent.ts"
import type { TraceBatch } from "../Traces.ts"
import type { Collections, TraceHead } from "./Collections.ts"
import { hasOnlyDuplicates, isDuplicate } from "./MongoErrors.ts"

/** An epoch that no writer reaches: what is fenced with it is closed. */
export const CLOSED = Number.MAX_SAFE_INTEGER

/** Characters of JSON in a head before it is emptied: small enough to be rewritten with each append, large enough for nearly all answers. */
const HEAD_MAX = 128_000

const EMPTY = { last: 0, chunks: [], size: 0 }

type Write = AnyBulkWriteOperation<TraceHead>

interface Fresh {
  readonly jobId: string
  readonly epoch: number
  /** What the head must end with for these to continue it. */
  readonly after: number
  readonly last: number
  readonly chunk: string
}

const freshOf = ({ jobId, epoch, events }: TraceBatch, after: number): Fresh => {
  const rest = events.filter(({ seq }) => seq > after)
  return { jobId, epoch, after, last: rest.at(-1)?.seq ?? after, chunk: JSON.stringify(rest) }
}

const firstOf = ({ events }: TraceBatch): number => events[0]?.seq ?? 1

/** Only the beginning of a trace may make its head. */
const writeOf = ({ jobId, epoch, after, last, chunk }: Fresh): Write => ({
  updateOne: {
    filter: { _id: jobId, epoch: { $lte: epoch }, last: after },
    update: { $set: { epoch, last }, $push: { chunks: chunk }, $inc: { size: chunk.length } },
    upsert: after === 0
  }
})

/** How many took effect. */
const bulk = async ({ heads }: Collections, writes: ReadonlyArray<Write>): Promise<number> => {
  try {
    const { matchedCount, upsertedCount } = await heads.bulkWrite([...writes], { ordered: false })
    return matchedCount + upsertedCount
  } catch (cause) {
    if (!hasOnlyDuplicates(cause)) throw cause
    return -1
  }
}

/** The epoch counts all the same. */
const nothingNew = ({ jobId, epoch }: Fresh, isNew: boolean): Write => ({
  updateOne: {
    filter: { _id: jobId, epoch: { $lte: epoch } },
    update: { $set: { epoch }, $setOnInsert: EMPTY },
    upsert: isNew
  }
})

const TRIES_MAX = 8

/** The careful way, for a batch that did not simply continue its head: a repeat, a gap, another owner, or a race. */
const appendCarefully = async (collections: Collections, batch: TraceBatch): Promise<boolean> => {
  const { heads } = collections
  const { jobId, epoch } = batch
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const head = await heads.findOne({ _id: jobId }, { projection: { epoch: 1, last: 1 } })
    if (head === null && firstOf(batch) > 1) return false
    if (head !== null && (head.epoch > epoch || head.last < firstOf(batch) - 1)) return false
    const fresh = freshOf(batch, head?.last ?? 0)
    const changes = fresh.last === fresh.after ? nothingNew(fresh, head === null) : writeOf(fresh)
    if ((await bulk(collections, [changes])) === 1) return true
  }
  throw new Error(`the trace of ${jobId} changes faster than it can be appended to`)
}

const hasIt = (head: Pick<TraceHead, "epoch" | "last"> | undefined, { epoch, last }: Fresh): boolean =>
  head !== undefined && head.epoch === epoch && head.last >= last

/** Batches of different jobs, together. */
export const appendAll = async (
  collections: Collections,
  batches: ReadonlyArray<TraceBatch>
): Promise<ReadonlyArray<boolean>> => {
  const fresh = batches.map((batch) => freshOf(batch, firstOf(batch) - 1))
  const empty = batches.some(({ events }) => events.length === 0)
  if (!empty && (await bulk(collections, fresh.map(writeOf))) === batches.length) {
    await shrink(collections, fresh)
    return batches.map(() => true)
  }
  const _id = { $in: batches.map(({ jobId }) => jobId) }
  const known = await collections.heads.find({ _id }, { projection: { epoch: 1, last: 1 } }).toArray()
  const heads = new Map(known.map((head) => [head._id, head]))
  const outcomes: Array<boolean> = []
  for (const [place, batch] of batches.entries()) {
    const mine = fresh[place]
    const isThere = mine !== undefined && batch.events.length > 0 && hasIt(heads.get(batch.jobId), mine)
    outcomes.push(isThere || (await appendCarefully(collections, batch)))
  }
  await shrink(collections, fresh)
  return outcomes
}

/** What was appended tells roughly how large heads are: only where it may be too much is looked closer. */
const shrink = async ({ heads, traces }: Collections, fresh: ReadonlyArray<Fresh>): Promise<void> => {
  const long = fresh.filter(({ last, chunk }) => last > LONG_PIECES || chunk.length > HEAD_MAX / 4)
  if (long.length === 0) return
  const _id = { $in: long.map(({ jobId }) => jobId) }
  for (const head of await heads.find({ _id, size: { $gt: HEAD_MAX } }).toArray()) {
    const pieces = piecesIn(head.chunks)
    const [first, last] = [pieces[0]?.seq ?? 1, pieces.at(-1)?.seq ?? 0]
    const segment = { jobId: head._id, first, last, chunks: head.chunks }
    try {
      // Never shorter than it was: an older owner may have begun the same step.
      const filter = { _id: `${head._id}:${first}`, last: { $lt: last } }
      await traces.replaceOne(filter, segment, { upsert: true })
    } catch (cause) {
      if (!isDuplicate(cause)) throw cause
    }
    await heads.updateOne({ _id: head._id, last: head.last }, { $set: { chunks: [], size: 0 } })
  }
}

/** Below so many pieces a head is small, unless one batch was large. */
const LONG_PIECES = 400

const piecesIn = (chunks: ReadonlyArray<string>): ReadonlyArray<TokenEvent> =>
  chunks.flatMap((chunk) => JSON.parse(chunk) as ReadonlyArray<TokenEvent>)

/** In order, each once: a piece may stand in a segment and in the head. */
const inOrder = (pieces: ReadonlyArray<TokenEvent>, afterSeq: number, limit: number): ReadonlyArray<TokenEvent> => {
  const found: Array<TokenEvent> = []
  let last = afterSeq
  for (const piece of pieces.toSorted((a, b) => a.seq - b.seq)) {
    if (piece.seq !== last + 1 || found.length >= limit) continue
    found.push(piece)
    last = piece.seq
  }
  return found
}

/** The head is read first: what leaves it meanwhile stands in a segment by then. */
const read = async (
  { traces }: Collections,
  head: TraceHead | null,
  jobId: string,
  afterSeq: number,
  limit: number
): Promise<ReadonlyArray<TokenEvent>> => {
  if (head === null) return []
  const inHead = piecesIn(head.chunks)
  const isInHead = (inHead[0]?.seq ?? Infinity) <= afterSeq + 1
  const segments = isInHead
    ? []
    : await traces
        .find({ jobId, last: { $gt: afterSeq } })
        .sort({ first: 1 })
        .toArray()
  return inOrder([...segments.flatMap(({ chunks }) => piecesIn(chunks)), ...inHead], afterSeq, limit)
}

export const readPieces = async (
  collections: Collections,
  jobId: string,
  afterSeq: number,
  limit: number
): Promise<ReadonlyArray<TokenEvent>> =>
  read(collections, await collections.heads.findOne({ _id: jobId }), jobId, afterSeq, limit)

/** Raises the fence, and reads what was there when it was raised. */
export const fence = async (
  collections: Collections,
  jobId: string,
  epoch: number
): Promise<ReadonlyArray<TokenEvent>> => {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    try {
      const head = await collections.heads.findOneAndUpdate(
        { _id: jobId },
        { $max: { epoch }, $setOnInsert: EMPTY },
        { upsert: true, returnDocument: "after" }
      )
      return await read(collections, head, jobId, 0, Infinity)
    } catch (cause) {
      if (!isDuplicate(cause)) throw cause
    }
  }
  throw new Error(`the trace of ${jobId} cannot be fenced`)
}
