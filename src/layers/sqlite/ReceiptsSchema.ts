/**
 * What receipts need: three columns of a record, which jobs ended when, a leaf for each receipt, and the closed hours with the blocks of their trees. A
 * hash says nothing of what it was made from, so none of this is secret.
 */
export const receiptsSchema = `
ALTER TABLE record ADD COLUMN salt TEXT;
ALTER TABLE record ADD COLUMN node_proof TEXT;
ALTER TABLE record ADD COLUMN receipt TEXT;

CREATE INDEX job_ended ON job (finished_at, id) WHERE finished_at IS NOT NULL;

CREATE TABLE receipt_leaf (
  job_id TEXT PRIMARY KEY,
  hour INTEGER NOT NULL,
  hash TEXT NOT NULL CHECK (length(hash) = 64),
  blind TEXT NOT NULL CHECK (length(blind) = 64)
) STRICT, WITHOUT ROWID;
CREATE INDEX receipt_leaf_of_hour ON receipt_leaf (hour, job_id);

CREATE TABLE receipt_root (
  number INTEGER PRIMARY KEY CHECK (number >= 1),
  hour INTEGER NOT NULL UNIQUE,
  body TEXT NOT NULL CHECK (json_valid(body))
) STRICT;

CREATE TABLE receipt_block (
  hour INTEGER NOT NULL,
  block INTEGER NOT NULL,
  first_job_id TEXT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (hour, block)
) STRICT, WITHOUT ROWID;

CREATE TABLE network_key (
  id TEXT PRIMARY KEY,
  public_key TEXT NOT NULL,
  since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE network_key_use (
  daemon_id TEXT PRIMARY KEY,
  key_id TEXT NOT NULL REFERENCES network_key (id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER receipt_leaf_keeps BEFORE UPDATE ON receipt_leaf BEGIN SELECT RAISE(ABORT, 'receipt_leaf is append-only'); END;
CREATE TRIGGER receipt_root_keeps BEFORE UPDATE ON receipt_root BEGIN SELECT RAISE(ABORT, 'receipt_root is append-only'); END;
CREATE TRIGGER receipt_root_stays BEFORE DELETE ON receipt_root BEGIN SELECT RAISE(ABORT, 'receipt_root is append-only'); END;
`
