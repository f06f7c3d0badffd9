/**
 * A job's row between the table and `JobRow`. The facts are one JSON text with amounts as decimal strings; they are mapped by hand, because a
 * Schema decode of what this file wrote itself would cost more than the whole transaction. A property test holds the mapping to the Schema.
 */
import type { Credits } from "../../schemas/Credits.ts"
import type { DaemonId, JobId, NodeId } from "../../schemas/Ids.ts"
import { type Lane, laneOf } from "../../schemas/Job.ts"
import type { JobEvent } from "../../schemas/JobEvent.ts"
import type { JobRow, JobState } from "../../schemas/JobState.ts"
import { decodeJob, encodeJob, withoutTag } from "../JobText.ts"
import type { Sql } from "./Statements.ts"

export const COLUMNS = `job.facts, job.state, job.owner, job.epoch, job.attempt, job.failures, job.crashes, job.node_id, job.run_at,
  job.prompt_tokens, job.output_tokens, CAST(job.charged AS TEXT) AS charged, job.error_code, job.finished_at, job.events`

interface Stored {
  readonly facts: string
  readonly state: JobState
  readonly owner: DaemonId | null
  readonly epoch: number
  readonly attempt: number
  readonly failures: number
  readonly crashes: number
  readonly node_id: NodeId | null
  readonly run_at: number
  readonly prompt_tokens: number
  readonly output_tokens: number
  readonly charged: string
  readonly error_code: string | null
  readonly finished_at: number | null
  readonly events: number
}

const credits = (text: string) => BigInt(text) as Credits

/** A lane as one text that can be read back: its name on the broker cannot, since a model's name may hold dots. */
export const encodeLane = (lane: Lane): string =>
  JSON.stringify([lane.environment, lane.subcloud, lane.model, lane.priority])

export const decodeLane = (text: string): Lane => {
  const [environment, subcloud, model, priority] = JSON.parse(text) as [
    Lane["environment"],
    string,
    string,
    Lane["priority"]
  ]
  return { environment, subcloud, model, priority }
}

/** `stored` must hold `COLUMNS`. */
export const rowOf = (stored: unknown): JobRow => {
  const row = stored as Stored
  return {
    job: decodeJob(row.facts),
    state: row.state,
    owner: row.owner,
    epoch: row.epoch,
    attempt: row.attempt,
    failures: row.failures,
    crashes: row.crashes,
    nodeId: row.node_id,
    runAt: row.run_at,
    usage: { promptTokens: row.prompt_tokens, outputTokens: row.output_tokens },
    charged: credits(row.charged),
    errorCode: row.error_code,
    finishedAt: row.finished_at
  }
}

/** A row together with how long its history is. */
export interface Found {
  readonly row: JobRow
  readonly events: number
}

export const findRow = (sql: Sql, jobId: JobId): Found | null => {
  const stored = sql(`SELECT ${COLUMNS} FROM job WHERE id = ?`).get(jobId)
  return stored === undefined ? null : { row: rowOf(stored), events: Number(stored["events"]) }
}

export const insertRow = (sql: Sql, row: JobRow): void => {
  const { job } = row
  sql(`INSERT INTO job (id, namespace_id, facts, lane, reserved, accepted_at, deadline_at, state, epoch, attempt, failures, crashes,
      run_at, prompt_tokens, output_tokens, charged, events)
    VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', 0, 0, 0, 0, ?, 0, 0, 0, 1)`).run(
    job.id,
    job.namespaceId,
    encodeJob(job),
    encodeLane(laneOf(job)),
    job.reserved,
    job.acceptedAt,
    job.deadlineAt,
    row.runAt
  )
}

/** Writes everything that changes of a row, which was in state `from`, and its next event. `events`: how many it had. */
export const saveRow = (
  sql: Sql,
  { row, events }: Found,
  from: JobState,
  event: Pick<JobEvent, "kind" | "daemonId" | "code" | "at">
): void => {
  sql(`UPDATE job SET state = ?, owner = ?, epoch = ?, attempt = ?, failures = ?, crashes = ?, node_id = ?, run_at = ?,
      prompt_tokens = ?, output_tokens = ?, charged = ?, error_code = ?, finished_at = ?, events = ? WHERE id = ?`).run(
    row.state,
    row.owner,
    row.epoch,
    row.attempt,
    row.failures,
    row.crashes,
    row.nodeId,
    row.runAt,
    row.usage.promptTokens,
    row.usage.outputTokens,
    row.charged,
    row.errorCode,
    row.finishedAt,
    events + 1,
    row.job.id
  )
  insertEvent(sql, {
    ...event,
    jobId: row.job.id,
    seq: events + 1,
    from,
    to: row.state,
    epoch: row.epoch,
    attempt: row.attempt,
    nodeId: row.nodeId
  })
}

export const insertEvent = (sql: Sql, event: JobEvent): void => {
  sql(`INSERT INTO job_event (job_id, seq, kind, from_state, to_state, epoch, attempt, daemon_id, node_id, code, at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).run(
    event.jobId,
    event.seq,
    event.kind,
    event.from,
    event.to,
    event.epoch,
    event.attempt,
    event.daemonId,
    event.nodeId,
    event.code,
    event.at
  )
}

export const eventsOf = (sql: Sql, jobId: JobId): ReadonlyArray<JobEvent> =>
  sql("SELECT * FROM job_event WHERE job_id = ? ORDER BY seq").all(jobId).map(eventOf)

const eventOf = (stored: Record<string, unknown>): JobEvent => ({
  jobId: stored["job_id"] as JobId,
  seq: stored["seq"] as number,
  kind: stored["kind"] as JobEvent["kind"],
  from: stored["from_state"] as JobState | null,
  to: stored["to_state"] as JobState,
  epoch: stored["epoch"] as number,
  attempt: stored["attempt"] as number,
  daemonId: stored["daemon_id"] as DaemonId | null,
  nodeId: stored["node_id"] as NodeId | null,
  code: stored["code"] as string | null,
  at: stored["at"] as number
})

export const forgetTags = (sql: Sql, jobIds: ReadonlyArray<JobId>): void => {
  for (const jobId of jobIds) {
    const stored = sql("SELECT facts FROM job WHERE id = ? AND finished_at IS NOT NULL").get(jobId)
    if (stored !== undefined)
      sql("UPDATE job SET facts = ? WHERE id = ?").run(withoutTag(String(stored["facts"])), jobId)
  }
}
