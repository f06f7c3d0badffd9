/**
 * A table's rows as a tree of blocks, made while they come by, in ascending order of their keys. What is held is one unfinished block a level. The
 * tree follows from the rows alone, not from how they came to be.
 */
import type { CID } from "multiformats/cid"
import { endsChunk, LINKS, ROWS } from "../policies/Chunking.ts"
import { keyOf, type StateRow, type StateTable, type StateValue } from "../schemas/StateTable.ts"
import { type Block, blockOf } from "./Blocks.ts"
import type { Table } from "./Shapes.ts"

interface Entry {
  readonly key: StateRow
  readonly cid: CID
  readonly rows: number
}

interface Level {
  entries: Array<Entry>
  bytes: number
}

export class TreeBuilder {
  readonly #table: StateTable
  #rows: Array<StateRow> = []
  #bytes = 0
  #count = 0
  readonly #levels: Array<Level> = []
  #made: Array<Block> = []

  constructor(table: StateTable) {
    this.#table = table
  }

  /** Blocks that are finished by these rows. */
  add(rows: ReadonlyArray<StateRow>): ReadonlyArray<Block> {
    for (const row of rows) {
      this.#rows.push(row)
      this.#bytes += sizeOf(row)
      const held = { count: this.#rows.length, bytes: this.#bytes }
      if (endsChunk(ROWS, held, 0, textOf(keyOf(this.#table, row)))) this.#endRows()
    }
    return this.#taken()
  }

  /** The rest of the blocks, the last of which is the table's. */
  end(): { readonly blocks: ReadonlyArray<Block>; readonly root: Block; readonly rows: number } {
    if (this.#rows.length > 0) this.#endRows()
    const tree = this.#top()
    const { name, version, columns, key } = this.#table
    const root = blockOf({
      table: name,
      version,
      columns: columns.map((column) => [column.name, column.type]),
      key,
      rows: this.#count,
      tree
    } satisfies Table)
    return { blocks: [...this.#taken(), root], root, rows: this.#count }
  }

  #top(): CID | null {
    for (let at = 0; ; at++) {
      const entries = this.#levels[at]?.entries ?? []
      const isTop = this.#levels.slice(at + 1).every((level) => level.entries.length === 0)
      if (isTop && entries.length <= 1) return entries[0]?.cid ?? null
      if (entries.length > 0) this.#endLinks(at)
    }
  }

  #taken(): ReadonlyArray<Block> {
    const made = this.#made
    this.#made = []
    return made
  }

  #endRows(): void {
    const block = blockOf({ rows: this.#rows })
    const [first = []] = this.#rows
    this.#made.push(block)
    this.#count += this.#rows.length
    this.#link(0, { key: keyOf(this.#table, first), cid: block.cid, rows: this.#rows.length })
    this.#rows = []
    this.#bytes = 0
  }

  #link(at: number, entry: Entry): void {
    const level = (this.#levels[at] ??= { entries: [], bytes: 0 })
    level.entries.push(entry)
    level.bytes += sizeOf(entry.key) + LINK_BYTES
    const held = { count: level.entries.length, bytes: level.bytes }
    if (endsChunk(LINKS, held, at + 1, textOf(entry.key))) this.#endLinks(at)
  }

  #endLinks(at: number): void {
    const entries = this.#levels[at]?.entries ?? []
    const block = blockOf({ level: at + 1, links: entries.map(({ key, cid, rows }) => [key, cid, rows]) })
    this.#made.push(block)
    this.#levels[at] = { entries: [], bytes: 0 }
    const rows = entries.reduce((sum, entry) => sum + entry.rows, 0)
    this.#link(at + 1, { key: entries[0]?.key ?? [], cid: block.cid, rows })
  }
}

/** Of a CID and a number. */
const LINK_BYTES = 50

const sizeOf = (row: StateRow): number => row.reduce<number>((sum, value) => sum + bytesOf(value), 1)
const bytesOf = (value: StateValue): number => (typeof value === "string" ? Buffer.byteLength(value) + 3 : 9)

const textOf = (key: StateRow): string => key.map(String).join("\0")
