/** Where operators hear of incidents. A secret is in the answer to the webhook's creation and nowhere else, ever; what is stored is sealed. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { NetworkKey } from "../../../layers/NetworkKey.ts"
import { Notices } from "../../../layers/Notices.ts"
import { webhookNotFound, Webhooks } from "../../../layers/Webhooks.ts"
import { newSecret, WebhookSender } from "../../../layers/WebhookSender.ts"
import { freshNoticeId, freshWebhookId, WebhookId } from "../../../schemas/Ids.ts"
import { IncidentKind } from "../../../schemas/Incident.ts"
import { refuse } from "../../../schemas/Refusal.ts"
import { Webhook } from "../../../schemas/Webhook.ts"
import type { Call } from "../../Call.ts"
import { badField } from "../../Decode.ts"
import { audit, readOrder, readReason } from "../../Operator.ts"
import { plain } from "../../OperatorViews.ts"
import { readInt, readQuery } from "../../Query.ts"
import { open } from "../../Route.ts"

export const CreateWebhookOrder = Schema.Struct({
  url: Webhook.fields.url,
  description: Schema.optionalKey(Webhook.fields.description),
  kinds: Schema.optionalKey(Webhook.fields.kinds),
  severities: Schema.optionalKey(Webhook.fields.severities)
})
const readCreate = readOrder(CreateWebhookOrder)

/** What somebody should look at. Refused requests are `info`, and there may be floods of them. */
const SEVERITIES_DEFAULT = ["medium", "high"] as const

const isWebhookId = Schema.is(WebhookId)

const idOf = (call: Call) => {
  const id = call.params["id"]
  return isWebhookId(id) ? Effect.succeed(id) : Effect.fail(webhookNotFound)
}

const list = open(() => Effect.flatMap(Webhooks, ({ list }) => Effect.map(list, (data) => plain({ data }))))

const create = open(
  Effect.fnUntraced(function* (call: Call) {
    const order = yield* readCreate(call)
    const { description = "", kinds = IncidentKind.literals, severities = SEVERITIES_DEFAULT } = order.body
    const objection = (yield* WebhookSender).objection(order.body.url)
    if (objection !== null) return yield* badField("url", objection)
    const { href: url, host } = new URL(order.body.url)
    const secret = yield* newSecret
    const id = yield* freshWebhookId
    const begun = { createdAt: order.at, since: order.at, disabledAt: null, disabledFor: null }
    const nothing = { failures: 0, failingSince: null, deliveredAt: null }
    const webhook = yield* (yield* Webhooks).register(
      { id, url, description, kinds, severities, ...begun, ...nothing },
      (yield* NetworkKey).seal(secret, id)
    )
    // Of the URL only where it leads: its path may be a secret of the receiver's.
    yield* audit(order, "webhook.create", `webhook/${id}`, { host, kinds, severities })
    return plain({ webhook, secret: Redacted.value(secret) }, 201)
  })
)

const disable = open(
  Effect.fnUntraced(function* (call: Call) {
    const id = yield* idOf(call)
    const order = yield* readReason(call)
    const webhook = yield* (yield* Webhooks).disable(id, "operator", order.at)
    yield* audit(order, "webhook.disable", `webhook/${id}`)
    return plain({ webhook })
  })
)

const enable = open(
  Effect.fnUntraced(function* (call: Call) {
    const id = yield* idOf(call)
    const order = yield* readReason(call)
    const webhook = yield* (yield* Webhooks).enable(id, order.at)
    yield* audit(order, "webhook.enable", `webhook/${id}`)
    return plain({ webhook })
  })
)

const remove = open(
  Effect.fnUntraced(function* (call: Call) {
    const id = yield* idOf(call)
    const order = yield* readReason(call)
    yield* (yield* Webhooks).remove(id)
    yield* audit(order, "webhook.delete", `webhook/${id}`)
    return plain({ webhookId: id, deleted: true })
  })
)

/** The test goes the way of every notice, from the daemon that leads; what came of it stands among the webhook's notices. */
const test = open(
  Effect.fnUntraced(function* (call: Call) {
    const webhookId = yield* idOf(call)
    const order = yield* readReason(call)
    const webhook = (yield* (yield* Webhooks).list).find(({ id }) => id === webhookId)
    if (webhook === undefined) return yield* webhookNotFound
    if (webhook.disabledAt !== null) return yield* refuse("conflict", "The webhook is disabled: enable it first.")
    const id = yield* freshNoticeId
    const timestamp = DateTime.formatIso(DateTime.makeUnsafe(order.at))
    const body = JSON.stringify({ type: "webhook.test", timestamp, data: { webhookId } })
    const { at: createdAt } = order
    yield* (yield* Notices).plan([{ id, webhookId, type: "webhook.test", incidentId: null, createdAt, body }])
    yield* audit(order, "webhook.test", `webhook/${webhookId}`, { noticeId: id })
    return plain({ webhookId, noticeId: id }, 202)
  })
)

const notices = open(
  Effect.fnUntraced(function* (call: Call) {
    const id = yield* idOf(call)
    const query = yield* readQuery(call.query, ["limit"])
    const limit = yield* readInt("limit", query.limit, { least: 1, most: 1000, otherwise: 100 })
    return plain({ data: yield* (yield* Notices).list(id, limit) })
  })
)

export const webhookRoutes = {
  listWebhooks: list,
  createWebhook: create,
  disableWebhook: disable,
  enableWebhook: enable,
  deleteWebhook: remove,
  testWebhook: test,
  listNotices: notices
}
