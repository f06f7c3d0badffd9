/**
 * Questions about many rows at once. Each walks a partial index that holds unfinished rows only, so its cost grows with the answer and not
 * with the history; a test holds every query to that.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { JobSurvey } from "../JobStore.ts"
import { findAccount } from "./CreditRows.ts"
import { COLUMNS, decodeLane, rowOf } from "./JobRows.ts"
import { SqliteClient } from "./SqliteClient.ts"

const during = (method: string) => ({ of: "JobSurvey", method })

export const DUE = `SELECT ${COLUMNS} FROM job WHERE finished_at IS NULL AND deadline_at <= ? ORDER BY deadline_at, id LIMIT max(?, 0)`

export const WAITING = `SELECT ${COLUMNS} FROM job WHERE state = 'queued' AND id > ? AND run_at < ?
  AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.job_id = job.id) ORDER BY id LIMIT max(?, 0)`

/** From the daemons to their jobs: an owner is always a known daemon, and there are few. */
export const ORPHANS = `SELECT ${COLUMNS} FROM daemon CROSS JOIN job ON job.owner = daemon.id
  WHERE daemon.state <> 'live' AND job.state = 'active' ORDER BY daemon.id, job.id LIMIT max(?, 0)`

/** Hops from lane to lane along the index instead of grouping, and counts within it. */
export const LANES = `WITH RECURSIVE waiting (lane) AS (
    SELECT min(lane) FROM job WHERE state = 'queued' AND lane > ''
    UNION ALL
    SELECT (SELECT min(job.lane) FROM job WHERE job.state = 'queued' AND job.lane > waiting.lane)
      FROM waiting WHERE waiting.lane IS NOT NULL
  )
  SELECT lane,
    (SELECT count(*) FROM job WHERE job.state = 'queued' AND job.lane = waiting.lane) AS waiting,
    (SELECT min(accepted_at) FROM job WHERE job.state = 'queued' AND job.lane = waiting.lane) AS oldest
  FROM waiting WHERE lane IS NOT NULL`

export const layer: Layer.Layer<JobSurvey, never, SqliteClient> = Layer.effect(
  JobSurvey,
  Effect.gen(function* () {
    const { read } = yield* SqliteClient
    return JobSurvey.of({
      due: (now, limit) => read(during("due"), (sql) => sql(DUE).all(now, limit).map(rowOf)),
      waiting: (before, after, limit) =>
        read(during("waiting"), (sql) =>
          sql(WAITING)
            .all(after ?? "", before, limit)
            .map(rowOf)
        ),
      orphans: (limit) => read(during("orphans"), (sql) => sql(ORPHANS).all(limit).map(rowOf)),
      lanes: read(during("lanes"), (sql) =>
        sql(LANES)
          .all()
          .map((stored) => ({
            lane: decodeLane(String(stored["lane"])),
            waiting: Number(stored["waiting"]),
            oldestAt: Number(stored["oldest"])
          }))
      ),
      open: (namespaceId) => read(during("open"), (sql) => findAccount(sql, namespaceId)?.openJobs ?? 0)
    })
  })
)
