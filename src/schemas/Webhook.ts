/**
 * A webhook is where an operator wants to hear of incidents; a notice is one such message on its way to one webhook. The secret that signs
 * the notices is part of neither: whoever may see a webhook may not see its secret.
 */
import * as Schema from "effect/Schema"
import { IncidentId, NoticeId, WebhookId } from "./Ids.ts"
import { IncidentKind, Severity } from "./Incident.ts"

/** `gone`: the receiver answered 410. `failing`: nothing came through for days. `overflow`: more waited than may wait. */
export const WebhookEnd = Schema.Literals(["operator", "gone", "failing", "overflow"])
export type WebhookEnd = typeof WebhookEnd.Type

const some = <S extends Schema.Top>(schema: S) => Schema.Array(schema).check(Schema.isMinLength(1), Schema.isUnique())

export const Webhook = Schema.Struct({
  id: WebhookId,
  /** Of the receiver, as the URL parser writes it. */
  url: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(2048)),
  description: Schema.String.check(Schema.isPattern(/^[^\p{Cc}]{0,200}$/u)),
  /** An incident is wanted when its kind and its severity both are. */
  kinds: some(IncidentKind),
  severities: some(Severity),
  createdAt: Schema.Int,
  /** Incidents from then on are told: the creation, or the last time that it was enabled. */
  since: Schema.Int,
  /** null: enabled. */
  disabledAt: Schema.NullOr(Schema.Int),
  disabledFor: Schema.NullOr(WebhookEnd),
  /** Attempts in a row that came to nothing, and when the first of them was; tests are not counted. */
  failures: Schema.Int,
  failingSince: Schema.NullOr(Schema.Int),
  /** The last one that was taken. */
  deliveredAt: Schema.NullOr(Schema.Int)
})
export type Webhook = typeof Webhook.Type

/** With what waits for it. */
export const WebhookStanding = Webhook.pipe(
  Schema.fieldsAssign({ pending: Schema.Int, /** When the first of them is due. */ nextAt: Schema.NullOr(Schema.Int) })
)
export type WebhookStanding = typeof WebhookStanding.Type

export const NoticeType = Schema.Literals(["incident.opened", "incident.closed", "webhook.test"])
export type NoticeType = typeof NoticeType.Type

/** `failed`: every attempt was made, or the receiver wants nothing any more. */
export const NoticeState = Schema.Literals(["pending", "delivered", "failed"])
export type NoticeState = typeof NoticeState.Type

export const Notice = Schema.Struct({
  /** The header `webhook-id`: one for each incident, its opening or its end, and webhook, whatever happens. */
  id: NoticeId,
  webhookId: WebhookId,
  type: NoticeType,
  /** null: a test. */
  incidentId: Schema.NullOr(IncidentId),
  createdAt: Schema.Int,
  state: NoticeState,
  /** Attempts begun. */
  attempts: Schema.Int,
  /** The next attempt; while one is under way, when it is given up for lost. */
  dueAt: Schema.Int,
  doneAt: Schema.NullOr(Schema.Int),
  /** Of the last attempt: `status 500`, `ECONNREFUSED`. */
  lastError: Schema.NullOr(Schema.String)
})
export type Notice = typeof Notice.Type
