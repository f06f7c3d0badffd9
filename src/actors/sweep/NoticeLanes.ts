/**
 * Delivers notices, one lane a webhook, so that a receiver in trouble delays its own notices and no others. A lane takes what is due and ends when there
 * is nothing more; after a failure it ends at once and tries one at a time. Ending the daemon breaks lanes off: what they had in hand is due again when
 * its time is over, for whoever leads then.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Metrics from "../../layers/Metrics.ts"
import type { NetworkKey } from "../../layers/NetworkKey.ts"
import type { NoticeOutcome, Notices, TakenNotice } from "../../layers/Notices.ts"
import { SEND_SECONDS_MAX, type SendOutcome, type WebhookSender } from "../../layers/WebhookSender.ts"
import { type Verdict, verdictOn } from "../../policies/NoticeRetry.ts"
import type { WebhookId } from "../../schemas/Ids.ts"
import type { WebhookStanding } from "../../schemas/Webhook.ts"

/** How long one may be in hand: longer than any attempt takes, with what is written about it. */
export const HELD_MS = 3 * SEND_SECONDS_MAX * 1000
/** Requests to one receiver at a time. */
const AT_ONCE = 4
/** Rounds of a lane that goes well, before somebody looks again whether it may. */
const ROUNDS_MAX = 250

export interface LaneHouse {
  readonly notices: Notices["Service"]
  readonly sender: WebhookSender["Service"]
  readonly key: NetworkKey["Service"]
}

export interface NoticeLanes {
  /** Starts a lane for each enabled webhook with something due, but for those that have one. Does not wait for any. */
  readonly open: (webhooks: ReadonlyArray<WebhookStanding>, now: number) => Effect.Effect<number>
}

export const make = (house: LaneHouse): Effect.Effect<NoticeLanes, never, Scope.Scope> =>
  Effect.map(FiberMap.make<WebhookId>(), (lanes) => ({
    open: Effect.fnUntraced(function* (webhooks, now) {
      const due = webhooks.filter(({ disabledAt, nextAt }) => disabledAt === null && nextAt !== null && nextAt <= now)
      for (const webhook of due) yield* FiberMap.run(lanes, webhook.id, lane(house, webhook), { onlyIfMissing: true })
      return due.length
    })
  }))

const lane = (house: LaneHouse, { id, failures }: WebhookStanding): Effect.Effect<void> =>
  Effect.gen(function* () {
    const width = failures > 0 ? 1 : AT_ONCE
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const now = yield* Clock.currentTimeMillis
      const taken = yield* house.notices.take(id, now, now + HELD_MS, width)
      if (taken.length === 0) return
      const delivered = yield* Effect.forEach(taken, (each) => deliver(house, each), { concurrency: AT_ONCE })
      if (!delivered.every(Boolean)) return
    }
  }).pipe(
    Effect.catchTag("Outage", ({ during }) => Effect.logDebug("lane cut short", { webhookId: id, during })),
    Effect.catchCause((cause) => Effect.logError("lane ended by a defect", { webhookId: id }, cause))
  )

/** Whether it was taken. */
const deliver = (house: LaneHouse, { notice, body, webhook, secret }: TakenNotice) =>
  Effect.gen(function* () {
    const { id, attempts: attempt, type } = notice
    const isTest = type === "webhook.test"
    const opened = house.key.unseal(secret, webhook.id)
    const sent = Result.isSuccess(opened)
      ? yield* house.sender.send({
          url: webhook.url,
          secret: opened.success,
          id,
          body,
          at: yield* Clock.currentTimeMillis
        })
      : unsigned(opened.failure)
    const at = yield* Clock.currentTimeMillis
    const verdict = verdictOn({
      attempt,
      status: sent._tag === "Answered" ? sent.status : null,
      retryAfter: sent._tag === "Answered" ? sent.retryAfter : null,
      isTest,
      failingSince: webhook.failingSince,
      now: at,
      random01: yield* Random.next
    })
    const disableFor = verdict._tag === "Delivered" ? null : verdict.disableFor
    yield* house.notices.report({ id, attempt, outcome: outcomeOf(verdict, sent), counts: !isTest, disableFor, at })
    yield* Metric.update(Metric.withAttributes(Metrics.notices, { outcome: verdict._tag.toLowerCase() }), 1)
    return verdict._tag === "Delivered"
  })

const unsigned = (why: string): SendOutcome => ({ _tag: "Unsent", why: `the secret is ${why}` })

const outcomeOf = (verdict: Verdict, sent: SendOutcome): NoticeOutcome => {
  const error = sent._tag === "Answered" ? `status ${sent.status}` : sent.why
  switch (verdict._tag) {
    case "Delivered":
      return { _tag: "Delivered" }
    case "Again":
      return { _tag: "Again", dueAt: verdict.dueAt, error }
    case "Failed":
      return { _tag: "Failed", error }
  }
}
