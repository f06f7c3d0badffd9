/**
 * A snapshot as one file: CAR of version 1, the sealed block as its root, every block once in the order in which a reader needs it. Any program of
 * IPFS reads it. Read back it is indexed once, and blocks are taken from their places.
 */
import { createReadStream } from "node:fs"
import { open } from "node:fs/promises"
import { CarIndexer } from "@ipld/car/indexer"
import { encode } from "@ipld/dag-cbor"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CID } from "multiformats/cid"
import { varint } from "multiformats/basics"
import { Outage } from "../layers/Outage.ts"
import type { SnapshotCheck, SnapshotFault } from "../schemas/Snapshot.ts"
import type { WorkProgress } from "../schemas/Work.ts"
import { type Block, type BlockSource, BrokenSnapshot, loadBytes } from "./Blocks.ts"
import type { Table } from "./Shapes.ts"
import { type Expected, verify } from "./Verifying.ts"
import { openSnapshot, openTable, type Place, tableCids, topOf, visit } from "./Walking.ts"

type Failure = BrokenSnapshot | Outage

const framed = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const length = parts.reduce((sum, part) => sum + part.byteLength, 0)
  return Buffer.concat([varint.encodeTo(length, new Uint8Array(varint.encodingLength(length))), ...parts])
}

/** The bytes of the file, a block at a time. */
export const carOf = (source: BlockSource, sealed: CID): Stream.Stream<Uint8Array, Failure> =>
  Stream.concat(
    Stream.succeed(framed(encode({ roots: [sealed], version: 1 }))),
    Stream.map(blocksOf(source, sealed), ({ cid, bytes }) => framed(cid.bytes, bytes))
  )

const blocksOf = (source: BlockSource, sealed: CID): Stream.Stream<Block, Failure> =>
  Stream.unwrap(
    Effect.map(openSnapshot(source, sealed), (opened) => {
      const { snapshot } = opened
      const above = [sealed, opened.sealed.snapshot, snapshot.state, snapshot.references]
      return Stream.concat(
        Stream.mapEffect(Stream.fromIterable(above), (cid) => blockAt(source, cid, "snapshot")),
        Stream.flatMap(Stream.rechunk(Stream.fromIterable(tableCids(opened)), 1), ([name, cid]) =>
          tableBlocks(source, name, cid)
        )
      )
    })
  )

const blockAt = (source: BlockSource, cid: CID, part: string): Effect.Effect<Block, Failure> =>
  Effect.map(loadBytes(source, cid, part), (bytes) => ({ cid, bytes }))

const tableBlocks = (source: BlockSource, name: string, cid: CID): Stream.Stream<Block, Failure> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const block = yield* blockAt(source, cid, name)
      const table = yield* openTable(source, name, cid)
      return Stream.concat(Stream.succeed(block), treeBlocks(source, table, topOf(table)))
    })
  )

const treeBlocks = (source: BlockSource, table: Table, places: ReadonlyArray<Place>): Stream.Stream<Block, Failure> =>
  Stream.fromIterable(places).pipe(
    Stream.rechunk(1),
    Stream.mapEffect((place) => visit(source, table, place)),
    Stream.flatMap(({ place, bytes, below }) =>
      Stream.concat(Stream.succeed({ cid: place.cid, bytes }), treeBlocks(source, table, below))
    )
  )

export interface CarFile {
  readonly source: BlockSource
  /** null: the file does not begin as such a file does. */
  readonly sealed: CID | null
  readonly faults: ReadonlyArray<SnapshotFault>
  readonly blocks: number
}

interface At {
  readonly offset: number
  readonly length: number
}

interface Index {
  readonly sealed: CID | null
  readonly places: ReadonlyMap<string, At>
  readonly sections: number
  readonly faults: ReadonlyArray<SnapshotFault>
}

/** More than any of ours: a length that somebody broke must not be believed. */
const BLOCK_BYTES_MAX = 16_777_216

/** As far as it can be read: what is wrong is a fault, and what is behind that stays unknown. */
const indexOf = async (path: string): Promise<Index> => {
  const places = new Map<string, At>()
  const faults: Array<SnapshotFault> = []
  let sealed: CID | null = null
  let [end, sections] = [0, 0]
  const stream = createReadStream(path)
  try {
    const indexer = await CarIndexer.fromIterable(stream)
    const roots = await indexer.getRoots()
    sealed = roots[0] ?? null
    if (indexer.version !== 1 || roots.length !== 1) faults.push(ofFile("is no CAR file of one snapshot"))
    for await (const { cid, blockOffset, blockLength } of indexer) {
      if (blockLength < 0 || blockLength > BLOCK_BYTES_MAX) throw new Error(`a block of ${blockLength} bytes`)
      places.set(cid.toString(), { offset: blockOffset, length: blockLength })
      sections++
      end = blockOffset + blockLength
    }
  } catch (cause) {
    if (isOfDisk(cause)) throw cause
    faults.push(ofFile(`cannot be read beyond byte ${end}: ${cause instanceof Error ? cause.message : String(cause)}`))
  } finally {
    stream.destroy()
  }
  return { sealed, places, sections, faults }
}

const isOfDisk = (cause: unknown): boolean => cause instanceof Error && "code" in cause && "syscall" in cause

const ofFile = (why: string): SnapshotFault => ({ block: null, table: "file", why })

const outage = (cause: unknown) => new Outage({ of: "Snapshots", during: "read", cause })

export const openCar = (path: string): Effect.Effect<CarFile, Outage, Scope.Scope> =>
  Effect.gen(function* () {
    const { sealed, places, sections, faults } = yield* Effect.tryPromise({ try: () => indexOf(path), catch: outage })
    const file = yield* Effect.acquireRelease(
      Effect.tryPromise({ try: () => open(path, "r"), catch: outage }),
      (opened) => Effect.promise(() => opened.close())
    )
    const get = (cid: CID): Effect.Effect<Uint8Array | null, Outage> => {
      const at = places.get(cid.toString())
      if (at === undefined) return Effect.succeed(null)
      return Effect.tryPromise({
        try: async () => {
          const bytes = new Uint8Array(at.length)
          const { bytesRead } = await file.read(bytes, 0, at.length, at.offset)
          return bytes.subarray(0, bytesRead)
        },
        catch: outage
      })
    }
    return { source: { name: path, get }, sealed, faults, blocks: sections }
  })

/** The whole file: its frame, every block, and that there is no block that belongs to nothing. */
export const verifyCar = Effect.fnUntraced(function* (
  { source, sealed, faults, blocks }: CarFile,
  expected: Expected,
  report: (progress: WorkProgress) => Effect.Effect<void>
): Effect.fn.Return<SnapshotCheck, Outage> {
  if (sealed === null) {
    return { number: null, root: null, signer: null, blocks: 0, bytes: 0, rows: 0, faults: [...faults] }
  }
  const seen = new Set<string>()
  const check = yield* verify(source, sealed, expected, report, (cid) => seen.add(cid.toString()))
  const strangers = blocks - seen.size
  const odd = strangers > 0 ? [ofFile(`holds ${strangers} blocks that are not whole or not of this snapshot`)] : []
  return { ...check, faults: [...faults, ...check.faults, ...odd] }
})
