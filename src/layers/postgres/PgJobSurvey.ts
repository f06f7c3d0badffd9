/**
 * Questions about many rows at once. Each walks a partial index that holds unfinished rows only, so its cost grows with the answer and not with
 * the history; a test holds every query to that.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { JobSurvey } from "../JobStore.ts"
import { PgClient } from "./PgClient.ts"
import { COLUMNS, decodeLane, rowOf, type StoredJob } from "./PgJobRows.ts"
import { limited, text, whole } from "./PgValues.ts"

const during = (method: string) => ({ of: "JobSurvey", method })

export const DUE = `SELECT ${COLUMNS} FROM job WHERE finished_at IS NULL AND deadline_at <= $1
  ORDER BY deadline_at, id LIMIT $2`

/** The inner limit keeps the planner from reading the whole outbox first. */
export const WAITING = `SELECT ${COLUMNS} FROM job WHERE state = 'queued' AND id > $1 AND run_at < $2
  AND (SELECT 1 FROM outbox WHERE outbox.job_id = job.id LIMIT 1) IS NULL ORDER BY id LIMIT $3`

/** From the daemons to their jobs: an owner is always a known daemon, and there are few. The inner limit keeps the planner to that way. */
export const ORPHANS = `SELECT ${COLUMNS} FROM daemon CROSS JOIN LATERAL (
    SELECT * FROM job WHERE job.owner = daemon.id AND job.state = 'active' ORDER BY job.id LIMIT $1
  ) AS job WHERE daemon.state <> 'live' ORDER BY daemon.id, job.id LIMIT $1`

/** Hops from lane to lane along the index instead of grouping, and counts within it. */
export const LANES = `WITH RECURSIVE waiting (lane) AS (
    (SELECT lane FROM job WHERE state = 'queued' ORDER BY lane LIMIT 1)
    UNION ALL
    SELECT (SELECT job.lane FROM job WHERE job.state = 'queued' AND job.lane > waiting.lane ORDER BY job.lane LIMIT 1)
      FROM waiting WHERE waiting.lane IS NOT NULL
  )
  SELECT lane,
    (SELECT count(*) FROM job WHERE job.state = 'queued' AND job.lane = waiting.lane) AS waiting,
    (SELECT min(accepted_at) FROM job WHERE job.state = 'queued' AND job.lane = waiting.lane) AS oldest
  FROM waiting WHERE lane IS NOT NULL`

const OPEN = "SELECT open_jobs FROM credit_balance WHERE namespace_id = $1"

interface StoredLane {
  readonly lane: string
  readonly waiting: bigint
  readonly oldest: bigint
}

export const layer: Layer.Layer<JobSurvey, never, PgClient> = Layer.effect(
  JobSurvey,
  Effect.gen(function* () {
    const { query } = yield* PgClient
    const jobs = (method: string, statement: string, ...parameters: ReadonlyArray<unknown>) =>
      Effect.map(query<StoredJob>(during(method), statement, parameters), (rows) => rows.map(rowOf))
    return JobSurvey.of({
      due: (now, limit) => jobs("due", DUE, whole(now), limited(limit)),
      waiting: (before, after, limit) => jobs("waiting", WAITING, text(after ?? ""), whole(before), limited(limit)),
      orphans: (limit) => jobs("orphans", ORPHANS, limited(limit)),
      lanes: Effect.map(query<StoredLane>(during("lanes"), LANES), (rows) =>
        rows.map(({ lane, waiting, oldest }) => ({
          lane: decodeLane(lane),
          waiting: Number(waiting),
          oldestAt: Number(oldest)
        }))
      ),
      open: (namespaceId) =>
        Effect.map(
          query<{ open_jobs: number }>(during("open"), OPEN, [text(namespaceId)]),
          (rows) => rows[0]?.open_jobs ?? 0
        )
    })
  })
)
