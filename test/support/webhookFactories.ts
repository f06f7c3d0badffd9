/** Valid webhooks and notices for tests: every id and URL is new. */
import { randomBytes } from "node:crypto"
import { Effect, Redacted } from "effect"
import type { PlannedNotice } from "../../src/layers/Notices.ts"
import { Webhooks } from "../../src/layers/Webhooks.ts"
import { IncidentId, NoticeId, WebhookId } from "../../src/schemas/Ids.ts"
import type { Webhook } from "../../src/schemas/Webhook.ts"
import { freshTime, unique } from "./factories.ts"

export const aWebhookId = (): WebhookId => WebhookId.make(`webhook_${unique()}`)
export const aNoticeId = (): NoticeId => NoticeId.make(`notice_${unique()}`)

export const aSecret = (): Redacted.Redacted => Redacted.make(`whsec_${randomBytes(32).toString("base64")}`)

export const aWebhook = (over: Partial<Webhook> = {}): Webhook => {
  const createdAt = freshTime()
  return {
    id: aWebhookId(),
    url: `https://example.com/${unique()}`,
    description: "",
    kinds: ["anomaly", "rejection", "warning"],
    severities: ["info", "low", "medium", "high"],
    createdAt,
    since: createdAt,
    disabledAt: null,
    disabledFor: null,
    failures: 0,
    failingSince: null,
    deliveredAt: null,
    ...over
  }
}

export const aNotice = (webhookId: WebhookId, over: Partial<PlannedNotice> = {}): PlannedNotice => ({
  id: aNoticeId(),
  webhookId,
  type: "incident.opened",
  incidentId: IncidentId.make(`incident_${unique()}`),
  createdAt: freshTime(),
  body: '{"type":"incident.opened","data":{"text":"\\u0000 é"}}',
  ...over
})

export const registered = (over: Partial<Webhook> = {}, secret = aSecret()) =>
  Effect.flatMap(Webhooks, (webhooks) => webhooks.register(aWebhook(over), secret))

/** How it stands; a defect when it is not there. */
export const standing = (id: WebhookId) =>
  Effect.gen(function* () {
    const found = (yield* (yield* Webhooks).list).find((each) => each.id === id)
    return found ?? (yield* Effect.die(new Error(`${id} is not there`)))
  })
