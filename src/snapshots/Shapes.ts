/** The values of blocks, as `schemas/Snapshot` draws them. Rows are looked at by hand: there are many. */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { CID } from "multiformats/cid"
import { Environment } from "../schemas/Job.ts"
import { SNAPSHOT_FORMAT, SNAPSHOT_NUMBER_MAX } from "../schemas/Snapshot.ts"
import type { StateRow } from "../schemas/StateTable.ts"

export const Link = Schema.declare((value: unknown): value is CID => CID.asCID(value) !== null)
const Bytes = Schema.declare((value: unknown): value is Uint8Array => value instanceof Uint8Array)
const Value = Schema.Union([Schema.String, Schema.Number, Schema.BigInt, Schema.Null])

/** Signature over the CID of the snapshot. */
export const Sealed = Schema.Struct({
  seal: Schema.Struct({ signature: Bytes, signer: Bytes, type: Schema.Literal("ed25519") }),
  snapshot: Link
})
export type Sealed = typeof Sealed.Type

export const Snapshot = Schema.Struct({
  format: Schema.Literal(SNAPSHOT_FORMAT),
  number: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: SNAPSHOT_NUMBER_MAX })),
  previous: Schema.NullOr(Link),
  environment: Environment,
  at: Schema.Int,
  state: Link,
  references: Link,
  /** No secret, prompt or answer is in it. */
  scrubbed: Schema.Literal(true)
})
export type Snapshot = typeof Snapshot.Type

export const State = Schema.Struct({
  tables: Schema.Record(Schema.String, Link),
  /** Of the newest version of the settings; null: there is none. */
  configuration: Schema.NullOr(Schema.Struct({ version: Schema.Int, digest: Schema.String }))
})
export type State = typeof State.Type

export const References = Schema.Struct({
  segments: Link,
  /** Only where they were asked for. */
  records: Schema.optionalKey(Link)
})
export type References = typeof References.Type

export const Table = Schema.Struct({
  table: Schema.String,
  version: Schema.Int,
  columns: Schema.Array(Schema.Tuple([Schema.String, Schema.String])),
  key: Schema.Array(Schema.Int),
  rows: Schema.Natural,
  tree: Schema.NullOr(Link)
})
export type Table = typeof Table.Type

/** A link to a block of the level below: its first key, and the rows below it. */
const Links = Schema.Struct({
  level: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 32 })),
  links: Schema.Array(Schema.Tuple([Schema.Array(Value), Link, Schema.Natural]))
})

export type TreeBlock =
  | { readonly _tag: "Links"; readonly level: number; readonly links: (typeof Links.Type)["links"] }
  | { readonly _tag: "Rows"; readonly rows: ReadonlyArray<StateRow> }

const decodeLinks = Schema.decodeUnknownResult(Links)
const decodeRows = Schema.decodeUnknownResult(Schema.Struct({ rows: Schema.Array(Schema.Array(Value)) }))

const isValue = (value: unknown): boolean =>
  value === null || typeof value === "string" || typeof value === "number" || typeof value === "bigint"

const isRows = (value: unknown): value is { readonly rows: ReadonlyArray<StateRow> } =>
  typeof value === "object" &&
  value !== null &&
  "rows" in value &&
  Array.isArray(value.rows) &&
  value.rows.every((row: unknown) => Array.isArray(row) && row.every(isValue))

export const decodeTree = (value: unknown): Result.Result<TreeBlock, Schema.SchemaError> => {
  if (isRows(value)) return Result.succeed({ _tag: "Rows", rows: value.rows })
  if (typeof value === "object" && value !== null && "links" in value) {
    return Result.map(decodeLinks(value), (links) => ({ _tag: "Links", ...links }))
  }
  return Result.map(decodeRows(value), ({ rows }) => ({ _tag: "Rows", rows }))
}

export const decodeSealed = Schema.decodeUnknownResult(Sealed)
export const decodeSnapshot = Schema.decodeUnknownResult(Snapshot)
export const decodeState = Schema.decodeUnknownResult(State)
export const decodeReferences = Schema.decodeUnknownResult(References)
export const decodeTable = Schema.decodeUnknownResult(Table)
