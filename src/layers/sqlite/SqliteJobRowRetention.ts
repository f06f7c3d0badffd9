/** Rows of jobs that leave the embedded database. The marks are what lets a history be deleted, so they go after it, and before the rows that they refer to. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { JobId, NamespaceId } from "../../schemas/Ids.ts"
import { DAY_MS } from "../../schemas/Rollup.ts"
import type { SegmentId } from "../../schemas/SegmentId.ts"
import {
  type EndedPlace,
  JobRowRetention,
  type LeavableRow,
  type LeavingBounds,
  leavingRow,
  make
} from "../JobRowRetention.ts"
import { COLUMNS, eventsOf, rowOf } from "./JobRows.ts"
import { SqliteClient } from "./SqliteClient.ts"
import type { Sql } from "./Statements.ts"

const during = (method: string) => ({ of: "JobRowRetention", method })

/** Nothing that ended from here on: not yet that old, its day still open, or a message of its time not out. */
const BOUND = `min(:before,
  (SELECT min(closed_until) - min(closed_until) % ${DAY_MS} FROM rollup_progress),
  coalesce((SELECT min(due_at) FROM outbox), :before))`

const MAY_LEAVE = `job.finished_at < ${BOUND}
  AND NOT EXISTS (SELECT 1 FROM job_leaving WHERE job_id = job.id)
  AND NOT EXISTS (SELECT 1 FROM outbox WHERE job_id = job.id)
  AND NOT EXISTS (SELECT 1 FROM idempotency_key WHERE job_id = job.id AND expires_at > :now)
  AND EXISTS (SELECT 1 FROM credit_entry AS entry CROSS JOIN rollup_place AS place ON place.namespace_id = entry.namespace_id
    WHERE entry.job_id = job.id AND entry.kind = 'settle' AND entry.seq <= place.jobs_seq)`

export const EXPIRED = `SELECT job.finished_at, job.id, job.namespace_id FROM job INDEXED BY job_ended
  WHERE (job.finished_at, job.id) > (:endedAt, :jobId) AND ${MAY_LEAVE}
  ORDER BY job.finished_at, job.id LIMIT :limit`

const MARK = `INSERT INTO job_leaving (job_id, segment_id) SELECT job.id, :segmentId FROM job WHERE job.id = :jobId AND ${MAY_LEAVE}`

const READ = `SELECT job.id, ${COLUMNS} FROM job_leaving JOIN job ON job.id = job_leaving.job_id
  WHERE job_leaving.segment_id = ? ORDER BY job.finished_at, job.id`

const OF_SEGMENT = "IN (SELECT job_id FROM job_leaving WHERE segment_id = ?)"

const expired = (
  sql: Sql,
  after: EndedPlace | null,
  bounds: LeavingBounds,
  limit: number
): ReadonlyArray<LeavableRow> =>
  sql(EXPIRED)
    .all({ ...bounds, endedAt: after?.endedAt ?? -1, jobId: after?.jobId ?? "", limit: Math.max(0, limit) })
    .map((stored) => ({
      endedAt: Number(stored["finished_at"]),
      jobId: stored["id"] as JobId,
      namespaceId: stored["namespace_id"] as NamespaceId
    }))

const mark = (sql: Sql, segmentId: SegmentId, jobIds: ReadonlyArray<JobId>, { before, now }: LeavingBounds): number => {
  for (const jobId of jobIds) sql(MARK).run({ segmentId, jobId, before, now })
  return Number(sql("SELECT count(*) AS rows FROM job_leaving WHERE segment_id = ?").get(segmentId)?.["rows"])
}

const prune = (sql: Sql, segmentId: SegmentId): number => {
  const ids = sql("SELECT job_id FROM job_leaving WHERE segment_id = ?").all(segmentId)
  sql(`DELETE FROM job_event WHERE job_id ${OF_SEGMENT}`).run(segmentId)
  sql(`DELETE FROM idempotency_key WHERE job_id ${OF_SEGMENT}`).run(segmentId)
  sql("DELETE FROM job_leaving WHERE segment_id = ?").run(segmentId)
  for (const { job_id } of ids) sql("DELETE FROM job WHERE id = ?").run(job_id as JobId)
  return ids.length
}

export const layer: Layer.Layer<JobRowRetention, never, SqliteClient> = Layer.effect(
  JobRowRetention,
  Effect.map(SqliteClient, ({ read, write }) =>
    make({
      expired: (after, bounds, limit) => read(during("expired"), (sql) => expired(sql, after, bounds, limit)),
      mark: (segmentId, jobIds, bounds) =>
        write(during("mark"), (sql) => Result.succeed(mark(sql, segmentId, jobIds, bounds))),
      retiring: read(during("retiring"), (sql) =>
        sql("SELECT segment_id, count(*) AS rows FROM job_leaving GROUP BY segment_id ORDER BY segment_id")
          .all()
          .map((stored) => ({ segmentId: stored["segment_id"] as SegmentId, count: Number(stored["rows"]) }))
      ),
      read: (segmentId) =>
        read(during("read"), (sql) =>
          sql(READ)
            .all(segmentId)
            .map((stored) => leavingRow(rowOf(stored), eventsOf(sql, stored["id"] as JobId)))
        ),
      prune: (segmentId) => write(during("prune"), (sql) => Result.succeed(prune(sql, segmentId)))
    })
  )
)
