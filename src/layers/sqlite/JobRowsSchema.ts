/**
 * What lets rows of jobs leave: marks, and a ledger whose entries stand without them. SQLite drops no foreign key, so the table of entries is made again; nothing
 * refers to it. The history of a job goes with its marked row and in no other way.
 */
const marks = `
CREATE TABLE job_leaving (
  job_id TEXT PRIMARY KEY REFERENCES job (id),
  segment_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX job_leaving_of_segment ON job_leaving (segment_id, job_id);
CREATE INDEX idempotency_key_of_job ON idempotency_key (job_id);

DROP TRIGGER job_event_stays;
CREATE TRIGGER job_event_stays BEFORE DELETE ON job_event
WHEN NOT EXISTS (SELECT 1 FROM job_leaving WHERE job_id = OLD.job_id)
BEGIN SELECT RAISE(ABORT, 'job_event is append-only'); END;
`

const entries = `
CREATE TABLE lasting_entry (
  seq INTEGER PRIMARY KEY,
  namespace_id TEXT NOT NULL REFERENCES namespace (id),
  kind TEXT NOT NULL CHECK (kind IN ('grant', 'reserve', 'settle', 'refund')),
  amount INTEGER NOT NULL CHECK (amount >= 0),
  job_id TEXT,
  reference TEXT,
  at INTEGER NOT NULL,
  CHECK ((kind = 'grant') = (job_id IS NULL)),
  CHECK ((kind = 'grant') = (reference IS NOT NULL))
) STRICT;
INSERT INTO lasting_entry (seq, namespace_id, kind, amount, job_id, reference, at)
  SELECT seq, namespace_id, kind, amount, job_id, reference, at FROM credit_entry ORDER BY seq;
DROP TABLE credit_entry;
ALTER TABLE lasting_entry RENAME TO credit_entry;
CREATE UNIQUE INDEX credit_entry_once ON credit_entry (job_id, kind) WHERE job_id IS NOT NULL;
CREATE UNIQUE INDEX credit_entry_grant ON credit_entry (namespace_id, reference) WHERE reference IS NOT NULL;
CREATE INDEX credit_entry_in_order ON credit_entry (namespace_id, seq);
CREATE TRIGGER credit_entry_keeps BEFORE UPDATE ON credit_entry BEGIN SELECT RAISE(ABORT, 'credit_entry is append-only'); END;
CREATE TRIGGER credit_entry_stays BEFORE DELETE ON credit_entry BEGIN SELECT RAISE(ABORT, 'credit_entry is append-only'); END;
`

export const jobRowsSchema = [marks, entries].join("\n")
