/**
 * Rows as an Apache Parquet file that grows by row groups, so that no more than one group is in memory. Times are timestamps, amounts exact decimals, and
 * every column may be null. The file is one only with its end: readers refuse what broke off.
 */
import { ByteWriter, ParquetWriter, type SchemaElement } from "hyparquet-writer"
import type * as Schema from "effect/Schema"
import { fromDecimal } from "./Credits.ts"
import type { Column, ColumnKind } from "./ExportColumns.ts"

type Row = Readonly<Record<string, Schema.Json>>

export interface ParquetRows {
  /** What the file goes on with once a group is full; null while it is not. */
  readonly push: (row: Row) => Uint8Array | null
  /** The last group and the footer. Nothing comes after it. */
  readonly end: () => Uint8Array
}

const TYPES: Readonly<Record<ColumnKind, Omit<SchemaElement, "name">>> = {
  text: { type: "BYTE_ARRAY", converted_type: "UTF8", logical_type: { type: "STRING" } },
  integer: { type: "INT64" },
  instant: {
    type: "INT64",
    converted_type: "TIMESTAMP_MILLIS",
    logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit: "MILLIS" }
  },
  amount: {
    type: "INT64",
    converted_type: "DECIMAL",
    logical_type: { type: "DECIMAL", precision: 18, scale: 6 },
    precision: 18,
    scale: 6
  },
  json: { type: "BYTE_ARRAY", converted_type: "JSON", logical_type: { type: "JSON" } }
}

const valueOf = (kind: ColumnKind, value: Schema.Json): unknown => {
  if (value === null) return null
  if (kind === "integer" || kind === "instant") return BigInt(value as number)
  return kind === "amount" ? (fromDecimal(value as string) ?? null) : value
}

/** Readers expect the metadata of a group to be small against its rows; one group is also ended by so much text. */
const GROUP_BYTES = 8 << 20

/** `groupRows`: how many rows are written at once, which nothing else can go on beside. */
export const make = (columns: ReadonlyArray<Column>, groupRows: number): ParquetRows => {
  const bytes = new ByteWriter(1 << 16)
  const file = new ParquetWriter({
    writer: bytes,
    createdBy: "resultity",
    schema: [
      { name: "jobs", num_children: columns.length },
      ...columns.map(({ name, kind }): SchemaElement => ({ name, repetition_type: "OPTIONAL", ...TYPES[kind] }))
    ]
  })
  const heavy = columns.filter(({ kind }) => kind === "json")
  let group: Array<Row> = []
  let weight = 0

  const taken = (): Uint8Array => {
    const written = bytes.getBytes().slice()
    bytes.index = 0
    return written
  }
  const writeGroup = () => {
    const data = columns.map(({ name, kind }) => ({ name, data: group.map((row) => valueOf(kind, row[name] ?? null)) }))
    if (group.length > 0) void file.write({ columnData: data, rowGroupSize: group.length })
    group = []
    weight = 0
  }
  return {
    push: (row) => {
      group.push(row)
      for (const { name } of heavy) weight += JSON.stringify(row[name] ?? null).length
      if (group.length < groupRows && weight < GROUP_BYTES) return null
      writeGroup()
      return taken()
    },
    end: () => {
      writeGroup()
      void file.finish()
      return taken()
    }
  }
}
