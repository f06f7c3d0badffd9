/** The typed log of each namespace. Entries are facts with codes, so they may be counted; they hold no text of a request or an answer. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { JobId } from "../schemas/Ids.ts"
import type { LogEntry, LogType } from "../schemas/JobRecord.ts"
import type { Scope } from "./JobRecords.ts"
import type { Outage } from "./Outage.ts"
import { traced } from "./Traced.ts"

/** Where an entry stands among those of its scope. The id is the back end's own word. */
export interface LogPlace {
  readonly at: number
  readonly id: string
}

export interface PlacedEntry {
  readonly place: LogPlace
  readonly entry: LogEntry
}

export interface LogQuery {
  readonly type?: LogType
  readonly jobId?: JobId
  /** Half-open: from ≤ at < to. */
  readonly from?: number
  readonly to?: number
  /** Entries behind this place only. */
  readonly after?: LogPlace
  readonly limit: number
}

export interface Driver {
  /** Not durable against a power failure; durable against the death of the process. */
  readonly append: (entries: ReadonlyArray<LogEntry>) => Effect.Effect<void, Outage>
  /** Oldest first. A page that begins behind the last place of the one before repeats nothing and leaves nothing out that stood there then. */
  readonly page: (scope: Scope, query: LogQuery) => Effect.Effect<ReadonlyArray<PlacedEntry>, Outage>
}

export class Logs extends Context.Service<
  Logs,
  Driver & {
    /** The same without their places. */
    readonly query: (scope: Scope, query: LogQuery) => Effect.Effect<ReadonlyArray<LogEntry>, Outage>
  }
>()("resultity/layers/Logs") {}

export const make = (driver: Driver): Logs["Service"] => {
  const page = traced("Logs.page", driver.page)
  return Logs.of({
    append: (entries) => (entries.length === 0 ? Effect.void : driver.append(entries)),
    page,
    query: (scope, query) => Effect.map(page(scope, query), (placed) => placed.map(({ entry }) => entry))
  })
}
