/**
 * Reads every block of a snapshot and compares it with its name, with what the blocks above say of it, and the seal with the snapshot. A broken
 * block is told and the walk goes on beside it; what is below a broken block cannot be reached and is not counted.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { CID } from "multiformats/cid"
import type { Outage } from "../layers/Outage.ts"
import type { SnapshotCheck, SnapshotFault } from "../schemas/Snapshot.ts"
import type { WorkProgress } from "../schemas/Work.ts"
import { type BlockSource, type BrokenSnapshot, load } from "./Blocks.ts"
import { isSealed, signerOf } from "./Seals.ts"
import { decodeReferences, decodeSealed, decodeSnapshot, decodeState, type Table } from "./Shapes.ts"
import { openTableBlock, type Place, topOf, visit } from "./Walking.ts"

/** Faults that are told of one snapshot; more would say nothing new. */
export const FAULTS_MAX = 1000

export interface Expected {
  /** Who has to have signed it; null: anybody. */
  readonly signer: string | null
  /** The root of the snapshot before it; undefined: not known. */
  readonly previous?: string | null
}

type Report = (progress: WorkProgress) => Effect.Effect<void>

/** `Visited` is told of every block that was whole, by name. */
export const verify = (
  source: BlockSource,
  sealed: CID,
  expected: Expected,
  report: Report,
  visited: (cid: CID) => void = () => undefined
): Effect.Effect<SnapshotCheck, Outage> => Effect.suspend(() => new Check(source, expected, report, visited).of(sealed))

class Check {
  readonly #source: BlockSource
  readonly #expected: Expected
  readonly #report: Report
  readonly #visited: (cid: CID) => void
  readonly #faults: Array<SnapshotFault> = []
  #blocks = 0
  #bytes = 0
  #rows = 0

  constructor(source: BlockSource, expected: Expected, report: Report, visited: (cid: CID) => void) {
    this.#source = source
    this.#expected = expected
    this.#report = report
    this.#visited = visited
  }

  of(cid: CID): Effect.Effect<SnapshotCheck, Outage> {
    return Effect.gen({ self: this }, function* () {
      const sealed = yield* this.#whole(cid, "seal", decodeSealed)
      if (sealed !== null && !isSealed(sealed)) this.#fault(cid, "seal", "has a signature that is not of its signer")
      const { signer } = this.#expected
      if (sealed !== null && signer !== null && signerOf(sealed) !== signer) {
        this.#fault(cid, "seal", `is signed by ${signerOf(sealed)}, not by ${signer}`)
      }
      const snapshot = sealed === null ? null : yield* this.#whole(sealed.snapshot, "snapshot", decodeSnapshot)
      if (sealed !== null && snapshot !== null) {
        this.#chain(sealed.snapshot, snapshot.previous)
        yield* this.#below(snapshot.state, snapshot.references)
      }
      return {
        number: snapshot?.number ?? null,
        root: sealed?.snapshot.toString() ?? null,
        signer: sealed === null ? null : signerOf(sealed),
        blocks: this.#blocks,
        bytes: this.#bytes,
        rows: this.#rows,
        faults: this.#faults
      }
    })
  }

  #chain(root: CID, previous: CID | null): void {
    const { previous: known } = this.#expected
    const named = previous === null ? null : previous.toString()
    if (known === undefined || known === named) return
    this.#fault(root, "snapshot", `follows ${named ?? "none"}, and the one before it is ${known ?? "none"}`)
  }

  #below(state: CID, references: CID): Effect.Effect<void, Outage> {
    return Effect.gen({ self: this }, function* () {
      const tables = yield* this.#whole(state, "state", decodeState)
      const linked = yield* this.#whole(references, "references", decodeReferences)
      for (const [name, cid] of Object.entries(tables?.tables ?? {})) yield* this.#table(name, cid)
      if (linked === null) return
      yield* this.#table("segment", linked.segments)
      if (linked.records !== undefined) yield* this.#table("record", linked.records)
    })
  }

  #table(name: string, cid: CID): Effect.Effect<void, Outage> {
    return Effect.gen({ self: this }, function* () {
      const found = yield* this.#caught(openTableBlock(this.#source, name, cid))
      if (found === null) return
      this.#count(cid, found.bytes.byteLength)
      yield* Stream.runDrain(this.#tree(found.value, topOf(found.value)))
    })
  }

  /** Depth first, so that what is held is one path. */
  #tree(table: Table, places: ReadonlyArray<Place>): Stream.Stream<never, Outage> {
    return Stream.fromIterable(places).pipe(
      Stream.rechunk(1),
      Stream.mapEffect((place) => Effect.map(this.#caught(visit(this.#source, table, place)), (found) => ({ found }))),
      Stream.flatMap(({ found }) => {
        if (found === null) return Stream.empty
        this.#count(found.place.cid, found.bytes.byteLength)
        if (found.block._tag === "Links") return this.#tree(table, found.below)
        this.#rows += found.block.rows.length
        return Stream.drain(Stream.fromEffect(this.#tell))
      })
    )
  }

  get #tell(): Effect.Effect<void> {
    return Effect.suspend(() => this.#report({ done: this.#rows, total: null, unit: "rows", bytes: this.#bytes }))
  }

  #whole<A>(cid: CID, part: string, shape: Parameters<typeof load<A>>[3]): Effect.Effect<A | null, Outage> {
    return Effect.map(this.#caught(load(this.#source, cid, part, shape)), (found) => {
      if (found === null) return null
      this.#count(cid, found.bytes.byteLength)
      return found.value
    })
  }

  #caught<A>(effect: Effect.Effect<A, BrokenSnapshot | Outage>): Effect.Effect<A | null, Outage> {
    return Effect.catchTag(effect, "BrokenSnapshot", ({ block, table, why }) =>
      Effect.sync(() => {
        if (this.#faults.length < FAULTS_MAX) this.#faults.push({ block, table, why })
        return null
      })
    )
  }

  #fault(cid: CID, table: string, why: string): void {
    if (this.#faults.length < FAULTS_MAX) this.#faults.push({ block: cid.toString(), table, why })
  }

  #count(cid: CID, bytes: number): void {
    this.#blocks++
    this.#bytes += bytes
    this.#visited(cid)
  }
}
