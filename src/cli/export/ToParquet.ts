/** An export that came as NDJSON, which can be gone on with, made into the Parquet file that was asked for, which cannot. */
import { createReadStream } from "node:fs"
import { open, rename, rm } from "node:fs/promises"
import { createInterface } from "node:readline"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { CURSOR, OPERATOR_COLUMNS } from "../../schemas/ExportColumns.ts"
import * as ParquetRows from "../../schemas/ParquetRows.ts"
import { CliFailed, EXIT } from "../CliFailed.ts"
import type { ExportFile } from "./ExportFile.ts"

/** So many rows are in memory at once. */
const GROUP_ROWS = 50_000

const rewrite = async (from: string, to: string): Promise<void> => {
  const file = ParquetRows.make([...OPERATOR_COLUMNS, CURSOR], GROUP_ROWS)
  const handle = await open(to, "w", 0o600)
  try {
    for await (const line of createInterface({ input: createReadStream(from), crlfDelay: Infinity })) {
      const piece = file.push(JSON.parse(line) as Schema.JsonObject)
      if (piece !== null) await handle.appendFile(piece)
    }
    await handle.appendFile(file.end())
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** The file under its name, on disk; what it was made of is gone. A failure leaves that, so `--resume` comes back here. */
export const finishAsParquet = ({ part, path }: ExportFile): Effect.Effect<void, CliFailed> =>
  Effect.tryPromise({
    try: async () => {
      const made = `${path}.new`
      await rewrite(part, made)
      await rename(made, path)
      await rm(part)
    },
    catch: (cause) =>
      new CliFailed({
        code: "cannot_write",
        message: `${path}: ${cause instanceof Error ? cause.message : String(cause)}`,
        exit: EXIT.failed
      })
  })
