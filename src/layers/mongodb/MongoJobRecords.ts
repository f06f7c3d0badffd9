/**
 * The documents of jobs, one each. What is written at the same time leaves as one bulk; each caller still learns what became of its own. A patch is
 * guarded by the epoch in the document, and within an epoch by the number of the write, so that one which was given up and comes in late changes
 * nothing any more. A document that is marked for the archive is frozen: a patch finds it no more.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type AnyBulkWriteOperation, type Filter, ObjectId } from "mongodb"
import type { JobId, NamespaceId } from "../../schemas/Ids.ts"
import type { JobRecord } from "../../schemas/JobRecord.ts"
import * as JobRecords from "../JobRecords.ts"
import type { Outage } from "../Outage.ts"
import { BODIES, type Body, type JobDocument } from "./Collections.ts"
import * as InOrder from "./InOrder.ts"
import { documentOf, type Fields, patchFields, recordOf } from "./JobFields.ts"
import * as LargeTexts from "./LargeTexts.ts"
import * as MongoBatch from "./MongoBatch.ts"
import { DURABLE, LASTING, MongoClient } from "./MongoClient.ts"

const during = (method: keyof JobRecords.Driver) => ({ of: "JobRecords", method })

type Client = MongoClient["Service"]
type Names = Partial<Record<Body, string>>

/** A change as it is written. */
interface Write {
  readonly jobId: JobId
  readonly epoch: number
  readonly writer: string
  readonly rev: number
  readonly set: Readonly<Record<string, unknown>>
  readonly durable: boolean
}

/** Each body is either in its field or in its file. */
const setOf = (fields: Fields, names: Names): Readonly<Record<string, unknown>> => {
  const set: Record<string, unknown> = { ...fields }
  for (const body of BODIES) {
    if (fields[body] === undefined) continue
    set[`files.${body}`] = names[body] ?? null
    if (names[body] !== undefined) set[body] = null
  }
  return set
}

/** Of an epoch that is not over, and not ahead of this write already; for a note, open as well. */
const standing = ({ jobId, epoch, writer, rev, durable }: Write): Filter<JobDocument> => ({
  _id: jobId,
  segmentId: null,
  stripped: null,
  ...(durable ? {} : { completeness: "open" }),
  $or: [{ epoch: { $lt: epoch } }, { epoch, writer: { $ne: writer } }, { epoch, rev: { $lte: rev } }]
})

const operationOf = (write: Write): AnyBulkWriteOperation<JobDocument> => {
  const { epoch, writer, rev, set } = write
  return { updateOne: { filter: standing(write), update: { $set: { ...set, epoch, writer, rev } } } }
}

type Guards = Pick<JobDocument, "epoch" | "writer" | "rev" | "segmentId" | "stripped" | "completeness">

const judge = (write: Write, found: Guards | undefined): JobRecords.Patched | "again" => {
  if (found === undefined || found.segmentId !== null || found.stripped === true) return "missing"
  if (found.epoch > write.epoch || (!write.durable && found.completeness !== "open")) return "stale"
  return found.epoch === write.epoch && found.writer === write.writer && found.rev > write.rev ? "stale" : "again"
}

const TRIES_MAX = 5

/** Of different jobs. A bulk that did not find all does not say which: those which stand in nobody's way are simply written again, until all are found. */
const writeAll = async (
  { collections: { jobs } }: Client,
  writes: ReadonlyArray<Write>
): Promise<ReadonlyArray<JobRecords.Patched>> => {
  const outcomes: Array<JobRecords.Patched | "again"> = writes.map(() => "again")
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const left = writes.filter((_, place) => outcomes[place] === "again")
    const concern = left.some(({ durable }) => durable) ? DURABLE : LASTING
    if (left.length === 0 || (await MongoBatch.bulk(jobs, left.map(operationOf), concern)) === left.length) {
      return outcomes.map((outcome) => (outcome === "again" ? "done" : outcome))
    }
    const _id = { $in: left.map(({ jobId }) => jobId) }
    const found = jobs.find(
      { _id },
      { projection: { epoch: 1, writer: 1, rev: 1, segmentId: 1, stripped: 1, completeness: 1 } }
    )
    const known = new Map((await found.toArray()).map((stored) => [stored._id, stored]))
    writes.forEach((write, place) => {
      if (outcomes[place] === "again") outcomes[place] = judge(write, known.get(write.jobId))
    })
  }
  throw new Error("documents change faster than they can be patched")
}

const insertAll = async ({ collections: { jobs } }: Client, documents: ReadonlyArray<JobDocument>) => {
  const inserts = documents.map((document) => ({ insertOne: { document } }))
  // Which of them were there already, the server says of the whole batch only.
  const made = await MongoBatch.bulk(jobs, inserts, DURABLE)
  return documents.map(() => made !== null)
}

const makeOpen = Effect.fnUntraced(function* (client: Client, grouping?: MongoBatch.Grouping) {
  const insert = yield* MongoBatch.make<JobDocument, boolean>(
    client,
    {
      during: during("open"),
      jobOf: ({ _id }) => _id,
      together: (documents) => insertAll(client, documents)
    },
    grouping
  )
  return (record: JobRecord): Effect.Effect<boolean, Outage> =>
    Effect.suspend(() => {
      const document = documentOf(record)
      if (LargeTexts.longBodies(document).length === 0) return insert(document)
      return client
        .runLong(during("open"), () => LargeTexts.putAside(client.files, record.jobId, document))
        .pipe(
          Effect.flatMap((files) => {
            const emptied = Object.fromEntries(Object.keys(files).map((body) => [body, null]))
            return insert({ ...document, ...emptied, files })
          })
        )
    })
})

const makePatch = Effect.fnUntraced(function* (client: Client, grouping?: MongoBatch.Grouping) {
  const { files, runLong } = client
  const writer = new ObjectId().toHexString()
  let rev = 0
  const order = InOrder.make()
  const write = yield* MongoBatch.make<Write, JobRecords.Patched>(
    client,
    {
      during: during("patch"),
      jobOf: ({ jobId }) => jobId,
      together: (writes) =>
        MongoBatch.inRounds(
          writes,
          ({ jobId }) => jobId,
          (round) => writeAll(client, round)
        )
    },
    grouping
  )
  const patchWith = ({ jobId, epoch, durable }: JobRecords.Change, fields: Fields, names: Names) =>
    Effect.suspend(() => write({ jobId, epoch, durable, writer, rev: ++rev, set: setOf(fields, names) }))
  const patchLong = (change: JobRecords.Change, fields: Fields) =>
    runLong(during("patch"), () => LargeTexts.putAside(files, change.jobId, fields)).pipe(
      Effect.flatMap((names) =>
        Effect.tap(patchWith(change, fields, names), (patched) =>
          patched === "done"
            ? Effect.void
            : runLong(during("patch"), () => LargeTexts.drop(files, Object.values(names)))
        )
      )
    )
  return (change: JobRecords.Change): Effect.Effect<JobRecords.Patched, Outage> =>
    Effect.suspend(() => {
      const fields = patchFields(change.patch)
      const isLong = LargeTexts.longBodies(fields).length > 0
      if (!isLong && !order.isBusy(change.jobId)) return patchWith(change, fields, {})
      return order.next(change.jobId, isLong ? patchLong(change, fields) : patchWith(change, fields, {}))
    })
})

interface Asked {
  readonly jobId: JobId
  /** null: an operator asks. */
  readonly namespaceId: NamespaceId | null
}

/** Those of namespaces and those of operators apart, so that a question of a namespace is never asked without one. */
const findAll = async ({ collections: { jobs } }: Client, asked: ReadonlyArray<Asked>) => {
  const namespaces = asked.flatMap(({ namespaceId }) => namespaceId ?? [])
  const own = namespaces.length === 0 ? {} : { namespaceId: { $in: [...new Set(namespaces)] } }
  const found = jobs.find({ _id: { $in: [...new Set(asked.map(({ jobId }) => jobId))] }, ...own }).hint("_id_")
  const byId = new Map((await found.toArray()).map((stored) => [stored._id, stored]))
  return asked.map(({ jobId, namespaceId }) => {
    const stored = byId.get(jobId)
    // The batch names the namespaces of all who ask in it.
    return stored === undefined || (namespaceId !== null && stored.namespaceId !== namespaceId) ? null : stored
  })
}

const makeGet = Effect.fnUntraced(function* (client: Client, grouping: MongoBatch.Grouping = MongoBatch.GROUPING) {
  const method = { during: during("get"), jobOf: ({ jobId }: Asked) => jobId }
  const together = (asked: ReadonlyArray<Asked>) => findAll(client, asked)
  const batchMax = Math.min(grouping.batchMax, READ_MAX)
  const ofNamespaces = yield* MongoBatch.make(client, { ...method, together }, { ...grouping, batchMax })
  const ofOperators = yield* MongoBatch.make(client, { ...method, together }, { ...grouping, batchMax })
  return (scope: JobRecords.Scope, jobId: JobId): Effect.Effect<JobRecord | null, Outage> =>
    Effect.gen(function* () {
      const stored = yield* scope._tag === "Namespace"
        ? ofNamespaces({ jobId, namespaceId: scope.namespaceId })
        : ofOperators({ jobId, namespaceId: null })
      if (stored === null) return null
      if (Object.values(stored.files).every((name) => typeof name !== "string")) return recordOf(stored)
      return recordOf(yield* client.runLong(during("get"), () => LargeTexts.bringBack(client.files, stored)))
    })
})

/** Whole documents in one answer. */
const READ_MAX = 64

const discard = async ({ collections: { jobs }, files }: Client, jobId: JobId): Promise<void> => {
  await jobs.deleteOne({ _id: jobId, segmentId: null }, DURABLE)
  const isLeft = (await jobs.findOne({ _id: jobId }, { projection: { _id: 1 } })) !== null
  if (!isLeft) await LargeTexts.dropAll(files, [jobId])
}

const unfinished = async ({ collections: { jobs } }: Client, before: number, limit: number) => {
  const filter = { completeness: "open", state: { $in: ["queued", "active"] }, createdAt: { $lt: before } }
  const found = jobs.find(filter, { projection: { _id: 1 } }).hint("unfinished")
  const ids = await found.sort({ createdAt: 1, _id: 1 }).limit(limit).toArray()
  return ids.map(({ _id }) => _id as JobId)
}

export const layerWith = (options: { readonly grouping?: MongoBatch.Grouping }) =>
  Layer.effect(
    JobRecords.JobRecords,
    Effect.gen(function* () {
      const client = yield* MongoClient
      const { run } = client
      return JobRecords.make({
        open: yield* makeOpen(client, options.grouping),
        patch: yield* makePatch(client, options.grouping),
        get: yield* makeGet(client, options.grouping),
        discard: (jobId) => run(during("discard"), () => discard(client, jobId)),
        unfinished: (before, limit) =>
          limit <= 0 ? Effect.succeed([]) : run(during("unfinished"), () => unfinished(client, before, limit))
      })
    })
  )

export const layer: Layer.Layer<JobRecords.JobRecords, never, MongoClient> = layerWith({})
