/**
 * Where operators want to hear of incidents, and what is on its way there. The secret stands sealed by the network's key where that is the same for all
 * daemons. Else, and when an earlier version stored it, it stands as it is, and whoever may read this table may sign with it in our name.
 */
import type { Migration } from "./Migration.ts"

export const webhooks: Migration = {
  name: "webhooks",
  statements: [
    `CREATE TABLE webhook (
  id text COLLATE "C" PRIMARY KEY,
  url text COLLATE "C" NOT NULL UNIQUE,
  secret text NOT NULL,
  description text NOT NULL,
  kinds text NOT NULL,
  severities text NOT NULL,
  created_at bigint NOT NULL,
  since bigint NOT NULL,
  disabled_at bigint,
  disabled_for text CHECK (disabled_for IN ('operator', 'gone', 'failing', 'overflow')),
  failures integer NOT NULL CHECK (failures >= 0),
  failing_since bigint,
  delivered_at bigint,
  CHECK ((disabled_at IS NULL) = (disabled_for IS NULL)),
  CHECK ((failures = 0) = (failing_since IS NULL))
)`,
    `CREATE TABLE notice (
  id text COLLATE "C" PRIMARY KEY,
  webhook_id text COLLATE "C" NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
  type text NOT NULL CHECK (type IN ('incident.opened', 'webhook.test')),
  incident_id text,
  body text NOT NULL,
  created_at bigint NOT NULL,
  state text NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
  attempts integer NOT NULL CHECK (attempts >= 0),
  due_at bigint NOT NULL,
  done_at bigint,
  last_error text,
  CHECK ((state = 'pending') = (done_at IS NULL))
)`,
    `CREATE INDEX notice_due ON notice (webhook_id, due_at, id) WHERE state = 'pending'`,
    `CREATE INDEX notice_by_age ON notice (webhook_id, created_at DESC, id DESC)`,
    `CREATE INDEX notice_done ON notice (done_at) WHERE done_at IS NOT NULL`
  ]
}
