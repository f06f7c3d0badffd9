/**
 * A snapshot as it is made: every table of one instant into a tree, block by block; then what stands above the tables, the seal, and last the head.
 * Blocks that the snapshot before has too are not written again. What breaks off leaves blocks that nothing names, and no snapshot.
 */
import { createHash } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { CID } from "multiformats/cid"
import { blobName, manifestName, readManifest, segmentIds, type Driver } from "../layers/Archive.ts"
import type { JobRecords } from "../layers/JobRecords.ts"
import type { NetworkKey } from "../layers/NetworkKey.ts"
import type { Outage } from "../layers/Outage.ts"
import type { StateRows, View } from "../layers/StateRows.ts"
import type { SegmentId } from "../schemas/Archive.ts"
import { canonicalJson } from "../schemas/CanonicalJson.ts"
import type { JobId } from "../schemas/Ids.ts"
import type { Environment } from "../schemas/Job.ts"
import { JobRecord } from "../schemas/JobRecord.ts"
import { refuse, type Refusal } from "../schemas/Refusal.ts"
import { SNAPSHOT_FORMAT, SNAPSHOT_NUMBER_MAX, type SnapshotHead } from "../schemas/Snapshot.ts"
import { STATE, type StateRow, type StateTable, stateTable } from "../schemas/StateTable.ts"
import type { WorkProgress } from "../schemas/Work.ts"
import { type Block, blockName, blockOf, type BrokenSnapshot, type BlockSource, inColdStorage } from "./Blocks.ts"
import * as Heads from "./Heads.ts"
import { sealedBytes } from "./Seals.ts"
import type { References, Sealed, Snapshot, State } from "./Shapes.ts"
import { TreeBuilder } from "./TreeBuilder.ts"
import { openSnapshot, tableCids, treeCids } from "./Walking.ts"

export interface Making {
  readonly rows: StateRows["Service"]
  readonly blobs: Driver
  readonly key: NetworkKey["Service"]
  readonly environment: Environment
  readonly records: JobRecords["Service"]
}

export interface Wish {
  readonly at: number
  /** Writes every block, also those that should be there already. */
  readonly full: boolean
  /** Also the hash of each ended job's record: one read of the record store a job. */
  readonly records?: boolean
}

export type Report = (progress: WorkProgress) => Effect.Effect<void>

/** Blocks that are written at a time: a disk syncs each, a bucket is far away. */
const PUTS_AT_ONCE = 8
/** Blocks that may wait to be written, each of half a megabyte at most. */
const WAITING_MAX = 16

/** Segments of the archive stand in a snapshot as rows: enough to find each and to know it again. */
export const SEGMENTS: StateTable = stateTable(
  "segment",
  "!id namespace_id data_class record_version:int count:int from:int to:int bytes:int sha256"
)

/** Refused, `conflict`: another one is being made. */
export const create = (making: Making, wish: Wish, report: Report): Effect.Effect<SnapshotHead, Refusal | Outage> =>
  making.rows.view((view) => inView(making, wish, view, report))

const inView = Effect.fnUntraced(function* (
  making: Making,
  { at, full, records = false }: Wish,
  view: View,
  report: Report
) {
  const { blobs, key, environment } = making
  const last = (yield* Heads.numbers(blobs)).at(-1) ?? 0
  if (last >= SNAPSHOT_NUMBER_MAX) return yield* refuse("conflict", "There are no more numbers for snapshots.")
  const before = last === 0 ? null : yield* Effect.mapError(Heads.read(blobs, last), unreadable)
  const source = inColdStorage(blobs)
  const known = before === null || full ? new Map<string, CID>() : yield* tablesOf(source, before)
  const sink = new Sink(blobs, report, yield* totalOf(view))

  const tables: Record<string, CID> = {}
  let configuration: State["configuration"] = null
  for (const table of STATE) {
    yield* sink.begin(yield* sharedOf(source, known.get(table.name)))
    let newest: StateRow | undefined
    tables[table.name] = yield* sink.table(
      table,
      Stream.tap(view.rows(table), (rows) => Effect.sync(() => void (newest = rows.at(-1) ?? newest)))
    )
    if (table.name === "config_version" && newest !== undefined) {
      configuration = { version: Number(newest[0]), digest: String(newest[1]) }
    }
  }
  const state = yield* sink.block({ tables, configuration } satisfies State)
  yield* sink.begin(yield* sharedOf(source, known.get(SEGMENTS.name)))
  const segments = yield* sink.table(SEGMENTS, segmentRows(blobs))
  const linked = yield* records ? recordsOf(making, view, sink, yield* sharedOf(source, known.get(RECORDS.name))) : NONE
  const references = yield* sink.block({ segments, ...linked } satisfies References)

  const previous = before === null ? null : Heads.cidIn(before.root)
  const about = { format: SNAPSHOT_FORMAT, number: last + 1, previous, environment, at, scrubbed: true } as const
  const root = yield* sink.block({ ...about, state, references } satisfies Snapshot)
  const { publicKey, signature } = key.sign(() => sealedBytes(root))
  const seal = {
    type: "ed25519",
    signer: Buffer.from(publicKey, "hex"),
    signature: Buffer.from(signature, "hex")
  } as const
  const sealed = yield* sink.block({ seal, snapshot: root } satisfies Sealed)
  yield* sink.flush
  const head: SnapshotHead = {
    number: about.number,
    sealed: sealed.toString(),
    root: root.toString(),
    previous: previous === null ? null : previous.toString(),
    state: state.toString(),
    environment,
    at,
    rows: sink.rows,
    blocksAdded: sink.blocksAdded,
    bytesAdded: sink.bytesAdded,
    signer: publicKey
  }
  // Last: a snapshot exists once its head does.
  yield* Heads.write(blobs, head)
  return head
})

const NONE = Effect.succeed<{ readonly records?: CID }>({})

/** Of a record its job's id and its SHA-256, over the canonical JSON of the whole: enough to know it again, and nothing of what it says. */
export const RECORDS: StateTable = stateTable("record", "!job_id sha256")

const OPERATOR = { _tag: "Operator", by: "snapshot" } as const
const RECORDS_AT_ONCE = 8
const encodeRecord = Schema.encodeSync(Schema.toCodecJson(JobRecord))

const digestOf = (record: JobRecord): string =>
  createHash("sha256")
    .update(canonicalJson(encodeRecord(record)))
    .digest("hex")

/** Of jobs that had ended at that instant. Of those that retention pruned there is none: they are in a segment. */
const recordsOf = ({ records }: Making, view: View, sink: Sink, shared: ReadonlySet<string>) =>
  Effect.gen(function* () {
    yield* sink.begin(shared)
    const job = STATE.find(({ name }) => name === "job")
    if (job === undefined) return {}
    const ended = job.columns.findIndex(({ name }) => name === "finished_at")
    const rows = view.rows(job).pipe(
      Stream.mapEffect((batch) =>
        Effect.forEach(
          batch.filter((row) => row[ended] !== null).map(([id]) => id as JobId),
          (id) =>
            Effect.map(records.get(OPERATOR, id), (found): StateRow | null =>
              found === null ? null : [id, digestOf(found)]
            ),
          { concurrency: RECORDS_AT_ONCE }
        )
      ),
      Stream.map((found) => found.filter((row) => row !== null))
    )
    return { records: yield* sink.table(RECORDS, rows) }
  })

const unreadable = (error: BrokenSnapshot | Outage): Refusal | Outage =>
  error._tag === "Outage"
    ? error
    : refuse("conflict", `The last snapshot is broken (${error.message}): mend its head first.`)

const totalOf = (view: View) =>
  Effect.map(
    Effect.forEach(STATE, (table) => view.count(table)),
    (counts) => counts.reduce((sum, count) => sum + count, 0)
  )

type Known = ReadonlyMap<string, CID>

/** What cannot be read of the snapshot before is written anew. */
const tablesOf = (source: BlockSource, { sealed }: SnapshotHead): Effect.Effect<Known, Outage> =>
  openSnapshot(source, Heads.cidIn(sealed)).pipe(
    Effect.map((opened): Known => new Map(tableCids(opened))),
    Effect.catchTag("BrokenSnapshot", () => Effect.succeed<Known>(new Map()))
  )

const sharedOf = (source: BlockSource, table: CID | undefined): Effect.Effect<ReadonlySet<string>, Outage> =>
  table === undefined
    ? Effect.succeed(new Set<string>())
    : treeCids(source, table).pipe(
        Effect.map((cids): ReadonlySet<string> => new Set(cids)),
        Effect.catchTag("BrokenSnapshot", () => Effect.succeed<ReadonlySet<string>>(new Set()))
      )

/** Where blocks go, with what was counted on the way. */
class Sink {
  rows = 0
  blocksAdded = 0
  bytesAdded = 0
  readonly #blobs: Driver
  readonly #report: Report
  readonly #total: number
  #shared: ReadonlySet<string> = new Set()
  #waiting: Array<Block> = []

  constructor(blobs: Driver, report: Report, total: number) {
    this.#blobs = blobs
    this.#report = report
    this.#total = total
  }

  /** Of the table that comes next, the blocks that are there already. */
  begin(shared: ReadonlySet<string>): Effect.Effect<void> {
    return Effect.sync(() => void (this.#shared = shared))
  }

  table(table: StateTable, rows: Stream.Stream<ReadonlyArray<StateRow>, Outage>): Effect.Effect<CID, Outage> {
    return Effect.gen({ self: this }, function* () {
      const builder = new TreeBuilder(table)
      yield* Stream.runForEach(rows, (batch) =>
        Effect.suspend(() => {
          this.rows += batch.length
          return Effect.andThen(this.#put(builder.add(batch)), this.#tell())
        })
      )
      const { blocks, root } = builder.end()
      yield* this.#put(blocks)
      return root.cid
    })
  }

  block(value: unknown): Effect.Effect<CID, Outage> {
    const block = blockOf(value)
    return Effect.as(this.#put([block]), block.cid)
  }

  #put(blocks: ReadonlyArray<Block>): Effect.Effect<void, Outage> {
    return Effect.suspend(() => {
      for (const block of blocks) if (!this.#shared.has(block.cid.toString())) this.#waiting.push(block)
      return this.#waiting.length >= WAITING_MAX ? this.flush : Effect.void
    })
  }

  get flush(): Effect.Effect<void, Outage> {
    return Effect.suspend(() => {
      const blocks = this.#waiting
      this.#waiting = []
      this.blocksAdded += blocks.length
      for (const { bytes } of blocks) this.bytesAdded += bytes.byteLength
      return Effect.forEach(blocks, ({ cid, bytes }) => this.#blobs.put(blockName(cid), bytes), {
        concurrency: PUTS_AT_ONCE,
        discard: true
      })
    })
  }

  #tell(): Effect.Effect<void> {
    const total = this.#total === 0 ? null : Math.max(this.#total, this.rows)
    return this.#report({ done: this.rows, total, unit: "rows", bytes: this.bytesAdded })
  }
}

const SEGMENTS_AT_ONCE = 8

/** A segment whose manifest cannot be read stands there by its name alone. */
const segmentRows = (blobs: Driver): Stream.Stream<ReadonlyArray<StateRow>, Outage> =>
  Stream.unwrap(
    Effect.map(blobs.names("segments/"), (names) => {
      const manifests = new Set(names)
      return Stream.fromIterable(
        segmentIds(names).filter((id) => manifests.has(manifestName(id)) || manifests.has(blobName(id)))
      ).pipe(
        Stream.rechunk(1),
        Stream.mapEffect((id) => Effect.map(blobs.get(manifestName(id)), (bytes) => segmentRow(id, bytes)), {
          concurrency: SEGMENTS_AT_ONCE
        }),
        Stream.map((row) => [row])
      )
    })
  )

const segmentRow = (id: SegmentId, bytes: Uint8Array | null): StateRow => {
  const manifest = bytes === null ? null : readManifest(id, bytes)
  if (manifest === null || Result.isFailure(manifest)) return [id, ...Array.from({ length: 8 }, () => null)]
  const { namespaceId, dataClass, recordVersion, count, from, to, bytes: size, sha256 } = manifest.success
  return [id, namespaceId, dataClass, recordVersion, count, from, to, size, sha256]
}
