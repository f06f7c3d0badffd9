/** Webhooks: one row each. No statement of this file reads a secret. Registering is done one at a time, so that the bound on their number holds. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { WebhookId } from "../../schemas/Ids.ts"
import type { Webhook, WebhookEnd, WebhookStanding } from "../../schemas/Webhook.ts"
import { make, tooMany, urlTaken, Webhooks } from "../Webhooks.ts"
import { PgClient } from "./PgClient.ts"
import { freeText, fromFreeText, maybeText, maybeWhole, text, whole } from "./PgValues.ts"

const during = (method: string) => ({ of: "Webhooks", method })

export interface StoredWebhook {
  readonly id: WebhookId
  readonly url: string
  readonly description: string
  readonly kinds: string
  readonly severities: string
  readonly created_at: bigint
  readonly since: bigint
  readonly disabled_at: bigint | null
  readonly disabled_for: WebhookEnd | null
  readonly failures: number
  readonly failing_since: bigint | null
  readonly delivered_at: bigint | null
}

const instant = (stored: bigint | null): number | null => (stored === null ? null : Number(stored))

export const webhookOf = (stored: StoredWebhook): Webhook => ({
  id: stored.id,
  url: stored.url,
  description: fromFreeText(stored.description),
  kinds: JSON.parse(stored.kinds) as Webhook["kinds"],
  severities: JSON.parse(stored.severities) as Webhook["severities"],
  createdAt: Number(stored.created_at),
  since: Number(stored.since),
  disabledAt: instant(stored.disabled_at),
  disabledFor: stored.disabled_for,
  failures: stored.failures,
  failingSince: instant(stored.failing_since),
  deliveredAt: instant(stored.delivered_at)
})

/** Everything but the secret. */
export const WEBHOOK_COLUMNS = `webhook.id, webhook.url, webhook.description, webhook.kinds, webhook.severities, webhook.created_at, webhook.since,
  webhook.disabled_at, webhook.disabled_for, webhook.failures, webhook.failing_since, webhook.delivered_at`

const ONE = `SELECT ${WEBHOOK_COLUMNS} FROM webhook WHERE id = $1`

const INSERT = `INSERT INTO webhook (id, url, secret, description, kinds, severities, created_at, since, disabled_at, disabled_for, failures,
    failing_since, delivered_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::int, $12, $13)`

const register = (
  { sql, transaction }: PgClient["Service"],
  webhook: Webhook,
  secret: Redacted.Redacted,
  max: number
) =>
  transaction(
    during("register"),
    Effect.gen(function* () {
      yield* sql.unsafe("LOCK TABLE webhook IN SHARE ROW EXCLUSIVE MODE")
      const [known] = yield* sql.unsafe<StoredWebhook>(ONE, [text(webhook.id)])
      if (known !== undefined) return webhookOf(known)
      const [other] = yield* sql.unsafe<{ id: WebhookId }>("SELECT id FROM webhook WHERE url = $1", [text(webhook.url)])
      if (other !== undefined) return yield* urlTaken(other.id)
      const [{ count } = { count: 0 }] = yield* sql.unsafe<{ count: number }>(
        "SELECT count(*)::int AS count FROM webhook"
      )
      if (count >= max) return yield* tooMany(max)
      yield* sql.unsafe(INSERT, [
        text(webhook.id),
        text(webhook.url),
        text(Redacted.value(secret)),
        freeText(webhook.description),
        text(JSON.stringify(webhook.kinds)),
        text(JSON.stringify(webhook.severities)),
        whole(webhook.createdAt),
        whole(webhook.since),
        maybeWhole(webhook.disabledAt),
        maybeText(webhook.disabledFor),
        whole(webhook.failures),
        maybeWhole(webhook.failingSince),
        maybeWhole(webhook.deliveredAt)
      ])
      return webhook
    })
  )

export const LIST = `SELECT ${WEBHOOK_COLUMNS}, coalesce(waiting.pending, 0)::int AS pending, waiting.next_at
  FROM webhook LEFT JOIN LATERAL (
    SELECT count(*) AS pending, min(due_at) AS next_at FROM notice WHERE webhook_id = webhook.id AND state = 'pending'
  ) AS waiting ON true
  ORDER BY webhook.created_at, webhook.id`

interface StoredStanding extends StoredWebhook {
  readonly pending: number
  readonly next_at: bigint | null
}

const standingOf = (stored: StoredStanding): WebhookStanding => ({
  ...webhookOf(stored),
  pending: stored.pending,
  nextAt: instant(stored.next_at)
})

const DISABLE = `UPDATE webhook SET disabled_at = coalesce(disabled_at, $2), disabled_for = coalesce(disabled_for, $3)
  WHERE id = $1 RETURNING ${WEBHOOK_COLUMNS}`

const ENABLE = `UPDATE webhook SET since = $2, disabled_at = NULL, disabled_for = NULL, failures = 0, failing_since = NULL
  WHERE id = $1 AND disabled_at IS NOT NULL RETURNING id`

const enable = ({ sql, transaction }: PgClient["Service"], id: WebhookId, at: number) =>
  transaction(
    during("enable"),
    Effect.gen(function* () {
      const changed = yield* sql.unsafe(ENABLE, [text(id), whole(at)])
      if (changed.length > 0) {
        yield* sql.unsafe("UPDATE notice SET due_at = $2 WHERE webhook_id = $1 AND state = 'pending'", [
          text(id),
          whole(at)
        ])
      }
      const [stored] = yield* sql.unsafe<StoredWebhook>(ONE, [text(id)])
      return stored === undefined ? null : webhookOf(stored)
    })
  )

export const layer: Layer.Layer<Webhooks, never, PgClient> = Layer.effect(
  Webhooks,
  Effect.map(PgClient, (client) =>
    make({
      register: (webhook, secret, max) => register(client, webhook, secret, max),
      list: Effect.map(client.query<StoredStanding>(during("list"), LIST), (rows) => rows.map(standingOf)),
      disable: (id, reason, at) =>
        Effect.map(
          client.query<StoredWebhook>(during("disable"), DISABLE, [text(id), whole(at), text(reason)]),
          ([stored]) => (stored === undefined ? null : webhookOf(stored))
        ),
      enable: (id, at) => enable(client, id, at),
      remove: (id) =>
        Effect.map(
          client.query(during("remove"), "DELETE FROM webhook WHERE id = $1 RETURNING id", [text(id)]),
          (rows) => rows.length > 0
        )
    })
  )
)
