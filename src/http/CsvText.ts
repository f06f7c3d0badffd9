/** Rows as CSV for a spreadsheet. No cell begins in a way that a spreadsheet would run. */
import * as Effect from "effect/Effect"
import * as Csv from "effect/encoding/Csv"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"

type Cell = string | number | null

/** A leading quote keeps spreadsheets from taking a name for a formula. */
const cellOf = (value: Cell): string => {
  const text = value === null ? "" : String(value)
  return typeof value === "string" && /^[=+\-@\t\r]/.test(text) && !/^-?\d+(?:\.\d+)?$/.test(text) ? `'${text}` : text
}

export const csvResponse = (
  filename: string,
  columns: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<Cell>>
): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Stream.fromIterable([columns, ...rows.map((row) => row.map(cellOf))]).pipe(
    Stream.pipeThroughChannel(Csv.encodeString({ newline: "\r\n" })),
    Stream.runFold(
      () => "",
      (text, line) => text + line
    ),
    Effect.orDie,
    Effect.map((text) =>
      HttpServerResponse.text(text, {
        contentType: "text/csv; charset=utf-8",
        headers: { "content-disposition": `attachment; filename="${filename}"` }
      })
    )
  )
