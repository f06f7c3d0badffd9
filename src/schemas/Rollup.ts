/**
 * Aggregates of the deciding store by UTC hour: what stays when the rows they came from have left. A period is named by the instant it begins at, and
 * once closed it never changes again. Amounts are micro-credits, as decimal strings on the wire; sums may be more than one account can hold.
 */
import * as Schema from "effect/Schema"
import { NamespaceId } from "./Ids.ts"
import { Environment, Mode } from "./Job.ts"
import { TerminalState } from "./JobState.ts"

export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS

export const hourOf = (at: number): number => Math.floor(at / HOUR_MS) * HOUR_MS
export const dayOf = (at: number): number => Math.floor(at / DAY_MS) * DAY_MS

/** Of the shape of a line in cold storage; a later shape has a higher one. */
export const ROLLUP_VERSION = 1

export const RollupDefinition = Schema.Literals(["credits", "jobs", "accounts"])
export type RollupDefinition = typeof RollupDefinition.Type

const Amount = Schema.BigIntFromString
const Count = Schema.Natural

/** What moved in one namespace, and what it had at the end. `firstSeq` to `lastSeq`: the entries that this is the sum of, and no others are. */
export const CreditRollup = Schema.Struct({
  definition: Schema.Literal("credits"),
  period: Schema.Int,
  namespaceId: NamespaceId,
  firstSeq: Schema.Int,
  lastSeq: Schema.Int,
  /** Jobs admitted, and jobs ended. */
  opened: Count,
  ended: Count,
  granted: Amount,
  reserved: Amount,
  settled: Amount,
  refunded: Amount,
  grantedAtEnd: Amount,
  availableAtEnd: Amount,
  reservedAtEnd: Amount,
  spentAtEnd: Amount,
  openJobsAtEnd: Schema.Int
})
export type CreditRollup = typeof CreditRollup.Type

/** Jobs that ended, each in the period in which it was paid for. */
export const JobRollup = Schema.Struct({
  definition: Schema.Literal("jobs"),
  period: Schema.Int,
  environment: Environment,
  namespaceId: NamespaceId,
  model: Schema.String,
  mode: Mode,
  state: TerminalState,
  jobs: Count,
  promptTokens: Count,
  outputTokens: Count,
  cost: Amount,
  /** Sum from acceptance to the end. */
  totalMs: Count,
  /** Jobs that were ever tried on a node, and the sum of what these waited for it. */
  started: Count,
  queueMs: Count
})
export type JobRollup = typeof JobRollup.Type

/** What there was when the period ended. */
export const AccountRollup = Schema.Struct({
  definition: Schema.Literal("accounts"),
  period: Schema.Int,
  environment: Environment,
  namespaces: Count,
  /** Neither revoked nor expired. */
  keys: Count,
  openJobs: Schema.Int,
  granted: Amount,
  available: Amount,
  reserved: Amount,
  spent: Amount
})
export type AccountRollup = typeof AccountRollup.Type

export const RollupRow = Schema.Union([CreditRollup, JobRollup, AccountRollup])
export type RollupRow = typeof RollupRow.Type

/** One line of a segment of rollups. */
export const RollupLine = Schema.toCodecJson(RollupRow)

const part = (value: string): string => encodeURIComponent(value)

/** What tells a row from the others of its definition and period, and their order. */
export const keyOf = (row: RollupRow): string => {
  switch (row.definition) {
    case "credits":
      return row.namespaceId
    case "jobs":
      return [row.namespaceId, row.environment, part(row.model), row.mode, row.state].join(" ")
    case "accounts":
      return row.environment
  }
}
