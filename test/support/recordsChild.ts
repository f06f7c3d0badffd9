/**
 * A process that dies with SIGKILL in the middle of its work; the tests look at what it left. `records <file>` writes one of each record and
 * dies once they are told written. `archive <folder>` writes one blob again and again, all of one letter, until it is killed.
 */
import { Effect, Layer } from "effect"
import * as FileArchive from "../../src/layers/files/FileArchive.ts"
import { Incidents } from "../../src/layers/Incidents.ts"
import { JobRecords } from "../../src/layers/JobRecords.ts"
import { Logs } from "../../src/layers/Logs.ts"
import * as SqliteClient from "../../src/layers/sqlite/SqliteClient.ts"
import * as SqliteRecords from "../../src/layers/sqlite/SqliteRecords.ts"
import { Traces } from "../../src/layers/Traces.ts"
import { aChange, aLogEntry, anIncident, anOutput, aRecord, pieces } from "./recordFactories.ts"

const BLOB = "segments/blob"
const BLOB_BYTES = 4_000_000

const records = Effect.gen(function* () {
  const record = aRecord()
  const { jobId, namespaceId } = record
  yield* (yield* JobRecords).open(record)
  yield* (yield* JobRecords).patch(aChange(jobId, { state: "completed", finishedAt: 5, output: anOutput(1, 2) }, false))
  yield* (yield* Traces).fence(jobId, 1)
  yield* (yield* Traces).append({ jobId, epoch: 1, attempt: 1, events: pieces(1, 3) })
  yield* (yield* Logs).append([aLogEntry(namespaceId, { jobId })])
  yield* (yield* Incidents).raise([anIncident({ namespaceId, jobId })])
  process.stdout.write(`${JSON.stringify({ jobId, namespaceId })}\n`, () => process.kill(process.pid, "SIGKILL"))
  return yield* Effect.never
})

const archive = (root: string) =>
  Effect.forever(
    Effect.forEach(["a", "b", "c"], (letter) =>
      FileArchive.driver(root)
        .put(BLOB, Buffer.alloc(BLOB_BYTES, letter))
        .pipe(Effect.andThen(Effect.sync(() => process.stdout.write(letter))))
    )
  )

const [, , what, path = ""] = process.argv
if (what === "records") {
  const layer = Layer.provide(SqliteRecords.layer, SqliteClient.layer({ path }))
  await Effect.runPromise(Effect.provide(records, layer))
} else if (what === "archive") {
  await Effect.runPromise(archive(path))
}
