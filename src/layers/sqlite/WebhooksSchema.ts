/**
 * The tables of webhooks and notices. The secret stands sealed by the network's key; that of an earlier version stands as it is. Free text stands
 * as JSON text, as everywhere.
 */
export const webhooksSchema = `
CREATE TABLE webhook (
  id TEXT PRIMARY KEY,
  url TEXT NOT NULL UNIQUE,
  secret TEXT NOT NULL,
  description TEXT NOT NULL,
  kinds TEXT NOT NULL CHECK (json_valid(kinds)),
  severities TEXT NOT NULL CHECK (json_valid(severities)),
  created_at INTEGER NOT NULL,
  since INTEGER NOT NULL,
  disabled_at INTEGER,
  disabled_for TEXT CHECK (disabled_for IN ('operator', 'gone', 'failing', 'overflow')),
  failures INTEGER NOT NULL CHECK (failures >= 0),
  failing_since INTEGER,
  delivered_at INTEGER,
  CHECK ((disabled_at IS NULL) = (disabled_for IS NULL)),
  CHECK ((failures = 0) = (failing_since IS NULL))
) STRICT;

CREATE TABLE notice (
  id TEXT PRIMARY KEY,
  webhook_id TEXT NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
  type TEXT NOT NULL CHECK (type IN ('incident.opened', 'webhook.test')),
  incident_id TEXT,
  body TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
  attempts INTEGER NOT NULL CHECK (attempts >= 0),
  due_at INTEGER NOT NULL,
  done_at INTEGER,
  last_error TEXT,
  CHECK ((state = 'pending') = (done_at IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX notice_due ON notice (webhook_id, due_at, id) WHERE state = 'pending';
CREATE INDEX notice_by_age ON notice (webhook_id, created_at, id);
CREATE INDEX notice_done ON notice (done_at) WHERE done_at IS NOT NULL;
`
