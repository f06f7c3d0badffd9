/**
 * The documents of jobs, one each. What is written at the same time leaves as one bulk; each caller still learns what became of its own. A patch is
 * guarded by the epoch in the document, and a document that is marked for the archive is frozen: a patch finds it no more.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type { AnyBulkWriteOperation } from "mongodb"
import type { JobId } from "../../schemas/Ids.ts"
import type { JobRecord } from "../../schemas/JobRecord.ts"
import * as Batcher from "../Batcher.ts"
import * as JobRecords from "../JobRecords.ts"
import type { Outage } from "../Outage.ts"
import type { JobDocument } from "./Collections.ts"
import { documentOf, patchFields, recordOf } from "./JobFields.ts"
import * as LargeTexts from "./LargeTexts.ts"
import { MongoClient } from "./MongoClient.ts"
import { hasOnlyDuplicates } from "./MongoErrors.ts"

const during = (method: keyof JobRecords.Driver) => ({ of: "JobRecords", method })

const GROUPING = { batchMax: 256, atOnce: 2, waitingMax: 32_768 }
const DURABLE = { w: "majority", journal: true } as const
const LASTING = { w: 1 } as const

type Client = MongoClient["Service"]
type Write = AnyBulkWriteOperation<JobDocument>

/** Of a bulk in no order; an insert of what is there already is no failure. */
export const bulk = async (client: Client, writes: ReadonlyArray<Write>, durable: boolean): Promise<number> => {
  try {
    const options = { ordered: false, writeConcern: durable ? DURABLE : LASTING }
    const { matchedCount } = await client.collections.jobs.bulkWrite([...writes], options)
    return matchedCount
  } catch (cause) {
    if (!hasOnlyDuplicates(cause)) throw cause
    return -1
  }
}

const openAll = (client: Client, records: ReadonlyArray<JobRecord>) =>
  client.run(during("open"), async () => {
    const writes: Array<Write> = []
    for (const record of records) {
      const { _id, ...fields } = await LargeTexts.putAside(client.files, record.jobId, documentOf(record))
      writes.push({ updateOne: { filter: { _id }, update: { $setOnInsert: fields }, upsert: true } })
    }
    await bulk(client, writes, true)
    return records.map(() => Exit.void)
  })

const writeOf = async (client: Client, { jobId, epoch, patch }: JobRecords.Change): Promise<Write> => {
  const fields = await LargeTexts.putAside(client.files, jobId, patchFields(patch))
  const filter = { _id: jobId, segmentId: null, epoch: { $lte: epoch } }
  return { updateOne: { filter, update: { $set: { ...fields, epoch } } } }
}

type Known = ReadonlyMap<string, Pick<JobDocument, "epoch" | "segmentId">>

/** Looked at afterwards: who reads a later epoch was overtaken, before or just after its write; either way its word does not count. */
const outcomeOf = ({ jobId, epoch }: JobRecords.Change, known: Known): JobRecords.Patched => {
  const found = known.get(jobId)
  if (found === undefined || found.segmentId !== null) return "missing"
  return found.epoch > epoch ? "stale" : "done"
}

const patchRound = async (
  client: Client,
  changes: ReadonlyArray<JobRecords.Change>
): Promise<ReadonlyArray<JobRecords.Patched>> => {
  const writes: Array<Write> = []
  for (const change of changes) writes.push(await writeOf(client, change))
  const durable = changes.some((change) => change.durable)
  if ((await bulk(client, writes, durable)) === changes.length) return changes.map(() => "done")
  const _id = { $in: changes.map(({ jobId }) => jobId) }
  const found = client.collections.jobs.find({ _id }, { projection: { epoch: 1, segmentId: 1 } })
  const known = new Map((await found.toArray()).map((stored) => [stored._id, stored]))
  return changes.map((change) => outcomeOf(change, known))
}

/** Changes of one document come one after the other: those of the first round, of the second … */
const patchAll = (client: Client, changes: ReadonlyArray<JobRecords.Change>) =>
  client.run(during("patch"), async () => {
    const outcomes: Array<JobRecords.Patched> = []
    let rest = changes.map((change, place) => ({ change, place }))
    while (rest.length > 0) {
      const named = new Set<string>()
      const round = rest.filter(({ change }) => !named.has(change.jobId) && named.add(change.jobId))
      const told = await patchRound(
        client,
        round.map(({ change }) => change)
      )
      round.forEach(({ place }, at) => void (outcomes[place] = told[at] ?? "missing"))
      rest = rest.filter((item) => !round.includes(item))
    }
    return outcomes.map((outcome) => Exit.succeed(outcome))
  })

const getAll = (client: Client, jobIds: ReadonlyArray<JobId>) =>
  client.run(during("get"), async () => {
    const found = new Map<string, JobRecord>()
    for await (const stored of client.collections.jobs.find({ _id: { $in: [...new Set(jobIds)] } })) {
      found.set(stored._id, recordOf(await LargeTexts.bringBack(client.files, stored)))
    }
    return jobIds.map((jobId) => Exit.succeed(found.get(jobId) ?? null))
  })

export const layer: Layer.Layer<JobRecords.JobRecords, never, MongoClient> = Layer.effect(
  JobRecords.JobRecords,
  Effect.gen(function* () {
    const client = yield* MongoClient
    const { run, collections, files } = client
    const batched = <Item, Result>(
      method: keyof JobRecords.Driver,
      all: (items: ReadonlyArray<Item>) => Effect.Effect<ReadonlyArray<Exit.Exit<Result>>, Outage>
    ) => Batcher.make<Item, Result>({ of: "JobRecords", during: method, ...GROUPING, run: all })
    const find = yield* batched("get", (jobIds: ReadonlyArray<JobId>) => getAll(client, jobIds))
    return JobRecords.make({
      open: yield* batched("open", (records: ReadonlyArray<JobRecord>) => openAll(client, records)),
      patch: yield* Batcher.make({
        of: "JobRecords",
        during: "patch",
        ...GROUPING,
        // In one line, so that patches of one document keep their order.
        atOnce: 1,
        run: (changes: ReadonlyArray<JobRecords.Change>) => patchAll(client, changes)
      }),
      get: (scope, jobId) =>
        Effect.map(find(jobId), (record) =>
          record !== null && (scope._tag === "Operator" || scope.namespaceId === record.namespaceId) ? record : null
        ),
      discard: (jobId) =>
        run(during("discard"), async () => {
          const { deletedCount } = await collections.jobs.deleteOne({ _id: jobId, segmentId: null })
          if (deletedCount > 0) await LargeTexts.drop(files, [jobId])
        }),
      unfinished: (before, limit) =>
        limit <= 0
          ? Effect.succeed([])
          : run(during("unfinished"), async () => {
              const filter = { completeness: "open", state: { $in: ["queued", "active"] }, createdAt: { $lt: before } }
              const found = collections.jobs.find(filter, { projection: { _id: 1 } })
              const ids = await found.sort({ createdAt: 1, _id: 1 }).limit(limit).toArray()
              return ids.map(({ _id }) => _id as JobId)
            })
    })
  })
)
