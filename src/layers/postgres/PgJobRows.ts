/**
 * A job's row between the table and `JobRow`. The facts are one JSON text with amounts as decimal strings; they are mapped by hand, because a
 * Schema decode of what this file wrote itself would cost more than its share of a batch. A test holds the mapping to the Schema. JSON text and
 * not `jsonb`: text keeps what `jsonb` refuses (NUL, lone surrogates), and nothing asks for one fact.
 */
import type { Credits } from "../../schemas/Credits.ts"
import type { DaemonId, JobId, NodeId } from "../../schemas/Ids.ts"
import type { Lane } from "../../schemas/Job.ts"
import type { JobEvent } from "../../schemas/JobEvent.ts"
import type { JobRow, JobState } from "../../schemas/JobState.ts"
import { decodeJob } from "../JobText.ts"

export const COLUMNS = `job.facts, job.state, job.owner, job.epoch, job.attempt, job.failures, job.crashes, job.node_id, job.run_at,
  job.prompt_tokens, job.output_tokens, job.charged, job.error_code, job.finished_at`

export interface StoredJob {
  readonly facts: string
  readonly state: JobState
  readonly owner: DaemonId | null
  readonly epoch: number
  readonly attempt: number
  readonly failures: number
  readonly crashes: number
  readonly node_id: NodeId | null
  readonly run_at: bigint
  readonly prompt_tokens: bigint
  readonly output_tokens: bigint
  readonly charged: bigint
  readonly error_code: string | null
  readonly finished_at: bigint | null
}

/** A lane as one text that can be read back, its parts always in this order: equal lanes are equal texts. A message to the lane is built from it. */
export const encodeLane = ({ environment, subcloud, model, priority }: Lane): string =>
  JSON.stringify({ environment, subcloud, model, priority })

export const decodeLane = (text: string): Lane => JSON.parse(text) as Lane

export const rowOf = (row: StoredJob): JobRow => ({
  job: decodeJob(row.facts),
  state: row.state,
  owner: row.owner,
  epoch: row.epoch,
  attempt: row.attempt,
  failures: row.failures,
  crashes: row.crashes,
  nodeId: row.node_id,
  runAt: Number(row.run_at),
  usage: { promptTokens: Number(row.prompt_tokens), outputTokens: Number(row.output_tokens) },
  charged: row.charged as Credits,
  errorCode: row.error_code,
  finishedAt: row.finished_at === null ? null : Number(row.finished_at)
})

export interface StoredEvent {
  readonly job_id: JobId
  readonly seq: number
  readonly kind: JobEvent["kind"]
  readonly from_state: JobState | null
  readonly to_state: JobState
  readonly epoch: number
  readonly attempt: number
  readonly daemon_id: DaemonId | null
  readonly node_id: NodeId | null
  readonly code: string | null
  readonly at: bigint
}

export const eventOf = (event: StoredEvent): JobEvent => ({
  jobId: event.job_id,
  seq: event.seq,
  kind: event.kind,
  from: event.from_state,
  to: event.to_state,
  epoch: event.epoch,
  attempt: event.attempt,
  daemonId: event.daemon_id,
  nodeId: event.node_id,
  code: event.code,
  at: Number(event.at)
})
