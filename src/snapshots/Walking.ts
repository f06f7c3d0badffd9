/** From the sealed block of a snapshot down to its rows. Every block is hashed as it is read; what does not fit together fails by name. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { CID } from "multiformats/cid"
import type { Outage } from "../layers/Outage.ts"
import { compareKeys, type StateRow } from "../schemas/StateTable.ts"
import { type BlockSource, BrokenSnapshot, load } from "./Blocks.ts"
import {
  decodeReferences,
  decodeSealed,
  decodeSnapshot,
  decodeState,
  decodeTable,
  decodeTree,
  type References,
  type Sealed,
  type Snapshot,
  type State,
  type Table,
  type TreeBlock
} from "./Shapes.ts"

export interface Opened {
  readonly sealed: Sealed
  readonly snapshot: Snapshot
  readonly state: State
  readonly references: References
}

/** What stands above the tables. */
export const openSnapshot = (source: BlockSource, cid: CID): Effect.Effect<Opened, BrokenSnapshot | Outage> =>
  Effect.gen(function* () {
    const { value: sealed } = yield* load(source, cid, "seal", decodeSealed)
    const { value: snapshot } = yield* load(source, sealed.snapshot, "snapshot", decodeSnapshot)
    const { value: state } = yield* load(source, snapshot.state, "state", decodeState)
    const { value: references } = yield* load(source, snapshot.references, "references", decodeReferences)
    return { sealed, snapshot, state, references }
  })

/** The tables of a snapshot with the references last, each by its name. */
export const tableCids = ({ state, references }: Opened): ReadonlyArray<readonly [name: string, cid: CID]> => [
  ...Object.entries(state.tables),
  ...Object.entries(namesOfReferences).flatMap(([part, name]) => {
    const cid = references[part as keyof References]
    return cid === undefined ? [] : [[name, cid] as const]
  })
]

/** Tables of references, by the field that links to them. */
export const namesOfReferences = { segments: "segment", records: "record" } as const satisfies Record<
  keyof References,
  string
>

export const openTable = (source: BlockSource, name: string, cid: CID): Effect.Effect<Table, BrokenSnapshot | Outage> =>
  Effect.map(openTableBlock(source, name, cid), ({ value }) => value)

/** The same with its bytes. */
export const openTableBlock = (source: BlockSource, name: string, cid: CID) =>
  Effect.flatMap(load(source, cid, name, decodeTable), (found) =>
    found.value.table === name
      ? Effect.succeed(found)
      : Effect.fail(
          new BrokenSnapshot({ block: cid.toString(), table: name, why: `is of the table ${found.value.table}` })
        )
  )

export const keyIn = ({ key }: Table, row: StateRow): StateRow => key.map((at) => row[at] ?? null)

/** A place in a tree: a block that is to be read, and what is known of it before. */
export interface Place {
  readonly cid: CID
  /** null: of the top, which may be of any level. */
  readonly level: number | null
  readonly rows: number
  readonly key: StateRow | null
}

export interface Found {
  readonly place: Place
  readonly block: TreeBlock
  readonly bytes: Uint8Array
  /** Below it, in order; none below rows. */
  readonly below: ReadonlyArray<Place>
}

export const topOf = ({ tree, rows }: Table): ReadonlyArray<Place> =>
  tree === null ? [] : [{ cid: tree, level: null, rows, key: null }]

/** The block of a place, which is what the block above says of it. */
export const visit = (source: BlockSource, table: Table, place: Place): Effect.Effect<Found, BrokenSnapshot | Outage> =>
  Effect.flatMap(load(source, place.cid, table.table, decodeTree), ({ value: block, bytes }) => {
    const why = faultOf(table, place, block)
    if (why !== null) {
      return Effect.fail(new BrokenSnapshot({ block: place.cid.toString(), table: table.table, why }))
    }
    const below =
      block._tag === "Rows"
        ? []
        : block.links.map(([key, cid, rows]): Place => ({ cid, level: block.level - 1, rows, key }))
    return Effect.succeed({ place, block, bytes, below })
  })

const faultOf = (table: Table, { level, rows, key }: Place, block: TreeBlock): string | null => {
  const own = block._tag === "Rows" ? 0 : block.level
  if (level !== null && own !== level) return `is of level ${own}, not ${level}`
  const keys = block._tag === "Rows" ? block.rows.map((row) => keyIn(table, row)) : block.links.map(([first]) => first)
  const count = block._tag === "Rows" ? block.rows.length : block.links.reduce((sum, [, , below]) => sum + below, 0)
  if (keys.length === 0) return "is empty"
  if (count !== rows) return `counts ${count} rows, not ${rows}`
  if (key !== null && compareKeys(key, keys[0] ?? []) !== 0) return "does not begin where it should"
  if (block._tag === "Rows" && block.rows.some((row) => row.length !== table.columns.length)) return "has other columns"
  for (let at = 1; at < keys.length; at++) {
    if (compareKeys(keys[at - 1] ?? [], keys[at] ?? []) >= 0) return "has keys that do not ascend"
  }
  return null
}

/** All rows of a table in order, one block held at a time. */
export const rowsOf = (
  source: BlockSource,
  table: Table
): Stream.Stream<ReadonlyArray<StateRow>, BrokenSnapshot | Outage> => {
  const below = (places: ReadonlyArray<Place>): Stream.Stream<ReadonlyArray<StateRow>, BrokenSnapshot | Outage> =>
    Stream.fromIterable(places).pipe(
      Stream.rechunk(1),
      Stream.mapEffect((place) => visit(source, table, place)),
      Stream.flatMap(({ block, below: next }) => (block._tag === "Rows" ? Stream.succeed(block.rows) : below(next)))
    )
  return below(topOf(table))
}

/** Names of all blocks of a table but the table's own, without reading those that hold rows. */
export const treeCids = Effect.fnUntraced(function* (source: BlockSource, cid: CID) {
  const { value: table } = yield* load(source, cid, "table", decodeTable)
  const names = [cid.toString()]
  let places = [...topOf(table)]
  while (places.length > 0) {
    const next: Array<Place> = []
    for (const place of places) {
      names.push(place.cid.toString())
      if (place.level !== 0) next.push(...(yield* visit(source, table, place)).below)
    }
    places = next
  }
  return names
})
