/** What the upkeep of quality works with, and the names under which it acts. */
import type { Audit } from "../../layers/Audit.ts"
import type { EvaluationSets } from "../../layers/EvaluationSets.ts"
import type { Incidents } from "../../layers/Incidents.ts"
import type { JobRecords } from "../../layers/JobRecords.ts"
import type { JobSearch } from "../../layers/JobSearch.ts"
import type { JobStore } from "../../layers/JobStore.ts"
import type { LiveNodes } from "../../layers/LiveNodes.ts"
import type { Namespaces } from "../../layers/Namespaces.ts"
import type { NodeRegistry } from "../../layers/NodeRegistry.ts"
import type { Quality } from "../../layers/Quality.ts"
import type { RecordRetention } from "../../layers/RecordRetention.ts"
import type { Settings } from "../../layers/Settings.ts"
import type { Restriction } from "../../schemas/NodeProfile.ts"
import type { QualityReach } from "../QualityReach.ts"

export interface TrialHouse {
  readonly audit: Audit["Service"]
  readonly sets: EvaluationSets["Service"]
  readonly incidents: Incidents["Service"]
  readonly records: JobRecords["Service"]
  readonly search: JobSearch["Service"]
  readonly store: JobStore["Service"]
  readonly live: LiveNodes["Service"]
  readonly namespaces: Namespaces["Service"]
  readonly nodes: NodeRegistry["Service"]
  readonly quality: Quality["Service"]
  readonly retention: RecordRetention["Service"]
  readonly settings: Settings["Service"]
  readonly reach: QualityReach["Service"]
}

export const SCOPE = { _tag: "Operator", by: "sweeper/blind" } as const

/** Who sets and lifts quarantines by rule. What an operator set only an operator lifts. */
export const JUDGE = "sweeper/quality"

export const isOurQuarantine = ({ kind, by }: Restriction): boolean => kind === "quarantined" && by === JUDGE
