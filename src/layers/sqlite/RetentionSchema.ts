/**
 * What lets bodies leave before their metadata: the stone in their place and what a mark is for; marks on entries of no job and on incidents; and orders
 * of erasure with their signed stones, which stay.
 */
import { ENDED, MAY_LEAVE } from "./RecordsSchema.ts"

const records = `
ALTER TABLE record ADD COLUMN tombstone TEXT CHECK (tombstone IS NULL OR json_valid(tombstone));
ALTER TABLE record ADD COLUMN leaves_as TEXT;
DROP INDEX record_leaving;
CREATE INDEX record_leaving ON record (namespace_id, finished_at, job_id) WHERE ${MAY_LEAVE} AND tombstone IS NULL;
CREATE INDEX record_stripped ON record (namespace_id, finished_at, job_id) WHERE ${MAY_LEAVE} AND tombstone IS NOT NULL;
CREATE INDEX record_held ON record (namespace_id, finished_at, job_id) WHERE segment_id IS NULL AND held = 1 AND ${ENDED};
`

const entries = `
ALTER TABLE log ADD COLUMN segment_id TEXT;
CREATE INDEX log_marked ON log (segment_id, at, number) WHERE segment_id IS NOT NULL;
ALTER TABLE incident ADD COLUMN segment_id TEXT;
CREATE INDEX incident_marked ON incident (segment_id, at, id) WHERE segment_id IS NOT NULL;
`

const erasures = `
CREATE TABLE erasure (
  id TEXT PRIMARY KEY,
  namespace_id TEXT NOT NULL,
  job_id TEXT,
  client_tag TEXT,
  asked_by TEXT NOT NULL,
  reason TEXT NOT NULL,
  asked_at INTEGER NOT NULL,
  cursor TEXT,
  erased INTEGER NOT NULL CHECK (erased >= 0),
  refused INTEGER NOT NULL CHECK (refused >= 0),
  done_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX erasure_open ON erasure (asked_at, id) WHERE done_at IS NULL;
CREATE INDEX erasure_by_time ON erasure (asked_at, id);
CREATE TABLE erasure_stone (
  job_id TEXT PRIMARY KEY,
  body TEXT NOT NULL CHECK (json_valid(body))
) STRICT, WITHOUT ROWID;
`

export const retentionSchema = [records, entries, erasures].join("\n")
