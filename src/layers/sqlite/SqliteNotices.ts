/** Notices in the embedded database. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { IncidentId, NoticeId, WebhookId } from "../../schemas/Ids.ts"
import type { Notice } from "../../schemas/Webhook.ts"
import { make, type NoticeReport, Notices, type PlannedNotice, type TakenNotice } from "../Notices.ts"
import { freeText } from "./RecordColumns.ts"
import { SqliteClient } from "./SqliteClient.ts"
import { findWebhook } from "./SqliteWebhooks.ts"
import type { Sql } from "./Statements.ts"

const during = (method: string) => ({ of: "Notices", method })

export const layer: Layer.Layer<Notices, never, SqliteClient> = Layer.effect(
  Notices,
  Effect.gen(function* () {
    const { read, write } = yield* SqliteClient
    return make({
      plan: (notices) => write(during("plan"), (sql) => Result.succeed(plan(sql, notices))),
      take: (webhookId, now, until, max) =>
        write(during("take"), (sql) => Result.succeed(take(sql, webhookId, now, until, max))),
      report: (report) => write(during("report"), (sql) => Result.succeed(settle(sql, report))),
      list: (webhookId, limit) => read(during("list"), (sql) => list(sql, webhookId, limit)),
      forget: (before, max) => write(during("forget"), (sql) => Result.succeed(forget(sql, before, max)))
    })
  })
)

const noticeOf = (stored: Record<string, unknown>): Notice => ({
  id: stored["id"] as NoticeId,
  webhookId: stored["webhook_id"] as WebhookId,
  type: stored["type"] as Notice["type"],
  incidentId: stored["incident_id"] as IncidentId | null,
  createdAt: stored["created_at"] as number,
  state: stored["state"] as Notice["state"],
  attempts: stored["attempts"] as number,
  dueAt: stored["due_at"] as number,
  doneAt: stored["done_at"] as number | null,
  lastError: stored["last_error"] === null ? null : (JSON.parse(stored["last_error"] as string) as string)
})

const plan = (sql: Sql, notices: ReadonlyArray<PlannedNotice>): number => {
  const insert = sql(`INSERT INTO notice (id, webhook_id, type, incident_id, body, created_at, state, attempts, due_at)
    SELECT :id, webhook.id, :type, :incident, :body, :at, 'pending', 0, :at FROM webhook WHERE webhook.id = :webhook
    ON CONFLICT (id) DO NOTHING`)
  let fresh = 0
  for (const { id, webhookId, type, incidentId, body, createdAt } of notices) {
    const { changes } = insert.run({ id, webhook: webhookId, type, incident: incidentId, body, at: createdAt })
    fresh += Number(changes)
  }
  return fresh
}

const take = (sql: Sql, webhookId: WebhookId, now: number, until: number, max: number): ReadonlyArray<TakenNotice> => {
  const webhook = findWebhook(sql, webhookId)
  if (webhook === null || webhook.disabledAt !== null) return []
  const due = sql(`SELECT * FROM notice WHERE webhook_id = ? AND state = 'pending' AND due_at <= ?
    ORDER BY due_at, id LIMIT max(?, 0)`).all(webhookId, now, max)
  if (due.length === 0) return []
  const stored = sql("SELECT secret FROM webhook WHERE id = ?").get(webhookId)
  const secret = Redacted.make(String(stored?.["secret"]))
  const mark = sql("UPDATE notice SET attempts = attempts + 1, due_at = ? WHERE id = ?")
  return due.map((row) => {
    const notice = noticeOf(row)
    mark.run(until, notice.id)
    const taken = { ...notice, attempts: notice.attempts + 1, dueAt: until }
    return { notice: taken, body: row["body"] as string, webhook, secret }
  })
}

const settle = (sql: Sql, report: NoticeReport): boolean => {
  const { id, attempt, outcome, at } = report
  const row = sql("SELECT * FROM notice WHERE id = ?").get(id)
  if (row === undefined) return false
  const { state, attempts, webhookId } = noticeOf(row)
  if (outcome._tag === "Delivered") {
    if (state === "delivered") return false
    sql("UPDATE notice SET state = 'delivered', done_at = ?, last_error = NULL WHERE id = ?").run(at, id)
    sql("UPDATE webhook SET failures = 0, failing_since = NULL, delivered_at = ? WHERE id = ?").run(at, webhookId)
    return true
  }
  if (state !== "pending" || attempts !== attempt) return false
  const error = freeText(outcome.error)
  if (outcome._tag === "Again") {
    sql("UPDATE notice SET due_at = ?, last_error = ? WHERE id = ?").run(outcome.dueAt, error, id)
  } else {
    sql("UPDATE notice SET state = 'failed', done_at = ?, last_error = ? WHERE id = ?").run(at, error, id)
  }
  blame(sql, webhookId, report)
  return true
}

const blame = (sql: Sql, webhookId: WebhookId, { counts, disableFor, at }: NoticeReport): void => {
  if (counts) {
    sql(`UPDATE webhook SET failures = failures + 1, failing_since = coalesce(failing_since, ?)
      WHERE id = ?`).run(at, webhookId)
  }
  if (disableFor === null) return
  sql(`UPDATE webhook SET disabled_at = ?, disabled_for = ? WHERE id = ? AND disabled_at IS NULL`).run(
    at,
    disableFor,
    webhookId
  )
}

const list = (sql: Sql, webhookId: WebhookId, limit: number): ReadonlyArray<Notice> =>
  sql("SELECT * FROM notice WHERE webhook_id = ? ORDER BY created_at DESC, id DESC LIMIT max(?, 0)")
    .all(webhookId, limit)
    .map(noticeOf)

const forget = (sql: Sql, before: number, max: number): number =>
  Number(
    sql(`DELETE FROM notice WHERE id IN (SELECT id FROM notice WHERE done_at < ? LIMIT max(?, 0))`).run(before, max)
      .changes
  )
