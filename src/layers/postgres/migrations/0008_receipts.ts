/** Leaves of receipts, closed hours with the blocks of their trees, and the network's public keys. Hashes say nothing of what they were made from. */
import { appendOnly, type Migration } from "./Migration.ts"

export const receipts: Migration = {
  name: "receipts",
  statements: [
    `CREATE INDEX job_ended ON job (finished_at, id) WHERE finished_at IS NOT NULL`,
    `CREATE TABLE receipt_leaf (
  job_id text COLLATE "C" PRIMARY KEY,
  hour bigint NOT NULL,
  hash text NOT NULL CHECK (length(hash) = 64),
  blind text NOT NULL CHECK (length(blind) = 64)
)`,
    `CREATE INDEX receipt_leaf_of_hour ON receipt_leaf (hour, job_id)`,
    ...appendOnly("receipt_leaf"),
    `CREATE TABLE receipt_root (
  number bigint PRIMARY KEY CHECK (number >= 1),
  hour bigint NOT NULL UNIQUE,
  body text NOT NULL
)`,
    ...appendOnly("receipt_root"),
    `CREATE TABLE receipt_block (
  hour bigint NOT NULL,
  block integer NOT NULL,
  first_job_id text COLLATE "C" NOT NULL,
  hash text NOT NULL,
  PRIMARY KEY (hour, block)
)`,
    `CREATE TABLE network_key (
  id text COLLATE "C" PRIMARY KEY,
  public_key text NOT NULL,
  since bigint NOT NULL
)`,
    `CREATE TABLE network_key_use (
  daemon_id text COLLATE "C" PRIMARY KEY,
  key_id text COLLATE "C" NOT NULL REFERENCES network_key (id)
)`
  ]
}
