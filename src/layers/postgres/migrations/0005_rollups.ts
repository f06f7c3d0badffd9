/**
 * Aggregates by UTC hour, and how far each definition came. Sums are numeric, because they may be more than 64 bits hold. A place is how far a namespace's entries
 * were taken, by credits (`seq`) and by jobs (`jobs_seq`), and what the namespace had then.
 */
import type { Migration } from "./Migration.ts"

const progress = [
  `CREATE TABLE rollup_progress (
  definition text PRIMARY KEY CHECK (definition IN ('credits', 'jobs', 'accounts')),
  closed_until bigint NOT NULL
)`,
  `INSERT INTO rollup_progress (definition, closed_until) VALUES ('credits', 0), ('jobs', 0), ('accounts', 0)`,
  `CREATE TABLE rollup_place (
  namespace_id text COLLATE "C" PRIMARY KEY REFERENCES namespace (id),
  seq bigint NOT NULL,
  jobs_seq bigint NOT NULL CHECK (jobs_seq <= seq),
  period bigint NOT NULL,
  granted bigint NOT NULL,
  available bigint NOT NULL,
  reserved bigint NOT NULL,
  spent bigint NOT NULL,
  open_jobs bigint NOT NULL,
  CHECK (available + reserved + spent = granted)
) WITH (fillfactor = 50)`,
  `CREATE INDEX rollup_place_behind ON rollup_place (namespace_id) WHERE jobs_seq < seq`
]

const rows = [
  `CREATE TABLE rollup_credits (
  period bigint NOT NULL,
  namespace_id text COLLATE "C" NOT NULL,
  first_seq bigint NOT NULL,
  last_seq bigint NOT NULL CHECK (last_seq >= first_seq),
  opened bigint NOT NULL,
  ended bigint NOT NULL,
  granted numeric NOT NULL,
  reserved numeric NOT NULL,
  settled numeric NOT NULL,
  refunded numeric NOT NULL,
  granted_at_end numeric NOT NULL,
  available_at_end numeric NOT NULL,
  reserved_at_end numeric NOT NULL,
  spent_at_end numeric NOT NULL,
  open_jobs_at_end bigint NOT NULL,
  PRIMARY KEY (period, namespace_id),
  CHECK (available_at_end + reserved_at_end + spent_at_end = granted_at_end)
)`,
  `CREATE INDEX rollup_credits_of_namespace ON rollup_credits (namespace_id, period)`,
  `CREATE INDEX rollup_credits_of_entry ON rollup_credits (namespace_id, last_seq)`,
  `CREATE TABLE rollup_jobs (
  period bigint NOT NULL,
  key text COLLATE "C" NOT NULL,
  environment text NOT NULL CHECK (environment IN ('testnet', 'mainnet')),
  namespace_id text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  mode text NOT NULL,
  state text NOT NULL CHECK (state IN ('completed', 'failed', 'timed_out', 'expired', 'cancelled')),
  jobs bigint NOT NULL,
  prompt_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  cost numeric NOT NULL,
  total_ms bigint NOT NULL,
  started bigint NOT NULL,
  queue_ms bigint NOT NULL,
  PRIMARY KEY (period, key)
)`,
  `CREATE INDEX rollup_jobs_of_namespace ON rollup_jobs (namespace_id, period)`,
  `CREATE TABLE rollup_accounts (
  period bigint NOT NULL,
  environment text COLLATE "C" NOT NULL CHECK (environment IN ('testnet', 'mainnet')),
  namespaces bigint NOT NULL,
  keys bigint NOT NULL,
  open_jobs bigint NOT NULL,
  granted numeric NOT NULL,
  available numeric NOT NULL,
  reserved numeric NOT NULL,
  spent numeric NOT NULL,
  PRIMARY KEY (period, environment),
  CHECK (available + reserved + spent = granted)
)`,
  `CREATE INDEX rollup_accounts_of_environment ON rollup_accounts (environment, period)`,
  // Days whose rows are in cold storage, or on their way there or back.
  `CREATE TABLE rollup_day (
  day bigint PRIMARY KEY,
  segments text NOT NULL,
  rows bigint NOT NULL,
  at bigint NOT NULL
)`
]

export const rollups: Migration = { name: "rollups", statements: [...progress, ...rows] }
