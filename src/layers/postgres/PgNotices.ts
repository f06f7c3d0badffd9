/** Notices: one row each. Taking marks the rows in one statement, so two daemons never have the same one in hand. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { IncidentId, NoticeId, WebhookId } from "../../schemas/Ids.ts"
import type { Notice } from "../../schemas/Webhook.ts"
import { make, type NoticeReport, Notices, type PlannedNotice, type TakenNotice } from "../Notices.ts"
import { PgClient } from "./PgClient.ts"
import { freeText, fromFreeText, limited, maybeWhole, text, texts, whole, wholes } from "./PgValues.ts"
import { type StoredWebhook, WEBHOOK_COLUMNS, webhookOf } from "./PgWebhooks.ts"

const during = (method: string) => ({ of: "Notices", method })

interface StoredNotice {
  readonly id: NoticeId
  readonly webhook_id: WebhookId
  readonly type: Notice["type"]
  readonly incident_id: IncidentId | null
  readonly created_at: bigint
  readonly state: Notice["state"]
  readonly attempts: number
  readonly due_at: bigint
  readonly done_at: bigint | null
  readonly last_error: string | null
}

const noticeOf = (stored: StoredNotice): Notice => ({
  id: stored.id,
  webhookId: stored.webhook_id,
  type: stored.type,
  incidentId: stored.incident_id,
  createdAt: Number(stored.created_at),
  state: stored.state,
  attempts: stored.attempts,
  dueAt: Number(stored.due_at),
  doneAt: stored.done_at === null ? null : Number(stored.done_at),
  lastError: stored.last_error === null ? null : fromFreeText(stored.last_error)
})

const PLAN = `INSERT INTO notice (id, webhook_id, type, incident_id, body, created_at, state, attempts, due_at)
  SELECT planned.id, webhook.id, planned.type, planned.incident_id, planned.body, planned.at, 'pending', 0, planned.at
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
    AS planned (id, webhook_id, type, incident_id, body, at)
  JOIN webhook ON webhook.id = planned.webhook_id
  ON CONFLICT (id) DO NOTHING RETURNING id`

const plan = ({ query }: PgClient["Service"], notices: ReadonlyArray<PlannedNotice>) =>
  Effect.map(
    query(during("plan"), PLAN, [
      texts(notices.map(({ id }) => id)),
      texts(notices.map(({ webhookId }) => webhookId)),
      texts(notices.map(({ type }) => type)),
      texts(notices.map(({ incidentId }) => incidentId)),
      texts(notices.map(({ body }) => body)),
      wholes(notices.map(({ createdAt }) => createdAt))
    ]),
    (rows) => rows.length
  )

export const TAKE = `WITH due AS (
    SELECT notice.id AS due_id, notice.due_at AS was_due FROM notice
    WHERE webhook_id = $1 AND state = 'pending' AND due_at <= $2
      AND EXISTS (SELECT FROM webhook WHERE webhook.id = $1 AND disabled_at IS NULL)
    ORDER BY due_at, id LIMIT $4 FOR UPDATE SKIP LOCKED
  ), taken AS (
    UPDATE notice SET attempts = attempts + 1, due_at = $3 FROM due WHERE notice.id = due.due_id
    RETURNING notice.*, due.was_due
  )
  SELECT taken.id AS notice_id, taken.webhook_id, taken.type, taken.incident_id, taken.body, taken.created_at AS noticed_at, taken.state,
    taken.attempts, taken.due_at, taken.done_at, taken.last_error, taken.was_due, webhook.secret, ${WEBHOOK_COLUMNS}
  FROM taken JOIN webhook ON webhook.id = taken.webhook_id
  ORDER BY was_due, notice_id`

interface StoredTaken extends Omit<StoredNotice, "id" | "created_at">, StoredWebhook {
  readonly notice_id: NoticeId
  readonly noticed_at: bigint
  readonly body: string
  readonly secret: string
}

const takenOf = (stored: StoredTaken): TakenNotice => ({
  notice: noticeOf({ ...stored, id: stored.notice_id, created_at: stored.noticed_at }),
  body: stored.body,
  webhook: webhookOf(stored),
  secret: Redacted.make(stored.secret)
})

/** $4: null for what was delivered or failed. */
const SETTLE = `UPDATE notice SET state = $2, done_at = $3, due_at = coalesce($4, due_at), last_error = $5
  WHERE id = $1 AND (CASE WHEN $2 = 'delivered' THEN state <> 'delivered' ELSE state = 'pending' AND attempts = $6::int END)
  RETURNING webhook_id`

const CLEAR = "UPDATE webhook SET failures = 0, failing_since = NULL, delivered_at = $2 WHERE id = $1"

const COUNT = `UPDATE webhook SET failures = failures + 1, failing_since = coalesce(failing_since, $2) WHERE id = $1`

const END = "UPDATE webhook SET disabled_at = $2, disabled_for = $3 WHERE id = $1 AND disabled_at IS NULL"

const settle = ({ sql, transaction }: PgClient["Service"], report: NoticeReport) =>
  transaction(
    during("report"),
    Effect.gen(function* () {
      const { id, attempt, outcome, counts, disableFor, at } = report
      const isDelivered = outcome._tag === "Delivered"
      const state = isDelivered ? "delivered" : outcome._tag === "Again" ? "pending" : "failed"
      const [told] = yield* sql.unsafe<{ webhook_id: WebhookId }>(SETTLE, [
        text(id),
        text(state),
        maybeWhole(state === "pending" ? null : at),
        maybeWhole(outcome._tag === "Again" ? outcome.dueAt : null),
        isDelivered ? null : freeText(outcome.error),
        whole(attempt)
      ])
      if (told === undefined) return false
      const whom = text(told.webhook_id)
      if (isDelivered) yield* sql.unsafe(CLEAR, [whom, whole(at)])
      else if (counts) yield* sql.unsafe(COUNT, [whom, whole(at)])
      if (disableFor !== null) yield* sql.unsafe(END, [whom, whole(at), text(disableFor)])
      return true
    })
  )

const LIST = "SELECT * FROM notice WHERE webhook_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2"

const FORGET = `DELETE FROM notice WHERE id IN (SELECT id FROM notice WHERE done_at < $1 ORDER BY done_at LIMIT $2)
  RETURNING id`

export const layer: Layer.Layer<Notices, never, PgClient> = Layer.effect(
  Notices,
  Effect.map(PgClient, (client) =>
    make({
      plan: (notices) => plan(client, notices),
      take: (webhookId, now, until, max) =>
        Effect.map(
          client.query<StoredTaken>(during("take"), TAKE, [text(webhookId), whole(now), whole(until), limited(max)]),
          (rows) => rows.map(takenOf)
        ),
      report: (report) => settle(client, report),
      list: (webhookId, limit) =>
        Effect.map(client.query<StoredNotice>(during("list"), LIST, [text(webhookId), limited(limit)]), (rows) =>
          rows.map(noticeOf)
        ),
      forget: (before, max) =>
        Effect.map(client.query(during("forget"), FORGET, [whole(before), limited(max)]), (rows) => rows.length)
    })
  )
)
