/** The steps of the schema, in order; a step's number is its place, from 1. A step that was ever released is never edited. */
import { identities } from "./0001_identities.ts"
import { jobs } from "./0002_jobs.ts"
import { jobMoves } from "./0003_job_moves.ts"
import { webhooks } from "./0004_webhooks.ts"
import { receipts } from "./0006_receipts.ts"
import type { Migration } from "./Migration.ts"

export type { Migration } from "./Migration.ts"

export const migrations: ReadonlyArray<Migration> = [identities, jobs, jobMoves, webhooks, receipts]
