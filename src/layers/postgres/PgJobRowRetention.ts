/** Rows of jobs that leave PostgreSQL. What deletes them is a function of the tables' owner, since the daemon's own role may not take back history. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { JobId, NamespaceId } from "../../schemas/Ids.ts"
import { DAY_MS } from "../../schemas/Rollup.ts"
import type { SegmentId } from "../../schemas/SegmentId.ts"
import { JobRowRetention, type LeavingBounds, leavingRow, make } from "../JobRowRetention.ts"
import { PgClient } from "./PgClient.ts"
import { COLUMNS, eventOf, rowOf, type StoredEvent, type StoredJob } from "./PgJobRows.ts"
import { limited, text, texts, whole } from "./PgValues.ts"

const during = (method: string) => ({ of: "JobRowRetention", method })

/**
 * `before` and `now` are $1 and $2. Nothing that ended from a bound on: not yet that old, its day still open, or a message of its time not out. OFFSET 0 keeps
 * the questions about one row from becoming joins: otherwise the plan begins with all settlements that there ever were.
 */
const MAY_LEAVE = `job.finished_at < least($1::bigint,
    (SELECT min(closed_until) - min(closed_until) % ${DAY_MS} FROM rollup_progress), (SELECT min(due_at) FROM outbox))
  AND NOT EXISTS (SELECT FROM job_leaving WHERE job_id = job.id OFFSET 0)
  AND NOT EXISTS (SELECT FROM outbox WHERE outbox.job_id = job.id OFFSET 0)
  AND NOT EXISTS (SELECT FROM idempotency_key AS kept WHERE kept.job_id = job.id AND kept.expires_at > $2::bigint OFFSET 0)
  AND EXISTS (SELECT FROM credit_entry AS entry JOIN rollup_place AS place ON place.namespace_id = entry.namespace_id
    WHERE entry.job_id = job.id AND entry.kind = 'settle' AND entry.seq <= place.jobs_seq OFFSET 0)`

export const EXPIRED = `SELECT job.finished_at, job.id, job.namespace_id FROM job
  WHERE (job.finished_at, job.id) > ($3, $4) AND ${MAY_LEAVE} ORDER BY job.finished_at, job.id LIMIT $5`

/** In one order everywhere, so that two who mark the same rows do not wait for each other. */
const MARK = `INSERT INTO job_leaving (job_id, segment_id)
  SELECT job.id, $3::text FROM job WHERE job.id = ANY ($4) AND ${MAY_LEAVE} ORDER BY job.id ON CONFLICT (job_id) DO NOTHING`

const COUNT = "SELECT count(*) AS rows FROM job_leaving WHERE segment_id = $1"

const RETIRING = "SELECT segment_id, count(*) AS rows FROM job_leaving GROUP BY segment_id ORDER BY segment_id"

const READ = `SELECT job.id, ${COLUMNS} FROM job_leaving JOIN job ON job.id = job_leaving.job_id
  WHERE job_leaving.segment_id = $1 ORDER BY job.finished_at, job.id`

const EVENTS = `SELECT event.job_id, event.seq, event.kind, event.from_state, event.to_state, event.epoch, event.attempt, event.daemon_id,
    event.node_id, event.code, event.at
  FROM job_leaving JOIN job_event AS event ON event.job_id = job_leaving.job_id
  WHERE job_leaving.segment_id = $1 ORDER BY event.job_id, event.seq`

interface StoredEnd {
  readonly finished_at: bigint
  readonly id: JobId
  readonly namespace_id: NamespaceId
}

interface Counted {
  readonly segment_id: SegmentId
  readonly rows: bigint
}

const boundsOf = ({ before, now }: LeavingBounds) => [whole(before), whole(now)]

type Client = PgClient["Service"]

const mark = (
  { sql, transaction }: Client,
  segmentId: SegmentId,
  jobIds: ReadonlyArray<JobId>,
  bounds: LeavingBounds
) =>
  transaction(
    during("mark"),
    Effect.gen(function* () {
      yield* sql.unsafe(MARK, [...boundsOf(bounds), text(segmentId), texts(jobIds)])
      const [counted] = yield* sql.unsafe<Counted>(COUNT, [text(segmentId)])
      return Number(counted?.rows ?? 0)
    })
  )

/** Of one instant: a batch that is pruned in between is either whole or gone. */
const read = ({ sql, transaction }: Client, segmentId: SegmentId) =>
  transaction(
    during("read"),
    Effect.gen(function* () {
      yield* sql.unsafe("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
      const rows = yield* sql.unsafe<StoredJob & { readonly id: JobId }>(READ, [text(segmentId)])
      const events = yield* sql.unsafe<StoredEvent>(EVENTS, [text(segmentId)])
      const histories = Map.groupBy(events.map(eventOf), ({ jobId }) => jobId)
      return rows.map((row) => leavingRow(rowOf(row), histories.get(row.id) ?? []))
    })
  )

export const layer: Layer.Layer<JobRowRetention, never, PgClient> = Layer.effect(
  JobRowRetention,
  Effect.map(PgClient, (client) => {
    const { query } = client
    return make({
      expired: (after, bounds, limit) =>
        Effect.map(
          query<StoredEnd>(during("expired"), EXPIRED, [
            ...boundsOf(bounds),
            whole(after?.endedAt ?? -1),
            text(after?.jobId ?? ""),
            limited(limit)
          ]),
          (rows) =>
            rows.map(({ finished_at, id, namespace_id }) => ({
              endedAt: Number(finished_at),
              jobId: id,
              namespaceId: namespace_id
            }))
        ),
      mark: (segmentId, jobIds, bounds) => mark(client, segmentId, jobIds, bounds),
      retiring: Effect.map(query<Counted>(during("retiring"), RETIRING), (rows) =>
        rows.map(({ segment_id, rows: count }) => ({ segmentId: segment_id, count: Number(count) }))
      ),
      read: (segmentId) => read(client, segmentId),
      prune: (segmentId) =>
        Effect.map(
          query<{ pruned: number }>(during("prune"), "SELECT prune_jobs($1) AS pruned", [text(segmentId)]),
          ([row]) => Number(row?.pruned ?? 0)
        )
    })
  })
)
