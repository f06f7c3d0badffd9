/** Webhooks in memory, each with its secret, by id. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { WebhookId } from "../../schemas/Ids.ts"
import type { WebhookStanding } from "../../schemas/Webhook.ts"
import { type Driver, make, tooMany, urlTaken, Webhooks } from "../Webhooks.ts"
import { byText } from "./MemoryRecords.ts"
import { MemoryState, type State, type StoredWebhook } from "./MemoryState.ts"

const driver = (state: State): Driver => ({
  register: (webhook, secret, max) =>
    Effect.suspend(() => {
      const known = state.webhooks.get(webhook.id)
      if (known !== undefined) return Effect.succeed(known.webhook)
      const other = [...state.webhooks.values()].find((each) => each.webhook.url === webhook.url)
      if (other !== undefined) return Effect.fail(urlTaken(other.webhook.id))
      if (state.webhooks.size >= max) return Effect.fail(tooMany(max))
      state.webhooks.set(webhook.id, { webhook, secret })
      return Effect.succeed(webhook)
    }),
  list: Effect.sync(() =>
    [...state.webhooks.values()]
      .map((stored) => standingOf(state, stored))
      .toSorted((a, b) => a.createdAt - b.createdAt || byText(a.id, b.id))
  ),
  disable: (id, reason, at) =>
    Effect.sync(() => {
      const stored = state.webhooks.get(id)
      if (stored === undefined) return null
      if (stored.webhook.disabledAt === null) {
        stored.webhook = { ...stored.webhook, disabledAt: at, disabledFor: reason }
      }
      return stored.webhook
    }),
  enable: (id, at) => Effect.sync(() => enable(state, id, at)),
  remove: (id) =>
    Effect.sync(() => {
      for (const { notice } of state.notices.values()) {
        if (notice.webhookId === id) state.notices.delete(notice.id)
      }
      return state.webhooks.delete(id)
    })
})

const pendingOf = (state: State, id: WebhookId) =>
  [...state.notices.values()].filter(({ notice }) => notice.webhookId === id && notice.state === "pending")

const standingOf = (state: State, { webhook }: StoredWebhook): WebhookStanding => {
  const due = pendingOf(state, webhook.id).map(({ notice }) => notice.dueAt)
  return { ...webhook, pending: due.length, nextAt: due.length === 0 ? null : Math.min(...due) }
}

const enable = (state: State, id: WebhookId, at: number) => {
  const stored = state.webhooks.get(id)
  if (stored === undefined) return null
  if (stored.webhook.disabledAt === null) return stored.webhook
  stored.webhook = {
    ...stored.webhook,
    since: at,
    disabledAt: null,
    disabledFor: null,
    failures: 0,
    failingSince: null
  }
  for (const waiting of pendingOf(state, id)) waiting.notice = { ...waiting.notice, dueAt: at }
  return stored.webhook
}

export const layer: Layer.Layer<Webhooks, never, MemoryState> = Layer.effect(
  Webhooks,
  Effect.map(MemoryState, (state) => make(driver(state)))
)
