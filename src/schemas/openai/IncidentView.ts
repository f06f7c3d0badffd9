/** Incidents as the namespace that they name sees them. No node is named: who served a request is not the customer's to know. */
import * as Schema from "effect/Schema"
import { EpisodeEnd, IncidentKind, Severity } from "../Incident.ts"

export const IncidentView = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("incident"),
  kind: IncidentKind,
  type: Schema.String,
  severity: Severity,
  /** `namespace/…`, `key/…`, `model/…`, `job/…`; `node` where it is about one. */
  subject: Schema.String,
  stage: Schema.NullOr(Schema.String),
  job_id: Schema.NullOr(Schema.String),
  key_id: Schema.NullOr(Schema.String),
  observed: Schema.Json,
  expected: Schema.Json,
  at: Schema.Int,
  /** Of one that lasts; null: it happened once. */
  episode: Schema.NullOr(
    Schema.Struct({
      sightings: Schema.Int,
      seen_at: Schema.Int,
      closed_at: Schema.NullOr(Schema.Int),
      closed_for: Schema.NullOr(EpisodeEnd)
    })
  )
}).annotate({ identifier: "Incident" })
export type IncidentView = typeof IncidentView.Type

export const IncidentList = Schema.Struct({
  object: Schema.Literal("list"),
  data: Schema.Array(IncidentView)
}).annotate({ identifier: "IncidentList" })
