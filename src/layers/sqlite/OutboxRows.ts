/** Outbox rows inside a transaction of their caller: the promise of a message is as durable as the change that it tells. */
import type { JobId } from "../../schemas/Ids.ts"
import type { OutboxRow } from "../Outbox.ts"
import type { Sql } from "./Statements.ts"

/** The relay takes the row at `dueAt` at the earliest. One id twice is one row: the first. */
export const putOutboxRow = (sql: Sql, row: OutboxRow, dueAt: number): void => {
  sql(
    "INSERT INTO outbox (id, target, envelope, job_id, created_at, due_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
  ).run(
    row.id,
    JSON.stringify(row.target),
    JSON.stringify(row.envelope),
    announcedJob(row),
    row.createdAt,
    Math.max(row.createdAt, dueAt)
  )
}

const announcedJob = ({ target, envelope }: OutboxRow): JobId | null =>
  target._tag === "Lane" && envelope.message._tag === "JobQueued" ? envelope.message.jobId : null
