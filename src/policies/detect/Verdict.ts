/**
 * What a detector says of a subject, and what follows from it for its episode. `bad` opens an episode or goes on with it, `good` closes it, and between
 * the two bounds nobody knows: what is open stays open, what is not is not opened. Of a subject without a word for long the episode ends as quiet.
 */
import type * as Schema from "effect/Schema"
import type { KeyId, NamespaceId, NodeId } from "../../schemas/Ids.ts"
import type { EpisodeEnd, Incident, IncidentKind, Severity, Sighting } from "../../schemas/Incident.ts"

export interface Verdict {
  readonly subject: string
  readonly standing: "bad" | "good" | "unclear"
  readonly severity: Severity
  readonly nodeId?: NodeId
  readonly namespaceId?: NamespaceId | null
  readonly keyId?: KeyId
  readonly observed: Schema.JsonObject
  readonly expected: Schema.JsonObject
}

/** All that one detector says in one pass. */
export interface Findings {
  readonly type: string
  readonly kind: IncidentKind
  readonly verdicts: ReadonlyArray<Verdict>
}

export type Action =
  | { readonly _tag: "Sight"; readonly sighting: Sighting }
  | { readonly _tag: "Close"; readonly type: string; readonly subject: string; readonly closedFor: EpisodeEnd }

/** Episodes that one detector opens or goes on with in one pass; the rest come with the next ones. */
export const SIGHTED_MAX = 100

const sightingOf = ({ type, kind }: Findings, verdict: Verdict, at: number): Sighting => {
  const { subject, severity, nodeId, namespaceId, keyId, observed, expected } = verdict
  return {
    kind,
    type,
    severity,
    subject,
    stage: null,
    jobId: null,
    nodeId: nodeId ?? null,
    namespaceId: namespaceId ?? null,
    ...(keyId === undefined ? {} : { keyId }),
    observed,
    expected,
    at
  }
}

/**
 * At most one action a subject.
 *
 * @param open episodes that go on, of this type and others
 * @param quietMs how long an episode without any word stays open
 */
export const actionsOf = (
  findings: Findings,
  open: ReadonlyArray<Incident>,
  now: number,
  quietMs: number
): ReadonlyArray<Action> => {
  const { type, verdicts } = findings
  const said = new Map<string, Verdict>()
  for (const verdict of verdicts) if (!said.has(verdict.subject)) said.set(verdict.subject, verdict)
  const sights = [...said.values()]
    .filter(({ standing }) => standing === "bad")
    .slice(0, SIGHTED_MAX)
    .map((verdict): Action => ({ _tag: "Sight", sighting: sightingOf(findings, verdict, now) }))
  const closes = open.flatMap((incident): ReadonlyArray<Action> => {
    if (incident.type !== type || incident.episode === undefined) return []
    const { subject } = incident
    const standing = said.get(subject)?.standing ?? "unclear"
    if (standing === "good") return [{ _tag: "Close", type, subject, closedFor: "recovered" }]
    return standing === "unclear" && now - incident.episode.seenAt >= quietMs
      ? [{ _tag: "Close", type, subject, closedFor: "quiet" }]
      : []
  })
  return [...sights, ...closes]
}

/** Above the upper bound it is bad, at or below the lower one good. */
export const between = (value: number, goodMost: number, badLeast: number): Verdict["standing"] => {
  if (value >= badLeast) return "bad"
  return value <= goodMost ? "good" : "unclear"
}
