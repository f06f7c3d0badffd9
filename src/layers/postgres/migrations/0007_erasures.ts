/** Orders of erasure, and the signed stones that stay of what was erased. Neither holds text of a job. */
import type { Migration } from "./Migration.ts"

export const erasures: Migration = {
  name: "erasures",
  statements: [
    `CREATE TABLE erasure (
  id text COLLATE "C" PRIMARY KEY,
  namespace_id text COLLATE "C" NOT NULL,
  job_id text COLLATE "C",
  client_tag text,
  asked_by text NOT NULL,
  reason text NOT NULL,
  asked_at bigint NOT NULL,
  cursor text,
  erased bigint NOT NULL CHECK (erased >= 0),
  refused bigint NOT NULL CHECK (refused >= 0),
  done_at bigint
)`,
    `CREATE INDEX erasure_open ON erasure (asked_at, id) WHERE done_at IS NULL`,
    `CREATE INDEX erasure_by_time ON erasure (asked_at, id)`,
    `CREATE TABLE erasure_stone (
  job_id text COLLATE "C" PRIMARY KEY,
  body text NOT NULL
)`
  ]
}
