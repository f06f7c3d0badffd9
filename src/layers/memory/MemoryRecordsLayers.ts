/**
 * The record contracts in memory over one state. `layer` brings a fresh state with it; `over` shares a state that a test keeps while
 * daemons come and go.
 */
import * as Layer from "effect/Layer"
import * as MemoryArchive from "./MemoryArchive.ts"
import * as MemoryEntryRetention from "./MemoryEntryRetention.ts"
import * as MemoryIncidents from "./MemoryIncidents.ts"
import * as MemoryJobRecords from "./MemoryJobRecords.ts"
import * as MemoryJobSearch from "./MemoryJobSearch.ts"
import * as MemoryLogs from "./MemoryLogs.ts"
import * as MemoryRecordRetention from "./MemoryRecordRetention.ts"
import * as MemoryRecords from "./MemoryRecords.ts"
import * as MemorySignals from "./MemorySignals.ts"
import * as MemoryTraces from "./MemoryTraces.ts"

const contracts = Layer.mergeAll(
  MemoryJobRecords.layer,
  MemoryTraces.layer,
  MemoryLogs.layer,
  MemoryJobSearch.layer,
  MemoryRecordRetention.layer,
  MemoryEntryRetention.layer,
  MemoryIncidents.layer,
  MemorySignals.layer,
  MemoryArchive.layer
)

export const layer = Layer.provideMerge(contracts, MemoryRecords.layer)

export const over = (state: MemoryRecords.State) =>
  Layer.provideMerge(contracts, Layer.succeed(MemoryRecords.MemoryRecords, state))
