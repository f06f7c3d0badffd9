/** Rows in aligned columns. Widths may be handed on, so that pages that come one after the other line up. */
import { oneLine, orDash } from "./Plain.ts"

export interface Column<A> {
  readonly title: string
  readonly of: (row: A) => string | number | null | undefined
  /** Figures stand at the right. */
  readonly right?: true
  /** Longer cells are cut; ids never are. */
  readonly max?: number
}

export interface Page {
  readonly text: string
  readonly widths: ReadonlyArray<number>
}

const GAP = "  "

/** One line a row below the titles; without the titles when widths of an earlier page are given. */
export const page = <A>(
  columns: ReadonlyArray<Column<A>>,
  rows: ReadonlyArray<A>,
  before?: ReadonlyArray<number>
): Page => {
  const cells = rows.map((row) => columns.map(({ of, max }) => cut(oneLine(orDash(of(row))), max)))
  const lines = before === undefined ? [columns.map(({ title }) => title), ...cells] : cells
  const widths = columns.map((_, at) => Math.max(before?.[at] ?? 0, ...lines.map((line) => line[at]?.length ?? 0)))
  return { text: lines.map((line) => `${row(columns, line, widths)}\n`).join(""), widths }
}

export const table = <A>(columns: ReadonlyArray<Column<A>>, rows: ReadonlyArray<A>): string => page(columns, rows).text

/** Names and values below each other: one thing in full. */
export const facts = (pairs: ReadonlyArray<readonly [string, string | number | null | undefined]>): string => {
  const width = Math.max(...pairs.map(([name]) => name.length))
  return pairs.map(([name, value]) => `${name.padEnd(width)}${GAP}${oneLine(orDash(value))}\n`).join("")
}

const row = <A>(
  columns: ReadonlyArray<Column<A>>,
  line: ReadonlyArray<string>,
  widths: ReadonlyArray<number>
): string =>
  line
    .map((cell, at) => pad(cell, widths[at] ?? 0, columns[at]?.right))
    .join(GAP)
    .trimEnd()

const pad = (cell: string, width: number, right: true | undefined): string =>
  right === true ? cell.padStart(width) : cell.padEnd(width)

const cut = (text: string, max = Number.POSITIVE_INFINITY): string =>
  text.length <= max ? text : `${text.slice(0, max - 1)}…`
