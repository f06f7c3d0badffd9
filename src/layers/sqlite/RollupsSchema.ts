/**
 * The tables of rollups. Amounts stand as decimal text: sums may be more than 64 bits hold, and none is added up by the database. A place is how far a namespace's
 * entries were taken, by credits (`seq`) and by jobs (`jobs_seq`), and what the namespace had then.
 */
export const rollupsSchema = `
CREATE TABLE rollup_progress (
  definition TEXT PRIMARY KEY CHECK (definition IN ('credits', 'jobs', 'accounts')),
  closed_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO rollup_progress (definition, closed_until) VALUES ('credits', 0), ('jobs', 0), ('accounts', 0);

CREATE TABLE rollup_place (
  namespace_id TEXT PRIMARY KEY REFERENCES namespace (id),
  seq INTEGER NOT NULL,
  jobs_seq INTEGER NOT NULL CHECK (jobs_seq <= seq),
  period INTEGER NOT NULL,
  granted TEXT NOT NULL,
  available TEXT NOT NULL,
  reserved TEXT NOT NULL,
  spent TEXT NOT NULL,
  open_jobs INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE rollup_credits (
  period INTEGER NOT NULL,
  namespace_id TEXT NOT NULL,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL CHECK (last_seq >= first_seq),
  opened INTEGER NOT NULL,
  ended INTEGER NOT NULL,
  granted TEXT NOT NULL,
  reserved TEXT NOT NULL,
  settled TEXT NOT NULL,
  refunded TEXT NOT NULL,
  granted_at_end TEXT NOT NULL,
  available_at_end TEXT NOT NULL,
  reserved_at_end TEXT NOT NULL,
  spent_at_end TEXT NOT NULL,
  open_jobs_at_end INTEGER NOT NULL,
  PRIMARY KEY (period, namespace_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX rollup_credits_of_namespace ON rollup_credits (namespace_id, period);
CREATE INDEX rollup_credits_of_entry ON rollup_credits (namespace_id, last_seq);

CREATE TABLE rollup_jobs (
  period INTEGER NOT NULL,
  key TEXT NOT NULL,
  environment TEXT NOT NULL,
  namespace_id TEXT NOT NULL,
  model TEXT NOT NULL,
  mode TEXT NOT NULL,
  state TEXT NOT NULL,
  jobs INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cost TEXT NOT NULL,
  total_ms INTEGER NOT NULL,
  started INTEGER NOT NULL,
  queue_ms INTEGER NOT NULL,
  PRIMARY KEY (period, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX rollup_jobs_of_namespace ON rollup_jobs (namespace_id, period);

CREATE TABLE rollup_accounts (
  period INTEGER NOT NULL,
  environment TEXT NOT NULL,
  namespaces INTEGER NOT NULL,
  keys INTEGER NOT NULL,
  open_jobs INTEGER NOT NULL,
  granted TEXT NOT NULL,
  available TEXT NOT NULL,
  reserved TEXT NOT NULL,
  spent TEXT NOT NULL,
  PRIMARY KEY (period, environment)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollup_day (
  day INTEGER PRIMARY KEY,
  segments TEXT NOT NULL CHECK (json_valid(segments)),
  rows INTEGER NOT NULL,
  at INTEGER NOT NULL
) STRICT;
`
