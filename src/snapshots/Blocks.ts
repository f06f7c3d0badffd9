/**
 * Blocks: dag-cbor bytes named by their SHA-256 (CID version 1). Whatever is read is hashed before anybody looks into it, so a block that is there
 * is the one that was written, wherever it comes from.
 */
import { createHash } from "node:crypto"
import { code, decode, encode } from "@ipld/dag-cbor"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import { CID } from "multiformats/cid"
import { create as digestOf } from "multiformats/hashes/digest"
import type { Driver } from "../layers/Archive.ts"
import type { Outage } from "../layers/Outage.ts"
import type { SnapshotFault } from "../schemas/Snapshot.ts"

export interface Block {
  readonly cid: CID
  readonly bytes: Uint8Array
}

/** Something is not what its snapshot says. */
export class BrokenSnapshot extends Data.TaggedError("BrokenSnapshot")<SnapshotFault> {
  override get message(): string {
    return faultLine(this)
  }
}

export const faultLine = ({ block, table, why }: SnapshotFault): string =>
  `${table}: ${block === null ? "" : `the block ${block} `}${why}`

const SHA256 = 0x12

export const cidOf = (bytes: Uint8Array): CID =>
  CID.createV1(code, digestOf(SHA256, createHash("sha256").update(bytes).digest()))

export const blockOf = (value: unknown): Block => {
  const bytes = encode(value)
  return { cid: cidOf(bytes), bytes }
}

/** Where blocks are, each by its name: cold storage, or one file. */
export interface BlockSource {
  /** As a person would say it. */
  readonly name: string
  readonly get: (cid: CID) => Effect.Effect<Uint8Array | null, Outage>
}

/** Spread over folders by their last characters, which are random: the first are the same in all. */
export const blockName = (cid: CID): string => {
  const text = cid.toString()
  return `blocks/${text.slice(-2)}/${text}`
}

const NAME = /^blocks\/[a-z2-7]{2}\/(baf[a-z2-7]{20,100})$/

/** null: no block has this name. */
export const cidOfName = (name: string): string | null => NAME.exec(name)?.[1] ?? null

export const inColdStorage = (blobs: Driver, name = "cold storage"): BlockSource => ({
  name,
  get: (cid) => blobs.get(blockName(cid))
})

/** The block's bytes, which hash to its name. */
export const loadBytes = (
  source: BlockSource,
  cid: CID,
  table: string
): Effect.Effect<Uint8Array, BrokenSnapshot | Outage> =>
  Effect.flatMap(source.get(cid), (bytes) => {
    const broken = (why: string) => Effect.fail(new BrokenSnapshot({ block: cid.toString(), table, why }))
    if (bytes === null) return broken("is missing")
    const found = cidOf(bytes)
    return found.equals(cid) ? Effect.succeed(bytes) : broken(`is broken: its bytes hash to ${found.toString()}`)
  })

type Decode<A> = (value: unknown) => Result.Result<A, Schema.SchemaError>

/** The same as a value of that shape. */
export const load = <A>(
  source: BlockSource,
  cid: CID,
  table: string,
  shape: Decode<A>
): Effect.Effect<{ readonly value: A; readonly bytes: Uint8Array }, BrokenSnapshot | Outage> =>
  Effect.flatMap(loadBytes(source, cid, table), (bytes) => {
    const value = Result.try(() => decode<unknown>(bytes))
    const shaped = Result.isSuccess(value) ? shape(value.success) : value
    return Result.isSuccess(shaped)
      ? Effect.succeed({ value: shaped.success, bytes })
      : Effect.fail(new BrokenSnapshot({ block: cid.toString(), table, why: "is not of the shape that belongs here" }))
  })
