/**
 * Which jobs, entries and incidents leave the live stores, when, as what, and what the segment is called that they leave in. A segment's id follows from
 * what is in it: a pass that is repeated after a crash writes the same segment again.
 */
import { createHash } from "node:crypto"
import { type DataClass, type JobClass, SegmentId } from "../schemas/Archive.ts"
import { canonicalJson } from "../schemas/CanonicalJson.ts"
import type { JobId, NamespaceId } from "../schemas/Ids.ts"
import { type NamespaceRules, STANDARD_TIER } from "../schemas/Namespace.ts"
import { dayOf } from "../schemas/Rollup.ts"
import { DAYS_MAX, type RetentionClass, type RetentionSettings, type Tier } from "../schemas/Retention.ts"

const DAY_MS = 86_400_000

type Rules = Pick<NamespaceRules, "retentionDays" | "retentionTier" | "persistPayloads" | "held">

/** Instants: what ended, or was written, before them may leave. */
export interface Cutoffs {
  readonly bodies: number
  readonly metadata: number
  readonly logs: number
  readonly incidents: number
  /** Beyond it nothing stays, held or not: what is held leaves as held. */
  readonly ceiling: number
}

/** A tier that the settings do not have any more is the standard one. */
export const tierOf = ({ tiers }: RetentionSettings, name: string = STANDARD_TIER): Tier =>
  tiers[name] ?? tiers.standard

/**
 * Bodies never stay longer than their metadata, and log entries never leave before the job that they are about. With no days kept, everything that has
 * ended may leave.
 */
export const cutoffs = (now: number, rules: Rules, settings: RetentionSettings): Cutoffs => {
  const tier = tierOf(settings, rules.retentionTier)
  const metadataDays = rules.retentionDays ?? tier.metadata
  const metadata = now - metadataDays * DAY_MS
  const kept = now - Math.min(tier.bodies, metadataDays) * DAY_MS
  return {
    bodies: rules.persistPayloads ? kept : Math.max(metadata, kept, now - settings.resultWindowMs),
    metadata,
    logs: now - Math.max(tier.logs, metadataDays) * DAY_MS,
    incidents: now - tier.incidents * DAY_MS,
    ceiling: now - DAYS_MAX * DAY_MS
  }
}

/** Whether bodies leave in a step of their own; otherwise a job leaves whole. */
export const leavesInSteps = (rules: Rules, { bodies, metadata }: Cutoffs): boolean =>
  !rules.persistPayloads || bodies > metadata

/** One step of a namespace's jobs: those of this part that ended before the instant leave as this. */
export interface Step {
  readonly part: "whole" | "stripped" | "held"
  readonly before: number
  readonly leavesAs: JobClass
}

/** In the order in which they are taken. Under a legal hold, what reaches the ceiling is archived as held, and nothing else goes. */
export const stepsOf = (rules: Rules, at: Cutoffs): ReadonlyArray<Step> => {
  const atCeiling = (part: Step["part"]): Step => ({ part, before: at.ceiling, leavesAs: "held" })
  if (rules.held === true) return [atCeiling("whole"), atCeiling("stripped"), atCeiling("held")]
  return [
    leavesInSteps(rules, at)
      ? { part: "whole", before: at.bodies, leavesAs: "bodies" }
      : { part: "whole", before: at.metadata, leavesAs: "jobs" },
    { part: "stripped", before: at.metadata, leavesAs: "metadata" },
    atCeiling("held")
  ]
}

/** What becomes of a class. wait: nothing is deleted until there is cold storage; `warns` says that it was meant to be archived. */
export type Fate =
  | { readonly _tag: "archive" }
  | { readonly _tag: "drop" }
  | { readonly _tag: "wait"; readonly warns: boolean }

export const fateOf = (of: RetentionClass, hasArchive: boolean, { withoutArchive }: RetentionSettings): Fate => {
  if (hasArchive) return { _tag: "archive" }
  const rule = withoutArchive[of]
  return rule === "drop" ? { _tag: "drop" } : { _tag: "wait", warns: rule === "archive" }
}

/** Rows of jobs that ended before this instant may leave: their day has been over for as many days as rows are kept. */
export const rowsBefore = (now: number, { rowDays }: RetentionSettings): number => dayOf(now - rowDays * DAY_MS)

/**
 * Whether a job's record may still be live, by its clock alone: then its row stays without that anybody is asked. A row of a namespace under legal hold stays.
 */
export const rowStays = (endedAt: number, now: number, rules: Rules, settings: RetentionSettings): boolean =>
  rules.held === true || endedAt >= cutoffs(now, rules, settings).metadata

/** The clock and the rule that a class of segments goes by; rows have a clock of their own. Rollups leave when an operator says so. */
export const classOf: Readonly<Record<Exclude<DataClass, "rollups">, RetentionClass>> = {
  jobs: "metadata",
  held: "metadata",
  metadata: "metadata",
  bodies: "bodies",
  logs: "logs",
  incidents: "incidents",
  rows: "metadata"
}

/** The order of the ids does not matter. There is no empty segment. */
export const segmentIdOf = (
  namespaceId: NamespaceId | null,
  ids: ReadonlyArray<string>,
  dataClass: DataClass = "jobs"
): SegmentId => {
  if (ids.length === 0) throw new Error("a segment holds at least one job or entry")
  const named = canonicalJson({ dataClass, namespaceId, jobIds: ids.toSorted() })
  return idOf(named)
}

/** Of the segment that stands for another one without these jobs. */
export const successorOf = (replaced: SegmentId, erased: ReadonlyArray<string>): SegmentId =>
  idOf(canonicalJson({ replaces: replaced, erased: erased.toSorted() }))

/** The mark of a job whose body is being erased. No segment is ever written under it. */
export const erasureMarkOf = (jobId: JobId): SegmentId => idOf(canonicalJson({ erases: jobId }))

const idOf = (named: string): SegmentId =>
  SegmentId.make(`seg_${createHash("sha256").update(named).digest("hex").slice(0, 32)}`)
