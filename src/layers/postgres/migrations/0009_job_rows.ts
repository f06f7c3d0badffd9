/**
 * What lets rows of jobs leave. The history of a job goes with its marked row and in no other way: the daemon's role may still not delete it by itself, and the
 * function that does (as the owner of the tables) lets go of nothing that has not ended or that the rollups did not take.
 */
import { APPEND_ONLY, type Migration } from "./Migration.ts"

const stays = [
  `CREATE FUNCTION job_event_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM job_leaving WHERE job_id = OLD.job_id) THEN RETURN OLD; END IF;
  RAISE EXCEPTION 'job_event is append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$`,
  `DROP TRIGGER ${APPEND_ONLY} ON job_event`,
  `CREATE TRIGGER ${APPEND_ONLY} BEFORE UPDATE OR TRUNCATE ON job_event
  FOR EACH STATEMENT EXECUTE FUNCTION job_event_is_append_only()`,
  `CREATE TRIGGER stays_with_job BEFORE DELETE ON job_event FOR EACH ROW EXECUTE FUNCTION job_event_stays()`
]

const prune = `CREATE FUNCTION prune_jobs(segment text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE leaving text[]; pruned integer;
BEGIN
  leaving := ARRAY(
    SELECT job.id FROM job_leaving JOIN job ON job.id = job_leaving.job_id
    WHERE job_leaving.segment_id = segment AND job.finished_at IS NOT NULL AND EXISTS (
      SELECT FROM credit_entry AS entry JOIN rollup_place AS place ON place.namespace_id = entry.namespace_id
      WHERE entry.job_id = job.id AND entry.kind = 'settle' AND entry.seq <= place.jobs_seq OFFSET 0)
    ORDER BY job.id FOR UPDATE OF job);
  DELETE FROM job_event WHERE job_id = ANY (leaving);
  DELETE FROM idempotency_key WHERE job_id = ANY (leaving);
  DELETE FROM job_leaving WHERE job_id = ANY (leaving);
  DELETE FROM job WHERE id = ANY (leaving);
  GET DIAGNOSTICS pruned = ROW_COUNT;
  RETURN pruned;
END $$`

/** It means our tables, whatever the caller's search path is: without being named, the caller's temporary tables would come first. */
const ours = `DO $$
BEGIN
  EXECUTE format('ALTER FUNCTION prune_jobs(text) SET search_path = %I, pg_temp', current_schema());
END $$`

export const jobRows: Migration = {
  name: "rows of jobs that leave",
  statements: [
    `CREATE TABLE job_leaving (
  job_id text COLLATE "C" PRIMARY KEY REFERENCES job (id),
  segment_id text COLLATE "C" NOT NULL
)`,
    `CREATE INDEX job_leaving_of_segment ON job_leaving (segment_id, job_id)`,
    `CREATE INDEX idempotency_key_of_job ON idempotency_key (job_id)`,
    ...stays,
    prune,
    ours
  ]
}
