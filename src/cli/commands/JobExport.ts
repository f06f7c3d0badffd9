/** `jobs export`: every job of a search into a file or down a pipe, as it comes. A file that broke off is gone on with. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { size } from "../archive/Progress.ts"
import { CliFailed, usage } from "../CliFailed.ts"
import type { Command, Input } from "../Command.ts"
import { at, Control, type Query } from "../Control.ts"
import { type ExportFile, openFile } from "../export/ExportFile.ts"
import { progress } from "../export/Progress.ts"
import * as RowScan from "../export/RowScan.ts"
import { finishAsParquet } from "../export/ToParquet.ts"
import { Output } from "../Output.ts"
import { counted } from "../Plain.ts"
import { document } from "../Show.ts"
import { FILTERS, filtersOf } from "./JobLines.ts"

const FORMATS = ["csv", "ndjson", "parquet"] as const
type Format = (typeof FORMATS)[number]

const PATH = at("jobs", "export")

/** By what is said, or by how the file is named. */
const formatOf = ({ flags }: Input): Format =>
  FORMATS.find((format) => format === flags.get("format")) ??
  FORMATS.find((format) => flags.get("output")?.endsWith(`.${format}`) === true) ??
  "ndjson"

/** How rows come until a file is whole: a Parquet file that broke off could not be gone on with. */
const carrierOf = (format: Format): RowScan.Format => (format === "parquet" ? "ndjson" : format)

const toPipe = Effect.fnUntraced(function* (query: Query) {
  const { write } = yield* Output
  yield* Stream.runForEach((yield* Control).bytes(PATH, query), write)
})

const toFile = (input: Input, path: string, filters: Query, format: Format) =>
  Effect.scoped(
    Effect.gen(function* () {
      const { note, write } = yield* Output
      const carrier = carrierOf(format)
      const file = yield* openFile(path, carrier, input.flags.has("resume"))
      if (file === null) return yield* note(`${path} is whole already.`)
      const { rows, bytes } = yield* fill(file, { ...filters, format: carrier }, carrier)
      yield* format === "parquet" ? finishAsParquet(file) : file.finish
      const total = rows + file.before
      if (input.json) return yield* document({ file: path, format, rows: total, newRows: rows, newBytes: bytes })
      const were = file.before === 0 ? "" : `, ${file.before} of them from before`
      return yield* write(`${counted(total, "job")} in ${path}${were}; ${size(bytes)} fetched now.\n`)
    })
  )

const fill = Effect.fnUntraced(function* (
  { part, after, before, append }: ExportFile,
  query: Query,
  format: RowScan.Format
) {
  const scan = RowScan.make(format)
  let bytes = 0
  const header = format === "csv" && after === null ? 1 : 0
  const stand = () => ({ rows: Math.max(scan.rows() - header, 0), bytes })
  const { step, end } = yield* progress(stand)
  const stream = (yield* Control).bytes(PATH, after === null ? query : { ...query, after })
  yield* Stream.runForEach(stream, (piece) => {
    scan.push(piece)
    bytes += piece.byteLength
    return Effect.andThen(append(piece), step)
  }).pipe(
    Effect.ensuring(end),
    Effect.mapError((failure) =>
      failure instanceof CliFailed && failure.code === "unreachable"
        ? new CliFailed({ ...failure, message: `${failure.message} ${kept(part, before + stand().rows)}` })
        : failure
    )
  )
  return stand()
})

const kept = (part: string, rows: number) =>
  `${counted(rows, "job")} in ${part}: go on with the same command and --resume.`

const run = Effect.fnUntraced(function* (input: Input) {
  const path = input.flags.get("output")
  const format = formatOf(input)
  const filters = filtersOf(input)
  if (path !== undefined) return yield* toFile(input, path, filters, format)
  if (input.flags.has("resume")) return yield* usage("--resume needs --output FILE")
  return yield* toPipe({ ...filters, format })
})

export const jobExport: Command = {
  path: ["jobs", "export"],
  args: [],
  flags: [
    ...FILTERS,
    { name: "format", value: "FORMAT", help: "one of; else as FILE ends, else ndjson", oneOf: FORMATS },
    { name: "output", value: "FILE", help: "into this file; without it to stdout" },
    { name: "resume", help: "go on where FILE broke off, with the same filters" }
  ],
  summary: "every job of a search as CSV, NDJSON or Parquet, newest first, without prompt and answer",
  notes: "FILE grows as FILE.part and has its name when it is whole. The daemon writes each export down in the audit.",
  examples: [
    "resultity jobs export --from 2026-11-01 --to 2026-12-01 --output november.csv",
    "resultity jobs export --from 2026-11-01 --to 2026-12-01 --output november.csv --resume",
    "resultity jobs export --from 2026-11-01 --to 2026-12-01 --output november.parquet",
    "resultity jobs export --status failed --format ndjson | jq -r .errorCode | sort | uniq -c"
  ],
  run
}
