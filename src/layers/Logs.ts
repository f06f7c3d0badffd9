/** The typed log of each namespace. Entries are facts with codes, so they may be counted; they hold no text of a request or an answer. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { JobId } from "../schemas/Ids.ts"
import type { LogEntry, LogType } from "../schemas/JobRecord.ts"
import type { Scope } from "./JobRecords.ts"
import type { Outage } from "./Outage.ts"
import { traced } from "./Traced.ts"

export interface LogQuery {
  readonly type?: LogType
  readonly jobId?: JobId
  /** Half-open: from ≤ at < to. */
  readonly from?: number
  readonly to?: number
  readonly limit: number
}

export interface Driver {
  /** Not durable against a power failure; durable against the death of the process. */
  readonly append: (entries: ReadonlyArray<LogEntry>) => Effect.Effect<void, Outage>
  /** Oldest first. */
  readonly query: (scope: Scope, query: LogQuery) => Effect.Effect<ReadonlyArray<LogEntry>, Outage>
}

export class Logs extends Context.Service<Logs, Driver>()("resultity/layers/Logs") {}

export const make = (driver: Driver): Logs["Service"] =>
  Logs.of({
    append: (entries) => (entries.length === 0 ? Effect.void : driver.append(entries)),
    query: traced("Logs.query", driver.query)
  })
