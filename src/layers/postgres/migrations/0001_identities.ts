/**
 * Who asks, who serves, who acts, and by which rules: everything that jobs refer to. Free text (names, labels, reasons, profiles) stands as JSON text,
 * because text of PostgreSQL holds neither NUL nor lone surrogates; ids and closed words are plain.
 */
import { appendOnly, type Migration } from "./Migration.ts"

const payers = [
  `CREATE TABLE namespace (
  id text COLLATE "C" PRIMARY KEY,
  name text COLLATE "C" NOT NULL,
  environment text NOT NULL CHECK (environment IN ('testnet', 'mainnet')),
  rules text NOT NULL,
  created_at bigint NOT NULL,
  UNIQUE (environment, name)
)`,
  `CREATE TABLE api_key (
  id text COLLATE "C" PRIMARY KEY,
  namespace_id text COLLATE "C" NOT NULL REFERENCES namespace (id),
  digest text COLLATE "C" NOT NULL UNIQUE,
  label text NOT NULL,
  prefix text NOT NULL,
  rate_per_second double precision NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint,
  revoked_at bigint
)`,
  `CREATE INDEX api_key_by_age ON api_key (created_at DESC, id DESC)`,
  `CREATE INDEX api_key_of_namespace ON api_key (namespace_id, created_at DESC, id DESC)`
]

const daemons = [
  // beat_at is what the daemon's clock said; heard_at what the clock of this server said then, which alone tells how long it is silent.
  `CREATE TABLE daemon (
  id text COLLATE "C" PRIMARY KEY,
  started_at bigint NOT NULL,
  beat_at bigint NOT NULL,
  heard_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  lock_key bigint NOT NULL,
  state text NOT NULL CHECK (state IN ('live', 'left', 'dead'))
)`,
  `CREATE INDEX daemon_live ON daemon (beat_at) WHERE state = 'live'`
]

const nodes = [
  `CREATE TABLE node (
  id text COLLATE "C" PRIMARY KEY,
  environment text NOT NULL CHECK (environment IN ('testnet', 'mainnet')),
  profile text NOT NULL,
  lifecycle text NOT NULL CHECK (lifecycle IN ('registering', 'testing', 'active', 'draining', 'retired')),
  generation bigint NOT NULL CHECK (generation >= 1),
  registered_at bigint NOT NULL,
  last_seen_at bigint NOT NULL
)`,
  `CREATE TABLE node_restriction (
  node_id text COLLATE "C" NOT NULL REFERENCES node (id),
  kind text NOT NULL CHECK (kind IN ('paused', 'frozen', 'shadow_banned', 'cooldown', 'quarantined', 'maintenance')),
  reason text NOT NULL,
  by text NOT NULL,
  since bigint NOT NULL,
  until bigint,
  PRIMARY KEY (node_id, kind)
)`,
  `CREATE TABLE node_restriction_history (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  node_id text COLLATE "C" NOT NULL REFERENCES node (id),
  kind text NOT NULL,
  change text NOT NULL CHECK (change IN ('set', 'lifted')),
  reason text NOT NULL,
  by text NOT NULL,
  until bigint,
  at bigint NOT NULL
)`,
  `CREATE INDEX node_restriction_history_of_node ON node_restriction_history (node_id, seq)`,
  `CREATE TABLE model (
  environment text NOT NULL CHECK (environment IN ('testnet', 'mainnet')),
  name text COLLATE "C" NOT NULL,
  endpoints text[] NOT NULL,
  first_seen_at bigint NOT NULL,
  PRIMARY KEY (environment, name)
)`
]

const upkeep = [
  `CREATE TABLE config_version (
  version integer PRIMARY KEY CHECK (version >= 1),
  digest text NOT NULL,
  settings text NOT NULL,
  by text NOT NULL,
  reason text NOT NULL,
  at bigint NOT NULL
)`,
  `CREATE TABLE sweeper_state (
  name text COLLATE "C" PRIMARY KEY,
  leader text COLLATE "C",
  epoch bigint NOT NULL CHECK (epoch >= 1),
  watermark text NOT NULL,
  swept_at bigint,
  swept bigint NOT NULL CHECK (swept >= 0),
  last_error text
)`,
  `CREATE TABLE audit (
  seq bigint PRIMARY KEY CHECK (seq >= 1),
  actor text NOT NULL,
  action text NOT NULL,
  subject text NOT NULL,
  reason text NOT NULL,
  detail text NOT NULL,
  at bigint NOT NULL,
  hash text NOT NULL
)`
]

export const identities: Migration = {
  name: "identities",
  statements: [
    ...payers,
    ...daemons,
    ...nodes,
    ...upkeep,
    ...["node_restriction_history", "config_version", "audit"].flatMap(appendOnly)
  ]
}
