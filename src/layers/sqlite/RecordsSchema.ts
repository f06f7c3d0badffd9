/**
 * The tables of records, traces, logs and incidents. The large texts (input, output) have tables of their own, because SQLite rewrites a whole
 * row when one column changes. Free text stands as JSON text, quotes included: raw text would not bring lone surrogates back.
 */
import { type Facet, FACETS, NULLABLE } from "../JobSearch.ts"

/** Ended for good. The indexes and the statements must say this in the same words, or SQLite does not use the one for the other. */
export const ENDED = "finished_at IS NOT NULL AND state NOT IN ('queued', 'active')"
/** What retention may take. */
export const MAY_LEAVE = `segment_id IS NULL AND held = 0 AND ${ENDED}`
/** What is compared with the deciding store. */
export const UNFINISHED = "completeness = 'open' AND state IN ('queued', 'active')"

/** The column of a facet: `clientTag` stands in `client_tag`. */
export const columnOf = (facet: Facet): string => facet.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** Asked for since a later step, which made its indexes. */
const LATER: ReadonlySet<Facet> = new Set<Facet>(["service"])

export const facetIndex = (facet: Facet | null, byNamespace: boolean): string =>
  `record_by_${byNamespace ? "namespace_" : ""}${facet === null ? "time" : columnOf(facet)}`

/** For one namespace, and for all. */
const facetIndexes = (facet: Facet | null): string =>
  [true, false]
    .map((byNamespace) => {
      const columns = [
        ...(byNamespace ? ["namespace_id"] : []),
        ...(facet === null ? [] : [columnOf(facet)]),
        "created_at",
        "job_id"
      ]
      const where = facet !== null && NULLABLE.has(facet) ? ` WHERE ${columnOf(facet)} IS NOT NULL` : ""
      return `CREATE INDEX ${facetIndex(facet, byNamespace)} ON record (${columns.join(", ")})${where};`
    })
    .join("\n")

const searchIndexes = [null, ...FACETS.filter((facet) => !LATER.has(facet))].map(facetIndexes).join("\n")

export const servicesSchema = facetIndexes("service")

const records = `
CREATE TABLE record (
  number INTEGER PRIMARY KEY,
  job_id TEXT NOT NULL UNIQUE,
  namespace_id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  state TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  finished_at INTEGER,
  endpoint TEXT NOT NULL,
  mode TEXT NOT NULL,
  model TEXT NOT NULL,
  node_id TEXT,
  client_tag TEXT,
  error_code TEXT,
  priority TEXT NOT NULL,
  completeness TEXT NOT NULL,
  held INTEGER NOT NULL CHECK (held IN (0, 1)),
  prompt_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  total_ms INTEGER,
  cost INTEGER,
  segment_id TEXT,
  logs_seen INTEGER,
  version INTEGER NOT NULL,
  service TEXT NOT NULL,
  environment TEXT NOT NULL,
  truncated_reason TEXT,
  constraints TEXT NOT NULL,
  evaluation TEXT NOT NULL,
  system TEXT NOT NULL,
  workflow TEXT,
  routing TEXT NOT NULL,
  moments TEXT NOT NULL,
  CHECK ((segment_id IS NULL) = (logs_seen IS NULL))
) STRICT;
CREATE TABLE record_input (
  number INTEGER PRIMARY KEY REFERENCES record ON DELETE CASCADE,
  body TEXT NOT NULL
) STRICT;
CREATE TABLE record_output (
  number INTEGER PRIMARY KEY REFERENCES record ON DELETE CASCADE,
  body TEXT NOT NULL
) STRICT;
CREATE TABLE record_tally (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  pruned INTEGER NOT NULL
) STRICT;
INSERT INTO record_tally (one, pruned) VALUES (1, 0);
CREATE INDEX record_unfinished ON record (created_at, job_id) WHERE ${UNFINISHED};
CREATE INDEX record_leaving ON record (namespace_id, finished_at, job_id) WHERE ${MAY_LEAVE};
CREATE INDEX record_marked ON record (segment_id, finished_at, job_id) WHERE segment_id IS NOT NULL;
`

/** A chunk holds the pieces of one batch, so a stream costs one row a batch and not one a token. */
const traces = `
CREATE TABLE trace (
  job_id TEXT PRIMARY KEY,
  epoch INTEGER NOT NULL,
  last_seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE trace_chunk (
  number INTEGER PRIMARY KEY,
  job_id TEXT NOT NULL,
  last_seq INTEGER NOT NULL,
  first_seq INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX trace_chunk_by_job ON trace_chunk (job_id, last_seq, first_seq);
`

/** AUTOINCREMENT, so that no number is used twice: a mark remembers the newest entry that it saw by its number. */
const logs = `
CREATE TABLE log (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  namespace_id TEXT NOT NULL,
  type TEXT NOT NULL,
  at INTEGER NOT NULL,
  job_id TEXT,
  entry TEXT NOT NULL
) STRICT;
CREATE INDEX log_by_time ON log (at);
CREATE INDEX log_by_namespace_time ON log (namespace_id, at);
CREATE INDEX log_by_namespace_type ON log (namespace_id, type, at);
CREATE INDEX log_by_job ON log (job_id, at) WHERE job_id IS NOT NULL;
`

const incidents = `
CREATE TABLE incident (
  id TEXT PRIMARY KEY,
  namespace_id TEXT,
  kind TEXT NOT NULL,
  type TEXT NOT NULL,
  subject TEXT NOT NULL,
  at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX incident_by_time ON incident (at, id);
CREATE INDEX incident_by_namespace ON incident (namespace_id, at, id) WHERE namespace_id IS NOT NULL;
CREATE INDEX incident_by_kind ON incident (kind, at, id);
CREATE INDEX incident_by_type ON incident (type, at, id);
CREATE INDEX incident_by_subject ON incident (subject, at, id);
`

export const recordsSchema = [records, searchIndexes, traces, logs, incidents].join("\n")
