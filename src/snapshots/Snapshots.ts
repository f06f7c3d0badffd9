/**
 * Snapshots of this installation: the whole deciding store at one instant, in content-addressed blocks in cold storage, numbered, chained and signed.
 * They are never changed; old ones are let go when somebody says so. Restoring is no matter of a daemon, whose store is never empty: see `resultity snapshot restore`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Stream from "effect/Stream"
import { Archive, type Driver } from "../layers/Archive.ts"
import { DaemonConfig } from "../layers/DaemonConfig.ts"
import { JobRecords } from "../layers/JobRecords.ts"
import { NetworkKey } from "../layers/NetworkKey.ts"
import type { Outage } from "../layers/Outage.ts"
import { StateRows } from "../layers/StateRows.ts"
import { type Refusal, refuse } from "../schemas/Refusal.ts"
import type { SnapshotCheck, SnapshotDiff, SnapshotHead, SnapshotPruning } from "../schemas/Snapshot.ts"
import { type BrokenSnapshot, inColdStorage } from "./Blocks.ts"
import { carOf } from "./Car.ts"
import { create, type Making, type Report, type Wish } from "./Creating.ts"
import { diff } from "./Diffing.ts"
import * as Heads from "./Heads.ts"
import { prune, type PruningWish } from "./Pruning.ts"
import { verify } from "./Verifying.ts"

type Failure = BrokenSnapshot | Refusal | Outage

export class Snapshots extends Context.Service<
  Snapshots,
  {
    /** Whether there is cold storage for them to stand in; without it none is made. */
    readonly isThere: boolean
    /** Refused, `conflict`: another one is being made, here or in another daemon. */
    readonly create: (wish: Wish, report: Report) => Effect.Effect<SnapshotHead, Refusal | Outage>
    /** The newest `keep` stay. Refused, `conflict`, as `create` is. Fails before anything is deleted when one that stays is broken. */
    readonly prune: (wish: PruningWish, report: Report) => Effect.Effect<SnapshotPruning, Failure>
    readonly count: Effect.Effect<number, Outage>
    /** Newest first. */
    readonly list: (limit: number) => Effect.Effect<ReadonlyArray<SnapshotHead>, BrokenSnapshot | Outage>
    /** These refuse with `not_found`. */
    readonly head: (number: number) => Effect.Effect<SnapshotHead, Failure>
    readonly verify: (number: number, report: Report) => Effect.Effect<SnapshotCheck, Failure>
    readonly diff: (from: number, to: number, limit: number) => Effect.Effect<SnapshotDiff, Failure>
    /** As one file. Fails before its first byte when the snapshot is not there. */
    readonly car: (number: number) => Effect.Effect<Stream.Stream<Uint8Array, BrokenSnapshot | Outage>, Failure>
  }
>()("resultity/snapshots/Snapshots") {
  static readonly layer = Layer.effect(
    Snapshots,
    Effect.gen(function* () {
      const { isThere, blobs } = yield* Archive
      const { environment } = yield* DaemonConfig
      const snapshots = make({
        rows: yield* StateRows,
        blobs,
        key: yield* NetworkKey,
        environment,
        records: yield* JobRecords
      })
      return isThere ? snapshots : Snapshots.of({ ...snapshots, isThere, create: none, prune: none })
    })
  )
}

export const nowhere = refuse(
  "not_available",
  "A snapshot stands in cold storage, and this daemon was started with --cold-storage none. Start it without that."
)

const none = () => Effect.fail(nowhere)

export const headOf = (blobs: Driver, number: number): Effect.Effect<SnapshotHead, Failure> =>
  Effect.flatMap(Heads.read(blobs, number), (head) =>
    head === null ? Effect.fail(Heads.snapshotNotFound) : Effect.succeed(head)
  )

/** Newest first. */
export const listOf = Effect.fnUntraced(function* (blobs: Driver, limit: number) {
  const newest = (yield* Heads.numbers(blobs)).slice(-limit).toReversed()
  const heads = yield* Effect.forEach(newest, (number) => Heads.read(blobs, number), { concurrency: HEADS_AT_ONCE })
  return heads.flatMap((head) => head ?? [])
})

const HEADS_AT_ONCE = 8

/** With its place in the chain: that it follows the snapshot whose number is one less, as far as that one is there. */
export const verifyIn = Effect.fnUntraced(function* (
  blobs: Driver,
  number: number,
  signer: string | null,
  report: Report
): Effect.fn.Return<SnapshotCheck, Failure> {
  const head = yield* headOf(blobs, number)
  const before = number === 1 ? null : yield* Heads.read(blobs, number - 1)
  const previous = number === 1 ? null : before?.root
  const expected = previous === undefined ? { signer } : { signer, previous }
  const check = yield* verify(inColdStorage(blobs), Heads.cidIn(head.sealed), expected, report)
  const says =
    (check.root !== null && check.root !== head.root) || (check.number !== null && check.number !== head.number)
  const fault = {
    block: null,
    table: Heads.headName(number),
    why: "is not as it was written: it names another snapshot"
  }
  return says ? { ...check, faults: [fault, ...check.faults] } : check
})

export const diffIn = Effect.fnUntraced(function* (blobs: Driver, from: number, to: number, limit: number) {
  const source = inColdStorage(blobs)
  const sides = yield* Effect.forEach([from, to], (number) =>
    Effect.map(headOf(blobs, number), ({ sealed }) => ({ source, sealed: Heads.cidIn(sealed) }))
  )
  const [one, other] = sides
  if (one === undefined || other === undefined) return yield* Heads.snapshotNotFound
  return yield* diff(one, other, limit)
})

export const make = (making: Making): Snapshots["Service"] => {
  const { blobs } = making
  return Snapshots.of({
    isThere: true,
    create: Effect.fn("Snapshots.create")((wish, report) => create(making, wish, report)),
    prune: Effect.fn("Snapshots.prune")((wish, report) => prune(making, wish, report)),
    count: Effect.map(Heads.numbers(blobs), ({ length }) => length),
    list: (limit) => listOf(blobs, limit),
    head: (number) => headOf(blobs, number),
    verify: Effect.fn("Snapshots.verify")((number, report) => verifyIn(blobs, number, null, report)),
    diff: Effect.fn("Snapshots.diff")((from, to, limit) => diffIn(blobs, from, to, limit)),
    car: (number) => Effect.map(headOf(blobs, number), ({ sealed }) => carOf(inColdStorage(blobs), Heads.cidIn(sealed)))
  })
}
