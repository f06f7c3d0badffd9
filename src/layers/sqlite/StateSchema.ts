/**
 * The tables of the deciding store: who pays, jobs with their history and credits, nodes, daemons, settings, audit. Amounts are whole
 * micro-credits in 64-bit INTEGER columns. What is history refuses UPDATE and DELETE, also from a shell. No column holds text of a request.
 */
const appendOnly = (table: string): string => `
CREATE TRIGGER ${table}_keeps BEFORE UPDATE ON ${table} BEGIN SELECT RAISE(ABORT, '${table} is append-only'); END;
CREATE TRIGGER ${table}_stays BEFORE DELETE ON ${table} BEGIN SELECT RAISE(ABORT, '${table} is append-only'); END;
`

const payers = `
CREATE TABLE namespace (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  environment TEXT NOT NULL CHECK (environment IN ('testnet', 'mainnet')),
  rules TEXT NOT NULL CHECK (json_valid(rules)),
  created_at INTEGER NOT NULL,
  UNIQUE (environment, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE api_key (
  id TEXT PRIMARY KEY,
  namespace_id TEXT NOT NULL REFERENCES namespace (id),
  digest TEXT NOT NULL UNIQUE,
  label TEXT NOT NULL,
  prefix TEXT NOT NULL,
  rate_per_second INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  revoked_at INTEGER
) STRICT;
CREATE INDEX api_key_by_age ON api_key (created_at, id);
CREATE INDEX api_key_of_namespace ON api_key (namespace_id, created_at, id);

-- One row a namespace. open_jobs stands here because admission reads and writes this row anyway.
CREATE TABLE credit_balance (
  namespace_id TEXT PRIMARY KEY REFERENCES namespace (id),
  granted INTEGER NOT NULL CHECK (granted >= 0),
  available INTEGER NOT NULL CHECK (available >= 0),
  reserved INTEGER NOT NULL CHECK (reserved >= 0),
  spent INTEGER NOT NULL CHECK (spent >= 0),
  open_jobs INTEGER NOT NULL CHECK (open_jobs >= 0),
  CHECK (available + reserved + spent = granted)
) STRICT, WITHOUT ROWID;
`

const jobs = `
CREATE TABLE daemon (
  id TEXT PRIMARY KEY,
  started_at INTEGER NOT NULL,
  beat_at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('live', 'left', 'dead'))
) STRICT, WITHOUT ROWID;
CREATE INDEX daemon_live ON daemon (beat_at) WHERE state = 'live';

-- facts: what never changes after admission, as JSON. The columns beside it are those that guards and indexes need.
CREATE TABLE job (
  id TEXT NOT NULL UNIQUE,
  namespace_id TEXT NOT NULL REFERENCES namespace (id),
  facts TEXT NOT NULL,
  lane TEXT NOT NULL,
  reserved INTEGER NOT NULL CHECK (reserved >= 0),
  accepted_at INTEGER NOT NULL,
  deadline_at INTEGER NOT NULL,
  state TEXT NOT NULL
    CHECK (state IN ('queued', 'active', 'completed', 'failed', 'timed_out', 'expired', 'cancelled')),
  owner TEXT REFERENCES daemon (id),
  epoch INTEGER NOT NULL CHECK (epoch >= 0),
  attempt INTEGER NOT NULL CHECK (attempt >= 0),
  failures INTEGER NOT NULL CHECK (failures >= 0),
  crashes INTEGER NOT NULL CHECK (crashes >= 0),
  node_id TEXT,
  run_at INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  charged INTEGER NOT NULL CHECK (charged BETWEEN 0 AND reserved),
  error_code TEXT,
  finished_at INTEGER,
  events INTEGER NOT NULL CHECK (events >= 1),
  CHECK ((state = 'active') = (owner IS NOT NULL)),
  CHECK ((state IN ('queued', 'active')) = (finished_at IS NULL))
) STRICT;
CREATE INDEX job_due ON job (deadline_at, id) WHERE finished_at IS NULL;
CREATE INDEX job_waiting ON job (id, run_at) WHERE state = 'queued';
CREATE INDEX job_lane ON job (lane, accepted_at) WHERE state = 'queued';
CREATE INDEX job_owned ON job (owner, id) WHERE state = 'active';

CREATE TABLE job_event (
  job_id TEXT NOT NULL REFERENCES job (id),
  seq INTEGER NOT NULL CHECK (seq >= 1),
  kind TEXT NOT NULL CHECK (kind IN ('admitted', 'claimed', 'adopted', 'released', 'finished')),
  from_state TEXT,
  to_state TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  daemon_id TEXT,
  node_id TEXT,
  code TEXT,
  at INTEGER NOT NULL,
  PRIMARY KEY (job_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE credit_entry (
  seq INTEGER PRIMARY KEY,
  namespace_id TEXT NOT NULL REFERENCES namespace (id),
  kind TEXT NOT NULL CHECK (kind IN ('grant', 'reserve', 'settle', 'refund')),
  amount INTEGER NOT NULL CHECK (amount >= 0),
  job_id TEXT REFERENCES job (id),
  reference TEXT,
  at INTEGER NOT NULL,
  CHECK ((kind = 'grant') = (job_id IS NULL)),
  CHECK ((kind = 'grant') = (reference IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX credit_entry_once ON credit_entry (job_id, kind) WHERE job_id IS NOT NULL;
CREATE UNIQUE INDEX credit_entry_grant ON credit_entry (namespace_id, reference) WHERE reference IS NOT NULL;
CREATE INDEX credit_entry_in_order ON credit_entry (namespace_id, seq);

CREATE TABLE idempotency_key (
  namespace_id TEXT NOT NULL,
  key TEXT NOT NULL,
  body_hash TEXT NOT NULL,
  job_id TEXT NOT NULL REFERENCES job (id),
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (namespace_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_key_expiry ON idempotency_key (expires_at);

-- job_id: the job that this row, to a lane, tells of; only such rows make a waiting job wait for the relay.
CREATE TABLE outbox (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  target TEXT NOT NULL,
  envelope TEXT NOT NULL,
  job_id TEXT,
  created_at INTEGER NOT NULL,
  due_at INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_due ON outbox (due_at, seq);
CREATE INDEX outbox_of_job ON outbox (job_id) WHERE job_id IS NOT NULL;
`

const network = `
CREATE TABLE node (
  id TEXT PRIMARY KEY,
  environment TEXT NOT NULL CHECK (environment IN ('testnet', 'mainnet')),
  profile TEXT NOT NULL CHECK (json_valid(profile)),
  lifecycle TEXT NOT NULL CHECK (lifecycle IN ('registering', 'testing', 'active', 'draining', 'retired')),
  registered_at INTEGER NOT NULL,
  last_seen_at INTEGER NOT NULL
) STRICT;

CREATE TABLE node_restriction (
  node_id TEXT NOT NULL REFERENCES node (id),
  kind TEXT NOT NULL
    CHECK (kind IN ('paused', 'frozen', 'shadow_banned', 'cooldown', 'quarantined', 'maintenance')),
  reason TEXT NOT NULL,
  by TEXT NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER,
  PRIMARY KEY (node_id, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE node_restriction_history (
  seq INTEGER PRIMARY KEY,
  node_id TEXT NOT NULL REFERENCES node (id),
  kind TEXT NOT NULL,
  change TEXT NOT NULL CHECK (change IN ('set', 'lifted')),
  reason TEXT NOT NULL,
  by TEXT NOT NULL,
  until INTEGER,
  at INTEGER NOT NULL
) STRICT;
CREATE INDEX node_restriction_history_of_node ON node_restriction_history (node_id, seq);

CREATE TABLE model (
  environment TEXT NOT NULL CHECK (environment IN ('testnet', 'mainnet')),
  name TEXT NOT NULL,
  endpoints TEXT NOT NULL CHECK (json_valid(endpoints)),
  first_seen_at INTEGER NOT NULL,
  PRIMARY KEY (environment, name)
) STRICT, WITHOUT ROWID;
`

const upkeep = `
CREATE TABLE config_version (
  version INTEGER PRIMARY KEY CHECK (version >= 1),
  digest TEXT NOT NULL,
  settings TEXT NOT NULL CHECK (json_valid(settings)),
  by TEXT NOT NULL,
  reason TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;

CREATE TABLE sweeper_state (
  name TEXT PRIMARY KEY,
  leader TEXT,
  epoch INTEGER NOT NULL,
  watermark TEXT NOT NULL CHECK (json_valid(watermark)),
  swept_at INTEGER,
  swept INTEGER NOT NULL CHECK (swept >= 0),
  last_error TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  reason TEXT NOT NULL,
  detail TEXT NOT NULL CHECK (json_valid(detail)),
  at INTEGER NOT NULL,
  hash TEXT NOT NULL
) STRICT;
`

/** Tables whose rows are written once. */
export const APPEND_ONLY: ReadonlyArray<string> = [
  "job_event",
  "credit_entry",
  "node_restriction_history",
  "config_version",
  "audit"
]

export const stateSchema = [payers, jobs, network, upkeep, ...APPEND_ONLY.map(appendOnly)].join("\n")
