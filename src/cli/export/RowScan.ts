/**
 * Where rows end in a file that grows by pieces: what tells whole rows from one that broke off, and counts them. A line break within quotes ends no row of
 * a CSV.
 */
export type Format = "csv" | "ndjson"

export interface RowScan {
  readonly push: (bytes: Uint8Array) => void
  /** Whole rows by now, a header among them. */
  readonly rows: () => number
  /** The last whole row: its first byte, and the byte behind its end. Both 0 when there is none. */
  readonly last: () => { readonly from: number; readonly to: number }
}

const LINE_FEED = 0x0a
const QUOTE = 0x22

export const make = (format: Format): RowScan => {
  const quoting = format === "csv"
  let [offset, from, to, rows] = [0, 0, 0, 0]
  let quoted = false
  return {
    push: (bytes) => {
      for (const byte of bytes) {
        offset++
        // A doubled quote within quotes ends them and begins them again.
        if (quoting && byte === QUOTE) quoted = !quoted
        else if (byte === LINE_FEED && !quoted) {
          from = to
          to = offset
          rows++
        }
      }
    },
    rows: () => rows,
    last: () => ({ from, to })
  }
}

/** The cursor at the end of a row; null for one that has none, as a header. */
export const cursorIn = (format: Format, row: string): string | null => {
  const text = format === "csv" ? row.trimEnd().split(",").at(-1) : cursorField(row)
  return typeof text === "string" && /^[\w.-]{20,}$/.test(text) ? text : null
}

const cursorField = (row: string): unknown => {
  try {
    return (JSON.parse(row) as { readonly cursor?: unknown }).cursor
  } catch {
    return null
  }
}
