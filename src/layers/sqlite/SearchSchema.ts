/**
 * What searching, counting and exporting need besides the first tables: how long a job waited and how long its first token took, as columns of their
 * own, the log of all namespaces by type, and jobs in the order of their ends.
 */
export const searchSchema = `
ALTER TABLE record ADD COLUMN queue_ms INTEGER;
ALTER TABLE record ADD COLUMN first_token_ms INTEGER;
UPDATE record SET queue_ms = json_extract(system, '$.queueMs'), first_token_ms = json_extract(system, '$.firstTokenMs');
CREATE INDEX log_by_type ON log (type, at);
CREATE INDEX record_by_finished ON record (finished_at, job_id) WHERE finished_at IS NOT NULL;
`
