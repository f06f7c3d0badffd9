/** A job's row with its history, as a line of cold storage: all that the deciding store knew of the job but its entries in the ledger, which stay. */
import * as Schema from "effect/Schema"
import { Credits } from "./Credits.ts"
import { NodeId } from "./Ids.ts"
import { Job, Usage } from "./Job.ts"
import { JobEvent } from "./JobEvent.ts"
import { TerminalState } from "./JobState.ts"

/** Of the shape of a line; a later shape has a higher one. */
export const JOB_ROW_VERSION = 1

/** A `JobRow` that has ended: nobody owns it. */
const EndedRow = Schema.Struct({
  job: Job,
  state: TerminalState,
  owner: Schema.Null,
  epoch: Schema.Natural,
  attempt: Schema.Natural,
  failures: Schema.Natural,
  crashes: Schema.Natural,
  nodeId: Schema.NullOr(NodeId),
  runAt: Schema.Int,
  usage: Usage,
  charged: Credits,
  errorCode: Schema.NullOr(Schema.String),
  finishedAt: Schema.Int
})
export type EndedRow = typeof EndedRow.Type

const LeavingRow = Schema.Struct({ row: EndedRow, events: Schema.Array(JobEvent) })
export type LeavingRow = typeof LeavingRow.Type

export const JobRowLine = Schema.toCodecJson(LeavingRow)
