/** Notices in memory, each with its body, by id. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Notice, Webhook } from "../../schemas/Webhook.ts"
import { type Driver, make, type NoticeReport, Notices, type PlannedNotice, type TakenNotice } from "../Notices.ts"
import { byText } from "./MemoryRecords.ts"
import { MemoryState, type State, type StoredNotice } from "./MemoryState.ts"

const driver = (state: State): Driver => ({
  plan: (notices) => Effect.sync(() => notices.filter((planned) => put(state, planned)).length),
  take: (webhookId, now, until, max) =>
    Effect.sync(() => {
      const target = state.webhooks.get(webhookId)
      if (target === undefined || target.webhook.disabledAt !== null) return []
      return [...state.notices.values()]
        .filter(({ notice }) => notice.webhookId === webhookId && notice.state === "pending" && notice.dueAt <= now)
        .toSorted((a, b) => a.notice.dueAt - b.notice.dueAt || byText(a.notice.id, b.notice.id))
        .slice(0, max)
        .map((stored): TakenNotice => {
          stored.notice = { ...stored.notice, attempts: stored.notice.attempts + 1, dueAt: until }
          return { notice: stored.notice, body: stored.body, webhook: target.webhook, secret: target.secret }
        })
    }),
  report: (report) => Effect.sync(() => settle(state, report)),
  list: (webhookId, limit) =>
    Effect.sync(() =>
      [...state.notices.values()]
        .map(({ notice }) => notice)
        .filter((notice) => notice.webhookId === webhookId)
        .toSorted((a, b) => b.createdAt - a.createdAt || byText(b.id, a.id))
        .slice(0, Math.max(limit, 0))
    ),
  forget: (before, max) =>
    Effect.sync(() => {
      const old = [...state.notices.values()]
        .filter(({ notice: { doneAt } }) => doneAt !== null && doneAt < before)
        .slice(0, Math.max(max, 0))
      for (const { notice } of old) state.notices.delete(notice.id)
      return old.length
    })
})

const put = (state: State, { id, webhookId, type, incidentId, createdAt, body }: PlannedNotice): boolean => {
  if (state.notices.has(id) || !state.webhooks.has(webhookId)) return false
  const notice: Notice = {
    id,
    webhookId,
    type,
    incidentId,
    createdAt,
    state: "pending",
    attempts: 0,
    dueAt: createdAt,
    doneAt: null,
    lastError: null
  }
  state.notices.set(id, { notice, body })
  return true
}

const settle = (state: State, report: NoticeReport): boolean => {
  const stored = state.notices.get(report.id)
  const target = stored === undefined ? undefined : state.webhooks.get(stored.notice.webhookId)
  if (stored === undefined || target === undefined || !mayTell(stored.notice, report)) return false
  stored.notice = after(stored, report)
  target.webhook = told(target.webhook, report)
  return true
}

const mayTell = ({ state, attempts }: Notice, { outcome, attempt }: NoticeReport): boolean =>
  outcome._tag === "Delivered" ? state !== "delivered" : state === "pending" && attempts === attempt

const after = ({ notice }: StoredNotice, { outcome, at }: NoticeReport): Notice => {
  switch (outcome._tag) {
    case "Delivered":
      return { ...notice, state: "delivered", doneAt: at, lastError: null }
    case "Again":
      return { ...notice, dueAt: outcome.dueAt, lastError: outcome.error }
    case "Failed":
      return { ...notice, state: "failed", doneAt: at, lastError: outcome.error }
  }
}

const told = (webhook: Webhook, { outcome, counts, disableFor, at }: NoticeReport): Webhook => {
  if (outcome._tag === "Delivered") return { ...webhook, failures: 0, failingSince: null, deliveredAt: at }
  const counted = counts
    ? { failures: webhook.failures + 1, failingSince: webhook.failingSince ?? at }
    : { failures: webhook.failures, failingSince: webhook.failingSince }
  const ends = disableFor !== null && webhook.disabledAt === null
  return { ...webhook, ...counted, ...(ends ? { disabledAt: at, disabledFor: disableFor } : {}) }
}

export const layer: Layer.Layer<Notices, never, MemoryState> = Layer.effect(
  Notices,
  Effect.map(MemoryState, (state) => make(driver(state)))
)
