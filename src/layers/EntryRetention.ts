/**
 * Letting go of what belongs to no job: log entries whose job has left or that never had one, and incidents. As with jobs, a batch is marked with its
 * segment first, and whoever comes after a crash goes on with the same batch.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { EntryClass, SegmentId } from "../schemas/Archive.ts"
import type { NamespaceId } from "../schemas/Ids.ts"
import type { Incident } from "../schemas/Incident.ts"
import type { LogEntry } from "../schemas/JobRecord.ts"
import type { Outage } from "./Outage.ts"

/** `id` is its id within this store. */
export type Entry =
  | { readonly _tag: "log"; readonly id: string; readonly at: number; readonly entry: LogEntry }
  | { readonly _tag: "incident"; readonly id: string; readonly at: number; readonly entry: Incident }

export interface RetiringEntries {
  readonly segmentId: SegmentId
  readonly dataClass: EntryClass
  readonly namespaceId: NamespaceId | null
  readonly count: number
}

export interface Driver {
  /** Ids, within this store, of unmarked ones of the namespace (null: of nobody's) from before this instant, oldest first. A log entry of a live job is none. */
  readonly expired: (
    dataClass: EntryClass,
    namespaceId: NamespaceId | null,
    before: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<string>, Outage>
  /** Marks those that are unmarked; returns how many now carry the mark. */
  readonly mark: (
    dataClass: EntryClass,
    segmentId: SegmentId,
    ids: ReadonlyArray<string>
  ) => Effect.Effect<number, Outage>
  /** Segments that are marked and not pruned yet. */
  readonly retiring: Effect.Effect<ReadonlyArray<RetiringEntries>, Outage>
  /** The marked ones, oldest first: the same each time. */
  readonly read: (dataClass: EntryClass, segmentId: SegmentId) => Effect.Effect<ReadonlyArray<Entry>, Outage>
  /** Deletes the marked ones; returns how many. Twice: 0. */
  readonly prune: (dataClass: EntryClass, segmentId: SegmentId) => Effect.Effect<number, Outage>
}

export class EntryRetention extends Context.Service<EntryRetention, Driver>()("resultity/layers/EntryRetention") {}

export const make = (driver: Driver): EntryRetention["Service"] =>
  EntryRetention.of({
    ...driver,
    mark: Effect.fn("EntryRetention.mark")(driver.mark),
    prune: Effect.fn("EntryRetention.prune")(driver.prune)
  })
