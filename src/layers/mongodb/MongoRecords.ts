/** Every contract of the records on one MongoDB database. */
import * as Layer from "effect/Layer"
import * as MongoClient from "./MongoClient.ts"
import * as EntryRetention from "./MongoEntryRetention.ts"
import * as Incidents from "./MongoIncidents.ts"
import * as JobRecords from "./MongoJobRecords.ts"
import * as JobSearch from "./MongoJobSearch.ts"
import * as Logs from "./MongoLogs.ts"
import * as RecordRetention from "./MongoRecordRetention.ts"
import * as Signals from "./MongoSignals.ts"
import * as Traces from "./MongoTraces.ts"

export type { MongoOptions } from "./MongoClient.ts"

export const contracts = Layer.mergeAll(
  JobRecords.layer,
  Traces.layer,
  Logs.layer,
  JobSearch.layer,
  RecordRetention.layer,
  Incidents.layer,
  Signals.layer,
  EntryRetention.layer
)

export const layer = (options: MongoClient.MongoOptions) => contracts.pipe(Layer.provide(MongoClient.layer(options)))
