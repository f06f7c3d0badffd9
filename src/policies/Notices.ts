/**
 * What is told of an incident, to whom, and under which id. The body leaves this house, so it is an allow-list: ids, closed words and figures. Of
 * what was observed and expected only figures, truths and a few words of our own go out, because other texts may hold what a customer wrote.
 */
import { createHash } from "node:crypto"
import type * as Schema from "effect/Schema"
import { IncidentId, NoticeId, type WebhookId } from "../schemas/Ids.ts"
import type { Incident } from "../schemas/Incident.ts"
import type { NoticeType, Webhook } from "../schemas/Webhook.ts"

const digest = (...parts: ReadonlyArray<string | number>): string =>
  createHash("sha256").update(parts.join("\n")).digest("hex").slice(0, 32)

/** Follows from the two, so whoever plans it again after a crash plans the same. */
export const noticeIdOf = (webhookId: WebhookId, incidentId: IncidentId): NoticeId =>
  NoticeId.make(`notice_${digest(webhookId, incidentId)}`)

/** Of the word that it is over. */
export const endNoticeIdOf = (webhookId: WebhookId, incidentId: IncidentId): NoticeId =>
  NoticeId.make(`notice_${digest(webhookId, incidentId, "closed")}`)

/** Of the incident that says that a webhook was disabled: one, however often it is raised. */
export const endIncidentIdOf = (webhookId: WebhookId, disabledAt: number): IncidentId =>
  IncidentId.make(`incident_${digest(webhookId, disabledAt)}`)

export const wants = (
  { kinds, severities, since, disabledAt }: Webhook,
  { kind, severity, at }: Pick<Incident, "kind" | "severity" | "at">
): boolean => disabledAt === null && at >= since && kinds.includes(kind) && severities.includes(severity)

/** Fields whose texts are this house's own words, written by no customer and no node, and what these look like. */
const CODE = /^[a-z][a-z0-9_]{0,63}$/
const OWN_WORDS: ReadonlyMap<string, RegExp> = new Map([
  ["code", CODE],
  ["disabledFor", CODE],
  ["segmentId", CODE],
  ["why", /^[A-Za-z0-9 ,.:_-]{1,200}$/]
])
const DEPTH_MAX = 4
const MEMBERS_MAX = 50

/** What of a value may go out; undefined: nothing. */
const outward = (value: Schema.Json, name: string, depth: number): Schema.Json | undefined => {
  if (value === null || typeof value === "boolean" || typeof value === "number") return value
  if (typeof value === "string") return OWN_WORDS.get(name)?.test(value) === true ? value : undefined
  if (depth >= DEPTH_MAX) return undefined
  if (Array.isArray(value)) {
    return value.slice(0, MEMBERS_MAX).flatMap((member: Schema.Json) => {
      const kept = outward(member, name, depth + 1)
      return kept === undefined ? [] : [kept]
    })
  }
  return Object.fromEntries(
    Object.entries(value)
      // A name that is no word of a program may itself be what a customer wrote.
      .filter(([member]) => /^[a-z][A-Za-z0-9]{0,31}$/.test(member))
      .slice(0, MEMBERS_MAX)
      .flatMap(([member, inner]) => {
        const kept = outward(inner, member, depth + 1)
        return kept === undefined ? [] : [[member, kept]]
      })
  )
}

/** How an episode stands, without its evidence. */
const standingOf = ({ episode }: Incident): Schema.JsonObject => {
  if (episode === undefined) return {}
  const { sightings, seenAt, closedAt, closedFor } = episode
  return { episode: { sightings, seenAt, closedAt, closedFor } }
}

/** The incident as it goes out. */
export const projectionOf = (incident: Incident): Schema.JsonObject => {
  const { id, kind, type, severity, subject, stage, jobId, nodeId, namespaceId, observed, expected } = incident
  const facts = { id, kind, type, severity, subject, stage, jobId, nodeId, namespaceId }
  const seen = { observed: outward(observed, "", 0) ?? null, expected: outward(expected, "", 0) ?? null }
  return { ...facts, ...seen, ...standingOf(incident) }
}

/** The body of a notice; every attempt sends these very bytes. `at` is an ISO 8601 instant. */
export const bodyOf = (type: NoticeType, at: string, data: Schema.JsonObject): string =>
  JSON.stringify({ type, timestamp: at, data })
