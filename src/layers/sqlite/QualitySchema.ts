/** The tables of evaluation sets, trials, evidence and standings. Whole things stand as JSON text beside the columns that are searched. */
export const qualitySchema = `
CREATE TABLE evaluation_set (
  id TEXT NOT NULL,
  version INTEGER NOT NULL CHECK (version > 0),
  line TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE trial (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('planned', 'running', 'passed', 'failed', 'void')),
  node_id TEXT NOT NULL,
  model TEXT NOT NULL,
  set_id TEXT,
  planned_at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX trial_by_time ON trial (planned_at, id);
CREATE INDEX trial_by_node ON trial (node_id, planned_at, id);
CREATE INDEX trial_by_set ON trial (set_id, planned_at, id) WHERE set_id IS NOT NULL;
CREATE INDEX trial_open ON trial (planned_at, id) WHERE state IN ('planned', 'running');

CREATE TABLE evidence (
  id TEXT PRIMARY KEY,
  node_id TEXT NOT NULL,
  model TEXT NOT NULL,
  source TEXT NOT NULL CHECK (source IN ('trials', 'checks')),
  at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX evidence_of_pair ON evidence (node_id, model, source, at, id);
CREATE INDEX evidence_by_time ON evidence (at, id);

CREATE TABLE standing (
  node_id TEXT NOT NULL,
  model TEXT NOT NULL,
  rev INTEGER NOT NULL,
  scored_rev INTEGER NOT NULL,
  score TEXT,
  PRIMARY KEY (node_id, model)
) STRICT, WITHOUT ROWID;
CREATE INDEX standing_pending ON standing (node_id, model) WHERE rev > scored_rev;
`
