/**
 * What changed from one snapshot to another, row by row. Blocks that both have hold rows that both have, and are not read; the others are read once,
 * in the order of their keys, one on each side at a time.
 */
import * as Effect from "effect/Effect"
import type { CID } from "multiformats/cid"
import type { Outage } from "../layers/Outage.ts"
import type { RowChange, SnapshotDiff, TableDiff } from "../schemas/Snapshot.ts"
import { compareKeys, type StateRow, type StateValue } from "../schemas/StateTable.ts"
import type { BlockSource, BrokenSnapshot } from "./Blocks.ts"
import type { Table } from "./Shapes.ts"
import { keyIn, openSnapshot, openTable, type Place, tableCids, topOf, visit } from "./Walking.ts"

export interface Side {
  readonly source: BlockSource
  readonly sealed: CID
}

type Failure = BrokenSnapshot | Outage

export const diff = Effect.fnUntraced(function* (one: Side, other: Side, limit: number) {
  const [before, after] = [yield* openSnapshot(one.source, one.sealed), yield* openSnapshot(other.source, other.sealed)]
  const [olds, news] = [new Map(tableCids(before)), new Map(tableCids(after))]
  const tables: Array<TableDiff> = []
  const changes: Array<RowChange> = []
  let found = 0
  const note = (change: RowChange) => {
    found++
    if (changes.length < limit) changes.push(change)
  }
  for (const name of new Set([...olds.keys(), ...news.keys()])) {
    const sides = [
      yield* openSide(one.source, name, olds.get(name)),
      yield* openSide(other.source, name, news.get(name))
    ]
    tables.push(yield* tableDiff(name, sides[0] ?? null, sides[1] ?? null, note))
  }
  return { tables, changes, more: found > changes.length } satisfies SnapshotDiff
})

interface Opened {
  readonly source: BlockSource
  readonly cid: CID
  readonly table: Table
}

const openSide = (source: BlockSource, name: string, cid: CID | undefined): Effect.Effect<Opened | null, Failure> =>
  cid === undefined
    ? Effect.succeed(null)
    : Effect.map(openTable(source, name, cid), (table) => ({ source, cid, table }))

const tableDiff = Effect.fnUntraced(function* (
  name: string,
  one: Opened | null,
  other: Opened | null,
  note: (change: RowChange) => void
) {
  const counts = { added: 0, removed: 0, changed: 0 }
  if (one !== null && other !== null && one.cid.equals(other.cid)) return { table: name, ...counts, blocksRead: 0 }
  const [left, right] = [new Reader(one), new Reader(other)]
  yield* forget(left, right)
  const columns = (one ?? other)?.table.columns.map(([column]) => column) ?? []
  let [old, young] = [yield* left.next, yield* right.next]
  while (old !== null || young !== null) {
    const order = orderOf(left, old, right, young)
    if (order === 0) {
      const changed = columns.filter((_, at) => !isSame(old?.[at] ?? null, young?.[at] ?? null))
      if (changed.length > 0) {
        counts.changed++
        note({ table: name, change: "changed", key: left.keyOf(old ?? []), columns: changed })
      }
    } else if (order < 0) {
      counts.removed++
      note({ table: name, change: "removed", key: left.keyOf(old ?? []), columns: [] })
    } else {
      counts.added++
      note({ table: name, change: "added", key: right.keyOf(young ?? []), columns: [] })
    }
    if (order <= 0) old = yield* left.next
    if (order >= 0) young = yield* right.next
  }
  return { table: name, ...counts, blocksRead: left.read + right.read }
})

const isSame = (one: StateValue, other: StateValue): boolean => one === other

const orderOf = (left: Reader, old: StateRow | null, right: Reader, young: StateRow | null): number => {
  if (old === null) return 1
  if (young === null) return -1
  return compareKeys(left.rowKey(old), right.rowKey(young))
}

/** Both sides down to the blocks of rows, without what they share: a block of both holds whole rows of both, and no key is twice in a table. */
const forget = (left: Reader, right: Reader): Effect.Effect<void, Failure> =>
  Effect.gen(function* () {
    while (!(left.isDown && right.isDown)) {
      yield* left.descend(right.names)
      yield* right.descend(left.names)
      const shared = new Set([...left.names].filter((name) => right.names.has(name)))
      left.drop(shared)
      right.drop(shared)
    }
  })

class Reader {
  read = 0
  readonly #opened: Opened | null
  #places: ReadonlyArray<Place>
  #rows: Array<StateRow> = []
  #names: ReadonlySet<string> | null = null
  #isDown = false

  constructor(opened: Opened | null) {
    this.#opened = opened
    this.#places = opened === null ? [] : topOf(opened.table)
  }

  get names(): ReadonlySet<string> {
    return (this.#names ??= new Set(this.#places.map(({ cid }) => cid.toString())))
  }

  get isDown(): boolean {
    return this.#isDown
  }

  drop(shared: ReadonlySet<string>): void {
    this.#set(this.#places.filter(({ cid }) => !shared.has(cid.toString())))
  }

  #set(places: ReadonlyArray<Place>): void {
    this.#places = places
    this.#names = null
    this.#isDown = places.every(({ level }) => level === 0)
  }

  /** One level: what is no block of rows gives way to what is below it. */
  descend(theirs: ReadonlySet<string>): Effect.Effect<void, Failure> {
    return Effect.gen({ self: this }, function* () {
      const next: Array<Place> = []
      for (const place of this.#places) {
        if (place.level === 0 || theirs.has(place.cid.toString()) || this.#opened === null) next.push(place)
        else {
          const found = yield* visit(this.#opened.source, this.#opened.table, place)
          this.read++
          // A top that holds rows itself is as deep as it goes.
          if (found.block._tag === "Rows") next.push({ ...place, level: 0 })
          else next.push(...found.below)
        }
      }
      this.#set(next)
    })
  }

  get next(): Effect.Effect<StateRow | null, Failure> {
    return Effect.gen({ self: this }, function* () {
      while (this.#rows.length === 0) {
        const [place, ...rest] = this.#places
        if (place === undefined || this.#opened === null) return null
        this.#places = rest
        const { block } = yield* visit(this.#opened.source, this.#opened.table, place)
        this.read++
        if (block._tag === "Rows") this.#rows = block.rows.toReversed()
      }
      return this.#rows.pop() ?? null
    })
  }

  rowKey(row: StateRow): StateRow {
    return this.#opened === null ? [] : keyIn(this.#opened.table, row)
  }

  /** As JSON shows it. */
  keyOf(row: StateRow): ReadonlyArray<string | number | null> {
    return this.rowKey(row).map((value) => (typeof value === "bigint" ? String(value) : value))
  }
}
