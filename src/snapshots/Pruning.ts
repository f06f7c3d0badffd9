/**
 * Letting old snapshots go. Their heads go first, from the oldest: a snapshot exists as long as its head does. Then every block goes that none of the
 * snapshots that stay has, also what attempts that broke off have left. Whoever dies on the way leaves blocks that nothing names, for the next one.
 * A snapshot that stays and cannot be followed down to its rows stops all of it before anything is deleted.
 */
import * as Effect from "effect/Effect"
import type { CID } from "multiformats/cid"
import type { Driver } from "../layers/Archive.ts"
import type { Outage } from "../layers/Outage.ts"
import type { StateRows, View } from "../layers/StateRows.ts"
import type { Refusal } from "../schemas/Refusal.ts"
import type { SnapshotPruning } from "../schemas/Snapshot.ts"
import { STATE } from "../schemas/StateTable.ts"
import { type BlockSource, type BrokenSnapshot, cidOfName, inColdStorage } from "./Blocks.ts"
import * as Heads from "./Heads.ts"
import type { Report } from "./Creating.ts"
import { openSnapshot, openTable, type Place, tableCids, topOf, visit } from "./Walking.ts"

export interface PruningWish {
  /** The newest so many stay. */
  readonly keep: number
  /** Only says what would go. */
  readonly dryRun: boolean
}

export interface PruningHouse {
  readonly rows: StateRows["Service"]
  readonly blobs: Driver
}

/** Blobs that are deleted between two looks whether this is still the only one at work. */
const BATCH = 256
const AT_ONCE = 8

/** Refused, `conflict`: a snapshot is being made, or others are let go, here or in another daemon. */
export const prune = (
  { rows, blobs }: PruningHouse,
  { keep, dryRun }: PruningWish,
  report: Report
): Effect.Effect<SnapshotPruning, BrokenSnapshot | Refusal | Outage> =>
  rows.view((view) =>
    Effect.gen(function* () {
      const numbers = yield* Heads.numbers(blobs)
      const [leaving, staying] = [numbers.slice(0, -keep), numbers.slice(-keep)]
      const blocks = staying.length === 0 ? [] : yield* unnamed(blobs, staying)
      const summary: SnapshotPruning = {
        dryRun,
        removed: leaving.length,
        kept: staying.length,
        oldest: staying[0] ?? null,
        blocks: blocks.length
      }
      if (!dryRun) yield* remove(blobs, view, [...leaving.map(Heads.headName), ...blocks], report)
      return summary
    })
  )

/** Names of the blocks that none of these snapshots has. */
const unnamed = Effect.fnUntraced(function* (blobs: Driver, numbers: ReadonlyArray<number>) {
  const source = inColdStorage(blobs)
  const named = new Set<string>()
  for (const number of numbers) {
    const head = yield* Heads.read(blobs, number)
    if (head === null) return yield* Heads.snapshotNotFound
    yield* addSnapshot(source, Heads.cidIn(head.sealed), named)
  }
  return (yield* blobs.names("blocks/")).filter((name) => {
    const cid = cidOfName(name)
    return cid !== null && !named.has(cid)
  })
})

const addSnapshot = Effect.fnUntraced(function* (source: BlockSource, sealed: CID, named: Set<string>) {
  const opened = yield* openSnapshot(source, sealed)
  const { state, references } = opened.snapshot
  for (const cid of [sealed, opened.sealed.snapshot, state, references]) named.add(cid.toString())
  for (const [name, cid] of tableCids(opened)) yield* addTable(source, name, cid, named)
})

/** What is named already was followed down before: equal names are equal blocks, with all that is below them. */
const addTable = Effect.fnUntraced(function* (source: BlockSource, name: string, cid: CID, named: Set<string>) {
  if (named.has(cid.toString())) return
  named.add(cid.toString())
  const table = yield* openTable(source, name, cid)
  let places: ReadonlyArray<Place> = topOf(table)
  while (places.length > 0) {
    const fresh = places.filter((place) => !named.has(place.cid.toString()))
    for (const place of fresh) named.add(place.cid.toString())
    const links = fresh.filter(({ level }) => level !== 0)
    const found = yield* Effect.forEach(links, (place) => visit(source, table, place), { concurrency: AT_ONCE })
    places = found.flatMap(({ below }) => below)
  }
})

/** In order, so that a head is gone before any block that it names; and only as long as nobody makes a snapshot meanwhile. */
const remove = Effect.fnUntraced(function* (blobs: Driver, view: View, names: ReadonlyArray<string>, report: Report) {
  const total = names.length
  for (let done = 0; done < total; done += BATCH) {
    // Fails when the store has lost us, and with us the right to be the only one.
    yield* stillAlone(view)
    yield* Effect.forEach(names.slice(done, done + BATCH), blobs.remove, { concurrency: AT_ONCE, discard: true })
    yield* report({ done: Math.min(done + BATCH, total), total, unit: "blobs", bytes: 0 })
  }
})

const [ANY_TABLE] = STATE

const stillAlone = (view: View): Effect.Effect<unknown, Outage> =>
  ANY_TABLE === undefined ? Effect.void : view.count(ANY_TABLE)
