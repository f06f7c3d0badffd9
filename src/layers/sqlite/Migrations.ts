/**
 * The tables of the embedded back ends, as numbered steps that only go forward. All missing steps run in one transaction, so a database has
 * either the old shape or the new one. A step that was ever released is never edited: the next change is a new step.
 */
import type { DatabaseSync } from "node:sqlite"
import { episodesSchema } from "./EpisodesSchema.ts"
import { feedbackSchema } from "./FeedbackSchema.ts"
import { jobRowsSchema } from "./JobRowsSchema.ts"
import { qualitySchema } from "./QualitySchema.ts"
import { recordsSchema, servicesSchema } from "./RecordsSchema.ts"
import { rollupsSchema } from "./RollupsSchema.ts"
import { searchSchema } from "./SearchSchema.ts"
import { DatabaseNewer } from "./SqliteErrors.ts"
import { retentionSchema } from "./RetentionSchema.ts"
import { receiptsSchema } from "./ReceiptsSchema.ts"
import { stateSchema } from "./StateSchema.ts"
import { webhooksSchema } from "./WebhooksSchema.ts"

export interface Migration {
  readonly name: string
  readonly sql: string
}

const generations = `
ALTER TABLE record ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN generation INTEGER NOT NULL DEFAULT 1;
`

/** In order; a step's number is its place, from 1. */
export const migrations: ReadonlyArray<Migration> = [
  { name: "state", sql: stateSchema },
  { name: "records", sql: recordsSchema },
  { name: "epochs of records, generations of nodes", sql: generations },
  { name: "webhooks", sql: webhooksSchema },
  { name: "rollups", sql: rollupsSchema },
  { name: "episodes and what detectors ask", sql: episodesSchema },
  { name: "feedback by time", sql: feedbackSchema },
  { name: "times of jobs, logs by type", sql: searchSchema },
  { name: "bodies that leave first, erasures", sql: retentionSchema },
  { name: "receipts", sql: receiptsSchema },
  { name: "quality", sql: qualitySchema },
  { name: "jobs by service", sql: servicesSchema },
  { name: "rows of jobs that leave", sql: jobRowsSchema }
]

const TABLE = `CREATE TABLE IF NOT EXISTS migration (
  number INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  applied_at INTEGER NOT NULL
) STRICT`

/** Brings the database to the last of `steps`. Answers `DatabaseNewer`, having changed nothing, when it is beyond that. */
export const migrate = (
  db: DatabaseSync,
  at: number,
  steps: ReadonlyArray<Migration> = migrations
): DatabaseNewer | null => {
  db.exec("BEGIN IMMEDIATE")
  try {
    db.exec(TABLE)
    const found = Number(db.prepare("SELECT coalesce(max(number), 0) AS number FROM migration").get()?.["number"])
    if (found > steps.length) {
      db.exec("ROLLBACK")
      return new DatabaseNewer({ found, known: steps.length })
    }
    const record = db.prepare("INSERT INTO migration (number, name, applied_at) VALUES (?, ?, ?)")
    for (const [index, step] of steps.entries()) {
      if (index < found) continue
      db.exec(step.sql)
      record.run(index + 1, step.name, at)
    }
    db.exec("COMMIT")
    return null
  } catch (cause) {
    if (db.isTransaction) db.exec("ROLLBACK")
    throw cause
  }
}
