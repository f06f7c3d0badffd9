/** What a row of an export looks like in each format. Pieces come as rows do: nothing here holds more of a file than one page or one row group of it. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Ndjson from "effect/encoding/Ndjson"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Column, ColumnKind } from "../schemas/ExportColumns.ts"
import * as ParquetRows from "../schemas/ParquetRows.ts"
import { csvLine, textCell } from "./CsvCells.ts"

export type Row = Readonly<Record<string, Schema.Json>>

export interface ExportFormat {
  readonly extension: string
  /** `isContinued`: behind rows that the client has already, so a header would stand among them. */
  readonly contentType: (isContinued: boolean) => string
  readonly encode: <E, R>(
    rows: Stream.Stream<Row, E, R>,
    columns: ReadonlyArray<Column>,
    isContinued: boolean
  ) => Stream.Stream<string | Uint8Array, E, R>
}

const joined = <E, R>(lines: Stream.Stream<string, E, R>): Stream.Stream<string, E, R> =>
  Stream.mapArray(lines, (some) => [some.join("")])

const ndjson: ExportFormat = {
  extension: "ndjson",
  contentType: () => "application/x-ndjson; charset=utf-8",
  encode: (rows) =>
    joined(Stream.pipeThroughChannel(rows, Ndjson.encodeString()).pipe(Stream.catchTag("NdjsonError", Stream.die)))
}

const csv: ExportFormat = {
  extension: "csv",
  contentType: (isContinued) => `text/csv; charset=utf-8; header=${isContinued ? "absent" : "present"}`,
  encode: (rows, columns, isContinued) => {
    const writers = columns.map(({ name, kind }, at) => ({ name, cell: cellOf(kind), before: at === 0 ? "" : "," }))
    const lineOf = (row: Row): string => {
      let line = ""
      for (const { name, cell, before } of writers) line += before + cell(row[name] ?? null)
      return `${line}\r\n`
    }
    const lines = joined(Stream.map(rows, lineOf))
    return isContinued ? lines : Stream.concat(Stream.make(csvLine(columns.map(({ name }) => name))), lines)
  }
}

/** While so many rows are encoded the daemon does nothing else: a few milliseconds. */
const GROUP_ROWS = 2_000

const parquet: ExportFormat = {
  extension: "parquet",
  contentType: () => "application/vnd.apache.parquet",
  encode: (rows, columns) =>
    Stream.suspend(() => {
      const file = ParquetRows.make(columns, GROUP_ROWS)
      const groups = Stream.filter(Stream.map(rows, file.push), (piece) => piece !== null)
      return Stream.concat(groups, Stream.fromEffect(Effect.sync(file.end)))
    })
}

export const FORMATS = { csv, ndjson, parquet } as const satisfies Readonly<Record<string, ExportFormat>>
export const FORMAT_NAMES = ["csv", "ndjson", "parquet"] as const

/** What says a value of this kind in a CSV, as it stands there. */
const cellOf = (kind: ColumnKind): ((value: Schema.Json) => string) => {
  switch (kind) {
    case "instant":
      return instantCell()
    case "text":
      return (value) => (value === null ? "" : textCell(String(value)))
    case "json":
      return (value) => (value === null ? "" : textCell(typeof value === "string" ? value : JSON.stringify(value)))
    // Figures of our own: they begin nothing and need no quotes.
    case "integer":
    case "amount":
      return (value) => (value === null ? "" : String(value))
  }
}

const DAY_MS = 86_400_000

/** ISO 8601, which a spreadsheet reads. Rows come in order of time, so their day is mostly that of the row before. */
const instantCell = () => {
  let day = Number.NaN
  let date = ""
  return (value: Schema.Json): string => {
    if (typeof value !== "number") return ""
    const at = Math.floor(value / DAY_MS)
    if (at !== day) {
      day = at
      date = DateTime.formatIsoDateUtc(DateTime.makeUnsafe(at * DAY_MS))
    }
    const ms = value - at * DAY_MS
    const seconds = Math.floor(ms / 1000)
    return `${date}T${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}.${String(ms % 1000).padStart(3, "0")}Z`
  }
}

const two = (count: number): string => (count < 10 ? `0${count}` : String(count))
