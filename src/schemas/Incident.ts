/**
 * Something an operator or a customer should know that is not a job: an anomaly, a rejection before any job
 * existed, a warning. Structured or refused: there is no free-text-only incident.
 */
import * as Schema from "effect/Schema"
import { IncidentId, JobId, NamespaceId, NodeId } from "./Ids.ts"

export const IncidentKind = Schema.Literals(["anomaly", "rejection", "warning"])
export type IncidentKind = typeof IncidentKind.Type

export const Severity = Schema.Literals(["info", "low", "medium", "high"])
export type Severity = typeof Severity.Type

export const Incident = Schema.Struct({
  id: IncidentId,
  kind: IncidentKind,
  /** Machine code of what it is: `insufficient_credits`, `token_count_mismatch`, `archive_broken`. */
  type: Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9_]{1,63}$/)),
  severity: Severity,
  /** What it is about: `node/0x…`, `namespace/ns_…`, `sweeper/retention`. */
  subject: Schema.NonEmptyString,
  stage: Schema.NullOr(Schema.String),
  jobId: Schema.NullOr(JobId),
  nodeId: Schema.NullOr(NodeId),
  namespaceId: Schema.NullOr(NamespaceId),
  observed: Schema.Json,
  expected: Schema.Json,
  at: Schema.Int
})
export type Incident = typeof Incident.Type
