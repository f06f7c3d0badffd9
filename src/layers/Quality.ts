/**
 * What is known of how good nodes are: trials and what came of them, evidence for and against each node with each model, and the standing that follows.
 * It holds texts of trials, so it stands with the records; no key of a customer and no node ever leads here. Whatever is told twice counts once.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { NodeId } from "../schemas/Ids.ts"
import type {
  EvaluationSetId,
  Evidence,
  EvidenceSource,
  Score,
  Standing,
  Trial,
  TrialKind,
  TrialState
} from "../schemas/Quality.ts"
import type { Outage } from "./Outage.ts"

export interface TrialQuery {
  readonly kind?: TrialKind
  readonly state?: TrialState
  readonly nodeId?: NodeId
  readonly model?: string
  readonly setId?: EvaluationSetId
  readonly limit: number
}

/** So many trials without an end. */
export interface OpenTrials {
  readonly open: number
}

export interface StandingQuery {
  /** Only those with evidence that their score does not know. */
  readonly pending?: true
  readonly nodeId?: NodeId
  readonly model?: string
  readonly limit: number
}

/** What is let go: all that speaks for or against a node (its trials stay), or whatever is older than an instant. */
export type Forgetting =
  | { readonly _tag: "Node"; readonly nodeId: NodeId }
  | { readonly _tag: "Before"; readonly before: number; readonly limit: number }

export interface Driver {
  /** Afterwards the trial is as told. One that has ended stays as it is. */
  readonly put: (trial: Trial) => Effect.Effect<void, Outage>
  /** Newest first; those without an end oldest first. */
  readonly trials: (query: TrialQuery | OpenTrials) => Effect.Effect<ReadonlyArray<Trial>, Outage>
  /** Afterwards each is counted once, whenever it was told before, and the standings that it speaks of are pending. */
  readonly count: (evidence: ReadonlyArray<Evidence>) => Effect.Effect<void, Outage>
  /** Newest first. */
  readonly evidence: (
    nodeId: NodeId,
    model: string,
    source: EvidenceSource,
    limit: number
  ) => Effect.Effect<ReadonlyArray<Evidence>, Outage>
  /** By node and model. */
  readonly standings: (query: StandingQuery) => Effect.Effect<ReadonlyArray<Standing>, Outage>
  /** The standing has this score, made of what was counted up to `rev`; evidence that came since leaves it pending. Of one that is forgotten: nothing. */
  readonly settle: (standing: Standing & { readonly score: Score }) => Effect.Effect<void, Outage>
  /** How much is gone. Open trials and standings are never too old. */
  readonly forget: (what: Forgetting) => Effect.Effect<number, Outage>
}

export class Quality extends Context.Service<Quality, Driver>()("resultity/layers/Quality") {}

export const QUALITY_LIMIT_MAX = 1000
const bounded = (limit: number) => Math.min(Math.max(limit, 1), QUALITY_LIMIT_MAX)

export const hasEnded = ({ state }: Pick<Trial, "state">): boolean => state !== "planned" && state !== "running"

export const make = (driver: Driver): Quality["Service"] =>
  Quality.of({
    put: Effect.fn("Quality.put")(driver.put),
    trials: Effect.fn("Quality.trials")((query) =>
      driver.trials("open" in query ? { open: bounded(query.open) } : { ...query, limit: bounded(query.limit) })
    ),
    count: (evidence) => (evidence.length === 0 ? Effect.void : driver.count(evidence)),
    evidence: (nodeId, model, source, limit) => driver.evidence(nodeId, model, source, bounded(limit)),
    standings: Effect.fn("Quality.standings")((query) => driver.standings({ ...query, limit: bounded(query.limit) })),
    settle: driver.settle,
    forget: Effect.fn("Quality.forget")((what) =>
      driver.forget(what._tag === "Before" ? { ...what, limit: bounded(what.limit) } : what)
    )
  })
