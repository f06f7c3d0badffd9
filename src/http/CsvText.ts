/** A short table as CSV for a spreadsheet. */
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { csvLine } from "./CsvCells.ts"

/** Cells as they are to stand there: text that came from outside goes through `harmlessCell` first. */
export const csvResponse = (
  filename: string,
  columns: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text([columns, ...rows].map(csvLine).join(""), {
    contentType: "text/csv; charset=utf-8",
    headers: { "content-disposition": `attachment; filename="${filename}"` }
  })
