/**
 * Incidents that last, and what detectors ask for: episodes of a type and subject by number, ends in their order, refused requests by key, and
 * finished jobs in the order of their ends.
 */

/** The indexes and the statements must say this in the same words, or SQLite does not use the one for the other. */
export const OPEN = "sightings IS NOT NULL AND closed_at IS NULL"
export const REFUSED_KEY = "kind = 'rejection' AND key_id IS NOT NULL"

export const episodesSchema = `
ALTER TABLE incident ADD COLUMN number INTEGER;
ALTER TABLE incident ADD COLUMN sightings INTEGER;
ALTER TABLE incident ADD COLUMN closed_at INTEGER;
ALTER TABLE incident ADD COLUMN key_id TEXT;
CREATE UNIQUE INDEX incident_by_number ON incident (type, subject, number) WHERE number IS NOT NULL;
CREATE INDEX incident_open_by_time ON incident (at, id) WHERE ${OPEN};
CREATE INDEX incident_by_end ON incident (closed_at, id) WHERE closed_at IS NOT NULL;
CREATE INDEX incident_by_refused_key ON incident (at, key_id, namespace_id, type) WHERE ${REFUSED_KEY};

CREATE TABLE closed_notice (
  id TEXT PRIMARY KEY,
  webhook_id TEXT NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
  type TEXT NOT NULL CHECK (type IN ('incident.opened', 'incident.closed', 'webhook.test')),
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
INSERT INTO closed_notice (id, webhook_id, type, incident_id, body, created_at, state, attempts, due_at, done_at, last_error)
  SELECT id, webhook_id, type, incident_id, body, created_at, state, attempts, due_at, done_at, last_error FROM notice;
DROP TABLE notice;
ALTER TABLE closed_notice RENAME TO notice;
CREATE INDEX notice_due ON notice (webhook_id, due_at, id) WHERE state = 'pending';
CREATE INDEX notice_by_age ON notice (webhook_id, created_at, id);
CREATE INDEX notice_done ON notice (done_at) WHERE done_at IS NOT NULL;
`
