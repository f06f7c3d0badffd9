/** The steps of the schema, in order; a step's number is its place, from 1. A step that was ever released is never edited. */
import { identities } from "./0001_identities.ts"
import { jobs } from "./0002_jobs.ts"
import { jobMoves } from "./0003_job_moves.ts"
import { webhooks } from "./0004_webhooks.ts"
import { rollups } from "./0005_rollups.ts"
import { closedNotices } from "./0006_closed_notices.ts"
import { erasures } from "./0007_erasures.ts"
import { receipts } from "./0008_receipts.ts"
import { jobRows } from "./0009_job_rows.ts"
import { forgottenTags } from "./0010_forgotten_tags.ts"
import type { Migration } from "./Migration.ts"

export type { Migration } from "./Migration.ts"

export const migrations: ReadonlyArray<Migration> = [
  identities,
  jobs,
  jobMoves,
  webhooks,
  rollups,
  closedNotices,
  erasures,
  receipts,
  jobRows,
  forgottenTags
]
