/**
 * Makes receipts of jobs that ended, and hands out the files. A receipt is made once, by the sweeper or by the first who asks: its hash is kept in the
 * deciding store and the receipt itself with the record, and goes into the archive with it. Who makes it a second time makes the same one.
 */
import { randomBytes } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { DaemonConfig } from "../layers/DaemonConfig.ts"
import { JobRecords, type Scope } from "../layers/JobRecords.ts"
import { JobStore } from "../layers/JobStore.ts"
import * as Metrics from "../layers/Metrics.ts"
import { NetworkKey } from "../layers/NetworkKey.ts"
import { NetworkKeys } from "../layers/NetworkKeys.ts"
import { type Outage, waitOut } from "../layers/Outage.ts"
import { type Closed, type Ended, type Leaf, type NewLeaf, Receipts } from "../layers/Receipts.ts"
import type { JobId } from "../schemas/Ids.ts"
import { type JobRecord, saltOf } from "../schemas/JobRecord.ts"
import { isTerminal, type JobRow } from "../schemas/JobState.ts"
import { BLOCK_LEAVES, leafHash, pathIn } from "../schemas/MerkleTree.ts"
import {
  type Inclusion,
  PART_NAMES,
  type PartName,
  type Receipt,
  RECEIPT_FORMAT,
  type ReceiptFile
} from "../schemas/Receipt.ts"
import { digestsOf, receiptBytes, receiptHash } from "../schemas/ReceiptHashes.ts"
import { type Refusal, refuse } from "../schemas/Refusal.ts"
import { partsOf, type Sources } from "./ReceiptParts.ts"

const AT_ONCE = 16
const OWN: Scope = { _tag: "Operator", by: "the receipt desk" }

interface House {
  readonly store: JobStore["Service"]
  readonly records: JobRecords["Service"]
  readonly receipts: Receipts["Service"]
  readonly key: NetworkKey["Service"]
}

export interface ReceiptAudit {
  readonly jobId: JobId
  readonly hash: string
  /** Parts that would be others if the receipt were made today. */
  readonly differs: ReadonlyArray<PartName>
  /** Of the events, the first that is not what the receipt says, or is not there; null: none. */
  readonly event: number | null
}

export class ReceiptDesk extends Context.Service<
  ReceiptDesk,
  {
    /**
     * The whole file, who the nodes were and the salt included. Refused: `conflict` (the job runs), `unavailable` (its record is being written),
     * `archived` (the receipt left with the record).
     */
    readonly file: (scope: Scope, row: JobRow) => Effect.Effect<Required<ReceiptFile>, Refusal | Outage>
    /** Whether what is stored of the job today still says what its receipt says. Refused like `file`. */
    readonly audit: (scope: Scope, row: JobRow) => Effect.Effect<ReceiptAudit, Refusal | Outage>
    /** The record with its receipt, before it leaves: made now where it has none. A record of an earlier program stays as it is. */
    readonly completed: (record: JobRecord) => Effect.Effect<JobRecord, Outage>
    /**
     * Sees to a leaf for each of these jobs. How many have none because their record is still being written; none when `anyway`: then the receipt says
     * what is known.
     */
    readonly makeAll: (ended: ReadonlyArray<Ended>, anyway: boolean) => Effect.Effect<number, Outage>
  }
>()("resultity/actors/ReceiptDesk") {
  static readonly layer = Layer.effect(
    ReceiptDesk,
    Effect.gen(function* () {
      const key = yield* NetworkKey
      const house = { store: yield* JobStore, records: yield* JobRecords, receipts: yield* Receipts, key }
      const { daemonId } = yield* DaemonConfig
      const keys = yield* NetworkKeys
      const now = yield* Clock.currentTimeMillis
      const told = keys.use(daemonId, { id: key.id, publicKey: key.publicKey }, now)
      yield* Effect.catchTag(told, "Outage", () => Effect.forkScoped(waitOut(told)))
      return ReceiptDesk.of({
        file: Effect.fn("ReceiptDesk.file")((scope, row) => fileOf(house, scope, row)),
        audit: Effect.fn("ReceiptDesk.audit")((scope, row) => auditOf(house, scope, row)),
        completed: (record) => completed(house, record),
        makeAll: Effect.fn("ReceiptDesk.makeAll")((ended, anyway) => makeAll(house, ended, anyway))
      })
    })
  )
}

const fileOf = Effect.fnUntraced(function* (house: House, scope: Scope, row: JobRow) {
  const { job } = row
  if (!isTerminal(row.state)) {
    return yield* refuse("conflict", `The job is ${row.state}: a receipt is made when it has ended.`, { jobId: job.id })
  }
  const record = yield* house.records.get(scope, job.id)
  if (record?.completeness === "open") {
    return yield* refuse("unavailable", "The job's record is being written: try again in a moment.", { jobId: job.id })
  }
  const events = yield* house.store.events(job.id)
  const receipt = record?.receipt ?? (yield* remake(house, { row, events, record }))
  const found = yield* house.receipts.find(job.id)
  const opening = { salt: saltOf(record ?? {}) }
  return { ...receipt, inclusion: found?.closed ? inclusionOf(found.leaf, found.closed) : null, opening }
})

const auditOf = Effect.fnUntraced(function* (house: House, scope: Scope, row: JobRow) {
  const { hash, parts, digests } = yield* fileOf(house, scope, row)
  const record = yield* house.records.get(scope, row.job.id)
  const today = draft({ row, events: yield* house.store.events(row.job.id), record }, parts.identity?.blind ?? "")
  const now = today.unsigned
  const event = parts.events.findIndex((signed, at) => signed.hash !== now.parts.events[at]?.hash)
  return {
    jobId: row.job.id,
    hash,
    differs: PART_NAMES.filter((name) => digests[name] !== now.digests[name]),
    event: event === -1 ? null : event + 1
  }
})

interface Draft {
  readonly sources: Sources
  readonly unsigned: Omit<Receipt, "network">
  readonly leaf: NewLeaf
}

const draft = (sources: Sources, blind: string): Draft => {
  const { row } = sources
  const parts = partsOf(sources, blind)
  const digests = digestsOf(parts)
  const hash = receiptHash(digests)
  const leaf = { jobId: row.job.id, endedAt: row.finishedAt ?? row.job.acceptedAt, hash, blind }
  return { sources, unsigned: { format: RECEIPT_FORMAT, parts, digests, hash }, leaf }
}

const freshBlind = () => randomBytes(32).toString("hex")

/** Of a job whose receipt is not with its record: the first one, or the same one again. */
const remake = Effect.fnUntraced(function* (house: House, sources: Sources) {
  const { id } = sources.row.job
  const known = yield* house.receipts.find(id)
  if (sources.record === null && known === null) return yield* gone(id)
  const drafted = draft(sources, known?.leaf.blind ?? freshBlind())
  const [leaf] = known === null ? yield* house.receipts.put([drafted.leaf]) : [known.leaf]
  const receipt = leaf === undefined ? null : yield* finish(house, drafted, leaf)
  return receipt ?? (yield* gone(id))
})

const completed = Effect.fnUntraced(function* (house: House, record: JobRecord) {
  const { jobId, receipt, salt } = record
  if (receipt !== undefined || salt === undefined) return record
  const row = yield* house.store.get(jobId)
  if (row === null || !isTerminal(row.state)) return record
  const made = yield* Effect.result(remake(house, { row, events: yield* house.store.events(jobId), record }))
  if (made._tag === "Success") return { ...record, receipt: made.success }
  return made.failure._tag === "Outage" ? yield* made.failure : record
})

const gone = (jobId: JobId): Refusal =>
  refuse("archived", "The job's receipt left with its record: it is in the archive's line of this job.", { jobId })

/** Signs it and keeps it with the record. null: what it was made from has changed since its hash was written down. */
const finish = Effect.fnUntraced(function* (house: House, drafted: Draft, leaf: Leaf) {
  const { sources } = drafted
  const { unsigned } = leaf.blind === drafted.leaf.blind ? drafted : draft(sources, leaf.blind)
  if (unsigned.hash !== leaf.hash) return null
  const network = house.key.sign((keyId) => receiptBytes(unsigned.hash, keyId))
  const receipt: Receipt = { ...unsigned, network }
  if (sources.record !== null) {
    const { job, epoch } = sources.row
    yield* house.records.patch({ jobId: job.id, epoch, patch: { receipt }, durable: true })
  }
  return receipt
})

const makeAll = Effect.fnUntraced(function* (house: House, ended: ReadonlyArray<Ended>, anyway: boolean) {
  const read = yield* Effect.forEach(ended, ({ jobId }) => readSources(house, jobId), { concurrency: AT_ONCE })
  const ready = read.flatMap((sources) =>
    sources !== null && (anyway || sources.record?.completeness !== "open") ? draft(sources, freshBlind()) : []
  )
  const leaves = yield* house.receipts.put(ready.map(({ leaf }) => leaf))
  const standing = new Map(leaves.map((leaf) => [leaf.jobId, leaf]))
  yield* Effect.forEach(
    ready,
    (drafted) => {
      const leaf = standing.get(drafted.leaf.jobId)
      return leaf === undefined ? Effect.void : Effect.asVoid(finish(house, drafted, leaf))
    },
    { concurrency: AT_ONCE, discard: true }
  )
  yield* Metric.update(Metrics.receipts, ready.length)
  return ended.length - ready.length
})

const readSources = Effect.fnUntraced(function* ({ store, records }: House, jobId: JobId) {
  const row = yield* store.get(jobId)
  if (row === null) return null
  const [events, record] = yield* Effect.all([store.events(jobId), records.get(OWN, jobId)], { concurrency: 2 })
  return { row, events, record }
})

const inclusionOf = (leaf: Leaf, { root, block, leaves, blocks }: Closed): Inclusion => {
  const at = leaves.findIndex(({ jobId }) => jobId === leaf.jobId)
  const within = pathIn(
    leaves.map(({ hash }) => leafHash(hash)),
    at
  )
  return { index: block * BLOCK_LEAVES + at, path: [...within, ...pathIn(blocks, block)], root }
}
