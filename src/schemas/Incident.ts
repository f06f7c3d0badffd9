/**
 * Something an operator or a customer should know that is not a job: an anomaly, a rejection before any job
 * existed, a warning. Structured or refused: there is no free-text-only incident.
 *
 * Most happen once. An **episode** lasts: it is opened by what a detector saw, sighted again while it goes on, and closed when it is over. Of one type
 * and subject at most one is open at a time.
 */
import * as Schema from "effect/Schema"
import { IncidentId, JobId, KeyId, NamespaceId, NodeId } from "./Ids.ts"

export const IncidentKind = Schema.Literals(["anomaly", "rejection", "warning"])
export type IncidentKind = typeof IncidentKind.Type

export const Severity = Schema.Literals(["info", "low", "medium", "high"])
export type Severity = typeof Severity.Type

/** `recovered`: it was seen to be well again. `quiet`: nothing was heard of it any more. */
export const EpisodeEnd = Schema.Literals(["recovered", "quiet"])
export type EpisodeEnd = typeof EpisodeEnd.Type

export const Evidence = Schema.Struct({ at: Schema.Int, observed: Schema.Json })
export type Evidence = typeof Evidence.Type

/** What one sighting and the next leave of themselves: the first, and the last ones. */
export const EVIDENCE_MAX = 10

export const Episode = Schema.Struct({
  /** Of its type and subject, from 1; its id follows from the three. */
  number: Schema.Int,
  sightings: Schema.Int,
  seenAt: Schema.Int,
  evidence: Schema.Array(Evidence).check(Schema.isMaxLength(EVIDENCE_MAX)),
  /** null: it goes on. */
  closedAt: Schema.NullOr(Schema.Int),
  closedFor: Schema.NullOr(EpisodeEnd)
})
export type Episode = typeof Episode.Type

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
  /** Whose request it was, where a key was known. */
  keyId: Schema.optionalKey(KeyId),
  observed: Schema.Json,
  expected: Schema.Json,
  /** When it happened; of an episode, when it was opened. */
  at: Schema.Int,
  episode: Schema.optionalKey(Episode)
})
export type Incident = typeof Incident.Type

/** An incident that lasts. */
export interface LastingIncident extends Incident {
  readonly episode: Episode
}

/** What a detector saw, now. */
export type Sighting = Omit<Incident, "id" | "episode">

const SEVERITIES = Severity.literals

const graver = (a: Severity, b: Severity): Severity => (SEVERITIES.indexOf(a) >= SEVERITIES.indexOf(b) ? a : b)

export const isLasting = (incident: Incident): incident is LastingIncident => incident.episode !== undefined

export const isOpen = (incident: Incident): boolean => incident.episode?.closedAt === null

/** The first sighting. */
export const opened = (id: IncidentId, number: number, sighting: Sighting): LastingIncident => ({
  id,
  ...sighting,
  episode: {
    number,
    sightings: 1,
    seenAt: sighting.at,
    evidence: [{ at: sighting.at, observed: sighting.observed }],
    closedAt: null,
    closedFor: null
  }
})

/** The episode with one more sighting: what was observed is the newest, the severity the gravest, its beginning stays. */
export const sighted = (known: LastingIncident, sighting: Sighting): LastingIncident => {
  const { evidence, sightings, seenAt } = known.episode
  const [first, ...later] = evidence
  const next = { at: sighting.at, observed: sighting.observed }
  const kept = [...later, next].slice(1 - EVIDENCE_MAX)
  return {
    ...known,
    severity: graver(known.severity, sighting.severity),
    observed: sighting.observed,
    expected: sighting.expected,
    episode: {
      ...known.episode,
      sightings: sightings + 1,
      seenAt: Math.max(seenAt, sighting.at),
      evidence: first === undefined ? kept : [first, ...kept]
    }
  }
}

export const closed = (known: LastingIncident, at: number, closedFor: EpisodeEnd): LastingIncident => ({
  ...known,
  episode: { ...known.episode, closedAt: Math.max(known.at, at), closedFor }
})
