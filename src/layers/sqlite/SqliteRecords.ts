/** The record contracts over one SQLite file. Cold storage is not among them: see `files/FileArchive`. */
import * as Layer from "effect/Layer"
import * as SqliteEntryRetention from "./SqliteEntryRetention.ts"
import * as SqliteIncidents from "./SqliteIncidents.ts"
import * as SqliteJobRecords from "./SqliteJobRecords.ts"
import * as SqliteJobSearch from "./SqliteJobSearch.ts"
import * as SqliteLogs from "./SqliteLogs.ts"
import * as SqliteRecordRetention from "./SqliteRecordRetention.ts"
import * as SqliteSignals from "./SqliteSignals.ts"
import * as SqliteTraces from "./SqliteTraces.ts"

export const layer = Layer.mergeAll(
  SqliteJobRecords.layer,
  SqliteTraces.layer,
  SqliteLogs.layer,
  SqliteJobSearch.layer,
  SqliteRecordRetention.layer,
  SqliteIncidents.layer,
  SqliteSignals.layer,
  SqliteEntryRetention.layer
)
