/**
 * What the blocks of a snapshot hold. A block is dag-cbor and named by its CID, so a CAR file of them is read by any program of IPFS:
 *
 *     sealed {seal} → snapshot {number, previous, …} → state {tables} → table {columns, rows, tree} → links {links} → rows {rows}
 *                                                    → references {segments} → table …
 *
 * Equal states have the same state block, whenever and by whomever they were taken; number, instant and chain stand above it.
 */
import * as Schema from "effect/Schema"
import { Environment } from "./Job.ts"

/** A CID of version 1 in base32, as everywhere outside of blocks. */
export const Cid = Schema.String.check(Schema.isPattern(/^baf[a-z2-7]{20,100}$/))

export const SNAPSHOT_FORMAT = "resultity/snapshot/1"
export const SNAPSHOT_NUMBER_MAX = 999_999_999

/** What stands in cold storage beside the blocks, under `snapshots/N.json`: how to find the first block, and what a list shows. */
export const SnapshotHead = Schema.Struct({
  number: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: SNAPSHOT_NUMBER_MAX })),
  /** Of the sealed block, the first of all. */
  sealed: Cid,
  /** Of the snapshot block, which the next snapshot names. */
  root: Cid,
  previous: Schema.NullOr(Cid),
  state: Cid,
  environment: Environment,
  at: Schema.Int,
  rows: Schema.Natural,
  /** Blocks that this snapshot did not find there already, and their bytes. */
  blocksAdded: Schema.Natural,
  bytesAdded: Schema.Natural,
  /** Ed25519, hexadecimal. */
  signer: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/))
})
export type SnapshotHead = typeof SnapshotHead.Type

/** One thing that is wrong with a snapshot. */
export const SnapshotFault = Schema.Struct({
  /** null: of the file or the chain, and of no block. */
  block: Schema.NullOr(Cid),
  /** Where it belongs: a table's name, or a part above the tables. */
  table: Schema.String,
  why: Schema.String
})
export type SnapshotFault = typeof SnapshotFault.Type

export const SnapshotCheck = Schema.Struct({
  number: Schema.NullOr(Schema.Int),
  root: Schema.NullOr(Cid),
  signer: Schema.NullOr(Schema.String),
  blocks: Schema.Natural,
  bytes: Schema.Natural,
  rows: Schema.Natural,
  faults: Schema.Array(SnapshotFault)
})
export type SnapshotCheck = typeof SnapshotCheck.Type

/** What went, or would go, when old snapshots were let go. */
export const SnapshotPruning = Schema.Struct({
  dryRun: Schema.Boolean,
  /** Snapshots. */
  removed: Schema.Natural,
  kept: Schema.Natural,
  /** The number of the oldest that stays. */
  oldest: Schema.NullOr(Schema.Int),
  /** Blocks that none of the others has. */
  blocks: Schema.Natural
})
export type SnapshotPruning = typeof SnapshotPruning.Type

export const RowChange = Schema.Struct({
  table: Schema.String,
  change: Schema.Literals(["added", "removed", "changed"]),
  key: Schema.Array(Schema.Json),
  /** Columns whose values differ; none of an added or removed row. */
  columns: Schema.Array(Schema.String)
})
export type RowChange = typeof RowChange.Type

export const TableDiff = Schema.Struct({
  table: Schema.String,
  added: Schema.Natural,
  removed: Schema.Natural,
  changed: Schema.Natural,
  /** Blocks that were read on both sides together; those that both share were not. */
  blocksRead: Schema.Natural
})
export type TableDiff = typeof TableDiff.Type

export const SnapshotDiff = Schema.Struct({
  tables: Schema.Array(TableDiff),
  /** The first of them, up to the limit that was asked for. */
  changes: Schema.Array(RowChange),
  more: Schema.Boolean
})
export type SnapshotDiff = typeof SnapshotDiff.Type
