/**
 * Plans a notice for each incident and each webhook that wants it, another when it is an episode and over, and sets the lanes going. It reads beginnings
 * and ends in the order of time, twice: at once, and
 * again when they are five minutes old, because one may come in behind what was read, from a daemon that was slow. A notice's id follows from incident
 * and webhook, so whatever is read again plans nothing new.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { IncidentOrder, Incidents } from "../../layers/Incidents.ts"
import type { Notices, PlannedNotice } from "../../layers/Notices.ts"
import type { Outage } from "../../layers/Outage.ts"
import type { Webhooks } from "../../layers/Webhooks.ts"
import { bodyOf, endIncidentIdOf, endNoticeIdOf, noticeIdOf, projectionOf, wants } from "../../policies/Notices.ts"
import type { Incident } from "../../schemas/Incident.ts"
import type { WebhookStanding } from "../../schemas/Webhook.ts"
import type { NoticeLanes } from "./NoticeLanes.ts"
import type { Options } from "./Sweeper.ts"

/** An incident that is stored later than this after its own instant may be missed. */
export const SETTLED_MS = 5 * 60_000
/** Notices that may wait for one webhook. More would only grow: it is disabled, and said so. */
export const PENDING_MAX = 10_000
/** What was done stays so long, for whoever asks what became of it. Longer than anything is read again. */
const KEPT_MS = 7 * 86_400_000

export interface WebhookHouse {
  readonly webhooks: Webhooks["Service"]
  readonly notices: Notices["Service"]
  readonly incidents: Incidents["Service"]
  readonly lanes: NoticeLanes
}

const Place = Schema.Struct({ at: Schema.Finite, id: Schema.String })
type Place = typeof Place.Type
const Reading = Schema.Struct({ head: Place, tail: Place })
type Reading = typeof Reading.Type
/** Up to where incidents were read once, and twice: by when they began, and by when they ended. */
const Watermark = Schema.Struct({ head: Place, tail: Place, ends: Schema.optionalKey(Reading) })
type Watermark = typeof Watermark.Type
const isWatermark = Schema.is(Watermark)

export const make = (house: WebhookHouse): Options => {
  // Raised again by each new leader, under the same id.
  const announced = new Set<string>()
  return {
    name: "webhook",
    everyMs: 1000,
    batchMax: 500,
    sweepBatch: (stored, max, dryRun) =>
      Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        const webhooks = yield* house.webhooks.list
        const watermark = isWatermark(stored) ? stored : from(now)
        // Before anything that may fail: what waits here does not wait for the store of incidents.
        const opened = dryRun ? 0 : yield* house.lanes.open(webhooks, now)
        const found = yield* look(house, webhooks, watermark, now, max)
        const planned = [
          ...found.began.flatMap((incident) => noticesOf(webhooks, incident, now)),
          ...found.ended.flatMap((incident) => endNoticesOf(webhooks, incident, now))
        ]
        if (dryRun) {
          const pending = webhooks.reduce((sum, { pending }) => sum + pending, 0)
          return { taken: planned.length, watermark: stored, detail: { pending } }
        }
        yield* announce(house, webhooks, announced)
        const fresh = yield* house.notices.plan(planned)
        if (webhooks.length > 0) yield* house.notices.forget(now - KEPT_MS, max)
        // Looked at again, so that what was planned just now leaves just now.
        const standing = fresh === 0 ? webhooks : yield* house.webhooks.list
        yield* endOverflowing(house, standing, now)
        const lanes = fresh === 0 ? opened : yield* house.lanes.open(standing, now)
        // A full page means that there is more; the sweeper goes on at once then, and only then.
        const taken = found.isFull ? max : Math.min(fresh, max - 1)
        return { taken, watermark: found.watermark, detail: { planned: fresh, lanes } }
      })
  }
}

/** Nothing of what was before is told. */
const from = (now: number) => ({ head: { at: now, id: "" }, tail: { at: now, id: "" } }) satisfies Reading

interface Page {
  readonly incidents: ReadonlyArray<Incident>
  readonly reading: Reading
  readonly isFull: boolean
}

interface Found {
  readonly began: ReadonlyArray<Incident>
  readonly ended: ReadonlyArray<Incident>
  readonly watermark: Watermark
  readonly isFull: boolean
}

/** The next of all readings. While nobody wants to know, none is read: a webhook hears of what comes after it. */
const look = (
  house: WebhookHouse,
  webhooks: ReadonlyArray<WebhookStanding>,
  { head, tail, ends }: Watermark,
  now: number,
  max: number
) =>
  Effect.gen(function* () {
    if (webhooks.every(({ disabledAt }) => disabledAt !== null)) {
      return { began: [], ended: [], watermark: { ...from(now), ends: from(now) }, isFull: false } satisfies Found
    }
    const began = yield* readOn(house, "opened", { head, tail }, now, max)
    const ended = yield* readOn(house, "closed", ends ?? from(now), now, max)
    return {
      began: began.incidents,
      ended: ended.incidents,
      watermark: { ...began.reading, ends: ended.reading },
      isFull: began.isFull || ended.isFull
    } satisfies Found
  })

const readOn = (
  { incidents }: WebhookHouse,
  order: IncidentOrder,
  { head, tail }: Reading,
  now: number,
  max: number
): Effect.Effect<Page, Outage> =>
  Effect.gen(function* () {
    const settled = now - SETTLED_MS
    const fresh = yield* incidents.after(order, head, now + 1, max)
    const again = yield* incidents.after(order, tail, settled, max)
    const nextTail = endOf(order, again) ?? tail
    return {
      incidents: [...fresh, ...again],
      reading: {
        head: endOf(order, fresh) ?? head,
        // To where it was read to the end, so that it does not stay behind while nothing happens.
        tail: again.length < max ? later(nextTail, { at: settled, id: "" }) : nextTail
      },
      isFull: fresh.length === max || again.length === max
    }
  })

const instantOf = (order: IncidentOrder, { at, episode }: Incident): number =>
  order === "opened" ? at : (episode?.closedAt ?? at)

const endOf = (order: IncidentOrder, page: ReadonlyArray<Incident>): Place | null => {
  const last = page.at(-1)
  return last === undefined ? null : { at: instantOf(order, last), id: last.id }
}

const later = (a: Place, b: Place): Place => (a.at >= b.at ? a : b)

const noticesOf = (
  webhooks: ReadonlyArray<WebhookStanding>,
  incident: Incident,
  now: number
): ReadonlyArray<PlannedNotice> =>
  webhooks
    .filter((webhook) => wants(webhook, incident))
    .map(({ id }) => ({
      id: noticeIdOf(id, incident.id),
      webhookId: id,
      type: "incident.opened",
      incidentId: incident.id,
      createdAt: now,
      body: bodyOf("incident.opened", isoOf(incident.at), projectionOf(incident))
    }))

/** Whoever wants to hear of such incidents hears that one is over, also when it began before he asked. */
const endNoticesOf = (
  webhooks: ReadonlyArray<WebhookStanding>,
  incident: Incident,
  now: number
): ReadonlyArray<PlannedNotice> => {
  const at = instantOf("closed", incident)
  return webhooks
    .filter((webhook) => wants(webhook, { ...incident, at }))
    .map(({ id }) => ({
      id: endNoticeIdOf(id, incident.id),
      webhookId: id,
      type: "incident.closed",
      incidentId: incident.id,
      createdAt: now,
      body: bodyOf("incident.closed", isoOf(at), projectionOf(incident))
    }))
}

const isoOf = (at: number): string => DateTime.formatIso(DateTime.makeUnsafe(at))

/** One incident for each webhook that the runtime disabled: whoever dies between the two leaves it to the next leader. */
const announce = ({ incidents }: WebhookHouse, webhooks: ReadonlyArray<WebhookStanding>, announced: Set<string>) =>
  Effect.gen(function* () {
    const fresh = webhooks.flatMap((webhook) => {
      const incident = incidentOf(webhook)
      return incident === null || announced.has(incident.id) ? [] : [incident]
    })
    yield* incidents.raise(fresh)
    for (const { id } of fresh) announced.add(id)
  })

const incidentOf = (webhook: WebhookStanding): Incident | null => {
  const { id, disabledAt, disabledFor, failures, failingSince, pending } = webhook
  if (disabledAt === null || disabledFor === "operator") return null
  return {
    id: endIncidentIdOf(id, disabledAt),
    kind: "warning",
    type: "webhook_disabled",
    severity: "high",
    subject: `webhook/${id}`,
    stage: null,
    jobId: null,
    nodeId: null,
    namespaceId: null,
    observed: { disabledFor, failures, failingSince, pending },
    expected: null,
    at: disabledAt
  }
}

const endOverflowing = ({ webhooks }: WebhookHouse, standing: ReadonlyArray<WebhookStanding>, now: number) =>
  Effect.forEach(
    standing.filter(({ pending, disabledAt }) => disabledAt === null && pending >= PENDING_MAX),
    // It may be gone meanwhile.
    ({ id }) => Effect.catchTag(webhooks.disable(id, "overflow", now), "Refusal", () => Effect.void),
    { discard: true }
  )
