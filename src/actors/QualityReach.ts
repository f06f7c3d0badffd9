/**
 * What the upkeep of quality does through other actors: it asks for jobs at the gate where everybody asks, and holds nodes back where operators do. The
 * layer is made where these are known (`quality/ReachLayer.ts`).
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { Outage } from "../layers/Outage.ts"
import type { JobId, NodeId } from "../schemas/Ids.ts"
import type { Environment, Mode } from "../schemas/Job.ts"
import type { NodeRow, Restriction, RestrictionKind } from "../schemas/NodeProfile.ts"
import type { TrialId } from "../schemas/Quality.ts"
import type { Refusal } from "../schemas/Refusal.ts"

export interface TrialOrder {
  /** Asked twice under one id, there is one job. */
  readonly trialId: TrialId
  readonly environment: Environment
  readonly nodeId: NodeId
  readonly model: string
  readonly endpoint: "chat" | "completions"
  readonly mode: Mode
  readonly deadlineMs: number | null
  readonly request: Schema.JsonObject
}

export class QualityReach extends Context.Service<
  QualityReach,
  {
    /** A job like every other, for this node, paid by the network. Refused as any request may be. */
    readonly admit: (order: TrialOrder) => Effect.Effect<JobId, Refusal | Outage>
    /** Refused with `not_found`. */
    readonly restrict: (nodeId: NodeId, restriction: Restriction) => Effect.Effect<NodeRow, Refusal | Outage>
    readonly lift: (nodeId: NodeId, kind: RestrictionKind, by: string) => Effect.Effect<NodeRow, Refusal | Outage>
  }
>()("resultity/actors/QualityReach") {}
