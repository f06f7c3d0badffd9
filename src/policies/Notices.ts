/**
 * What is told of an incident, to whom, and under which id. The body leaves this house, so it is an allow-list: ids, closed words and figures
 * (`OutwardJson.ts`).
 */
import { createHash } from "node:crypto"
import type * as Schema from "effect/Schema"
import { IncidentId, NoticeId, type WebhookId } from "../schemas/Ids.ts"
import type { Incident } from "../schemas/Incident.ts"
import { outward } from "../schemas/OutwardJson.ts"
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
  const seen = { observed: outward(observed), expected: outward(expected) }
  return { ...facts, ...seen, ...standingOf(incident) }
}

/** The body of a notice; every attempt sends these very bytes. `at` is an ISO 8601 instant. */
export const bodyOf = (type: NoticeType, at: string, data: Schema.JsonObject): string =>
  JSON.stringify({ type, timestamp: at, data })
