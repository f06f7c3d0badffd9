/** Webhooks in the embedded database. No statement of this file reads a secret. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { WebhookId } from "../../schemas/Ids.ts"
import type { Refusal } from "../../schemas/Refusal.ts"
import type { Webhook, WebhookEnd, WebhookStanding } from "../../schemas/Webhook.ts"
import { make, tooMany, urlTaken, Webhooks } from "../Webhooks.ts"
import { freeText } from "./RecordColumns.ts"
import { SqliteClient } from "./SqliteClient.ts"
import type { Sql } from "./Statements.ts"

const during = (method: string) => ({ of: "Webhooks", method })

export const layer: Layer.Layer<Webhooks, never, SqliteClient> = Layer.effect(
  Webhooks,
  Effect.gen(function* () {
    const { read, write } = yield* SqliteClient
    return make({
      register: (webhook, secret, max) => write(during("register"), (sql) => register(sql, webhook, secret, max)),
      list: read(during("list"), list),
      disable: (id, reason, at) => write(during("disable"), (sql) => Result.succeed(disable(sql, id, reason, at))),
      enable: (id, at) => write(during("enable"), (sql) => Result.succeed(enable(sql, id, at))),
      remove: (id) => write(during("remove"), (sql) => Result.succeed(remove(sql, id)))
    })
  })
)

/** Everything but the secret. */
export const WEBHOOK_COLUMNS = [
  "id",
  "url",
  "description",
  "kinds",
  "severities",
  "created_at",
  "since",
  "disabled_at",
  "disabled_for",
  "failures",
  "failing_since",
  "delivered_at"
]
const COLUMNS = WEBHOOK_COLUMNS.map((name) => `webhook.${name}`).join(", ")

export const webhookOf = (stored: Record<string, unknown>): Webhook => ({
  id: stored["id"] as WebhookId,
  url: stored["url"] as string,
  description: JSON.parse(stored["description"] as string) as string,
  kinds: JSON.parse(stored["kinds"] as string) as Webhook["kinds"],
  severities: JSON.parse(stored["severities"] as string) as Webhook["severities"],
  createdAt: stored["created_at"] as number,
  since: stored["since"] as number,
  disabledAt: stored["disabled_at"] as number | null,
  disabledFor: stored["disabled_for"] as WebhookEnd | null,
  failures: stored["failures"] as number,
  failingSince: stored["failing_since"] as number | null,
  deliveredAt: stored["delivered_at"] as number | null
})

export const findWebhook = (sql: Sql, id: WebhookId): Webhook | null => {
  const stored = sql(`SELECT ${COLUMNS} FROM webhook WHERE id = ?`).get(id)
  return stored === undefined ? null : webhookOf(stored)
}

const register = (
  sql: Sql,
  webhook: Webhook,
  secret: Redacted.Redacted,
  max: number
): Result.Result<Webhook, Refusal> => {
  const known = findWebhook(sql, webhook.id)
  if (known !== null) return Result.succeed(known)
  const other = sql("SELECT id FROM webhook WHERE url = ?").get(webhook.url)
  if (other !== undefined) return Result.fail(urlTaken(other["id"] as WebhookId))
  if (Number(sql("SELECT count(*) AS count FROM webhook").get()?.["count"]) >= max) return Result.fail(tooMany(max))
  sql(`INSERT INTO webhook (${WEBHOOK_COLUMNS.join(", ")}, secret) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).run(
    webhook.id,
    webhook.url,
    freeText(webhook.description),
    JSON.stringify(webhook.kinds),
    JSON.stringify(webhook.severities),
    webhook.createdAt,
    webhook.since,
    webhook.disabledAt,
    webhook.disabledFor,
    webhook.failures,
    webhook.failingSince,
    webhook.deliveredAt,
    Redacted.value(secret)
  )
  return Result.succeed(webhook)
}

const list = (sql: Sql): ReadonlyArray<WebhookStanding> =>
  sql(`SELECT ${COLUMNS}, count(notice.id) AS pending, min(notice.due_at) AS next_at
    FROM webhook LEFT JOIN notice ON notice.webhook_id = webhook.id AND notice.state = 'pending'
    GROUP BY webhook.id ORDER BY webhook.created_at, webhook.id`)
    .all()
    .map((row) => ({
      ...webhookOf(row),
      pending: row["pending"] as number,
      nextAt: row["next_at"] as number | null
    }))

const disable = (sql: Sql, id: WebhookId, reason: WebhookEnd, at: number): Webhook | null => {
  sql("UPDATE webhook SET disabled_at = ?, disabled_for = ? WHERE id = ? AND disabled_at IS NULL").run(at, reason, id)
  return findWebhook(sql, id)
}

const enable = (sql: Sql, id: WebhookId, at: number): Webhook | null => {
  const { changes } = sql(`UPDATE webhook SET since = ?, disabled_at = NULL, disabled_for = NULL, failures = 0,
    failing_since = NULL WHERE id = ? AND disabled_at IS NOT NULL`).run(at, id)
  if (changes > 0) sql("UPDATE notice SET due_at = ? WHERE webhook_id = ? AND state = 'pending'").run(at, id)
  return findWebhook(sql, id)
}

const remove = (sql: Sql, id: WebhookId): boolean => {
  sql("DELETE FROM notice WHERE webhook_id = ?").run(id)
  return sql("DELETE FROM webhook WHERE id = ?").run(id).changes > 0
}
