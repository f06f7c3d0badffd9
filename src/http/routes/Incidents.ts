/** `GET /v1/incidents`: what happened to the namespace that should be known, newest first, without any node's name. */
import * as Effect from "effect/Effect"
import { Incidents } from "../../layers/Incidents.ts"
import { type Incident, IncidentKind } from "../../schemas/Incident.ts"
import type { IncidentView } from "../../schemas/openai/IncidentView.ts"
import { outward } from "../../schemas/OutwardJson.ts"
import { json, type KeyedCall, scopeOf } from "../Call.ts"
import { readInstant, readInt, readOneOf, readQuery, readText } from "../Query.ts"
import { keyed } from "../Route.ts"

const LIMIT_MAX = 100

const incidentsOf = Effect.fnUntraced(function* (call: KeyedCall) {
  const query = yield* readQuery(call.query, ["kind", "type", "open", "from", "to", "limit"])
  const kind = yield* readOneOf("kind", query.kind, IncidentKind.literals)
  const type = yield* readText("type", query.type)
  const open = yield* readOneOf("open", query.open, ["true", "false"])
  const from = yield* readInstant("from", query.from)
  const to = yield* readInstant("to", query.to)
  const limit = yield* readInt("limit", query.limit, { least: 1, most: LIMIT_MAX, otherwise: 20 })
  const data = yield* (yield* Incidents).list(scopeOf(call), {
    limit,
    ...(kind === undefined ? {} : { kind }),
    ...(type === undefined ? {} : { type }),
    ...(open === "true" ? { open: true } : {}),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to })
  })
  return json({ object: "list", data: data.map(viewOf) })
})

const subjectOf = ({ subject, jobId }: Incident): string => {
  if (!subject.startsWith("node/")) return subject
  return jobId === null ? "node" : `job/${jobId}`
}

const viewOf = (incident: Incident): IncidentView => {
  const { id, kind, type, severity, stage, jobId, keyId, observed, expected, at, episode } = incident
  return {
    id,
    object: "incident",
    kind,
    type,
    severity,
    subject: subjectOf(incident),
    stage,
    job_id: jobId,
    key_id: keyId ?? null,
    observed: outward(observed),
    expected: outward(expected),
    at,
    episode:
      episode === undefined
        ? null
        : {
            sightings: episode.sightings,
            seen_at: episode.seenAt,
            closed_at: episode.closedAt,
            closed_for: episode.closedFor
          }
  }
}

export const incidentRoutes = { searchIncidents: keyed(incidentsOf) }
