/**
 * Keeps the score of each node with each model up with its evidence, and acts on it: who is certainly too bad is quarantined, and who passes enough
 * re-tests in a row is let back in with nothing held against him. Both stand in the audit, and a quarantine is an incident.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Metrics from "../../layers/Metrics.ts"
import { hasRecovered, scoreOf, tooLow } from "../../policies/QualityScore.ts"
import { freshIncidentId, type NodeId } from "../../schemas/Ids.ts"
import type { NodeRow } from "../../schemas/NodeProfile.ts"
import type { Score, Standing } from "../../schemas/Quality.ts"
import type { Options } from "./Sweeper.ts"
import { isOurQuarantine, JUDGE, type TrialHouse } from "./TrialHouse.ts"

/** Newest pieces of evidence of each source that a score is made of. */
const EVIDENCE_MAX = 200
/** Trials and evidence are kept so long. */
const KEPT_MS = 90 * 86_400_000
const AT_ONCE = 4

type QualityHouse = Pick<TrialHouse, "audit" | "incidents" | "nodes" | "quality" | "reach" | "settings">

export const make = (house: QualityHouse): Options => ({
  name: "quality",
  everyMs: 5_000,
  batchMax: 100,
  sweepBatch: (watermark, max, dryRun) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const pending = yield* house.quality.standings({ pending: true, limit: max })
      if (dryRun) return { taken: pending.length, watermark }
      const judged = yield* Effect.forEach(pending, (standing) => judge(house, standing, now), { concurrency: AT_ONCE })
      const forgotten = yield* house.quality.forget({ _tag: "Before", before: now - KEPT_MS, limit: max })
      const count = (what: string) => judged.filter((one) => one === what).length
      const detail = { scored: pending.length, quarantined: count("quarantined"), lifted: count("lifted"), forgotten }
      return { taken: pending.length, watermark, detail }
    })
})

const judge = (house: QualityHouse, standing: Standing, now: number) =>
  Effect.gen(function* () {
    const { nodeId, model } = standing
    const trials = yield* house.quality.evidence(nodeId, model, "trials", EVIDENCE_MAX)
    const checks = yield* house.quality.evidence(nodeId, model, "checks", EVIDENCE_MAX)
    const score = scoreOf(trials, checks, now)
    const outcome = yield* act(house, standing, score, now)
    // Last: whoever dies before it leaves the standing pending, and acts again.
    yield* house.quality.settle({ ...standing, score })
    return outcome
  })

const act = (house: QualityHouse, { nodeId, model }: Standing, score: Score, now: number) =>
  Effect.gen(function* () {
    const { settings } = yield* house.settings.current
    const node = yield* house.nodes.get(nodeId, now)
    if (node === null) return "unknown" as const
    if (node.restrictions.some(({ kind }) => kind === "quarantined")) return yield* perhapsLift(house, node, now)
    const by = tooLow(score, settings)
    const interval = by === null ? null : score[by]
    if (by === null || interval === null) return "kept" as const
    const { samples, high } = interval
    const figures = `at most ${percent(high)} of ${samples.toFixed(1)} samples`
    const reason = `${by} of ${model}: ${figures}, ${percent(settings.quarantineBelow)} are needed`
    const restriction = { kind: "quarantined", reason, by: JUDGE, since: now, until: null } as const
    yield* known(house.reach.restrict(nodeId, restriction))
    yield* told(house, "node.quarantined", nodeId, reason, now)
    yield* raise(house, nodeId, { by, model, samples, high, faults: score.faults }, settings.quarantineBelow, now)
    yield* Metric.update(Metric.withAttributes(Metrics.quarantines, { change: "set" }), 1)
    return "quarantined" as const
  })

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`

const perhapsLift = (house: QualityHouse, { nodeId, restrictions }: NodeRow, now: number) =>
  Effect.gen(function* () {
    const ours = restrictions.find(isOurQuarantine)
    if (ours === undefined) return "kept" as const
    const { retestPasses } = (yield* house.settings.current).settings
    const retests = yield* house.quality.trials({ kind: "retest", nodeId, limit: 4 * retestPasses })
    const since = retests.filter(({ plannedAt }) => plannedAt >= ours.since)
    if (
      !hasRecovered(
        since.map(({ state }) => state),
        retestPasses
      )
    )
      return "kept" as const
    yield* house.quality.forget({ _tag: "Node", nodeId })
    yield* known(house.reach.lift(nodeId, "quarantined", JUDGE))
    yield* told(house, "node.reinstate", nodeId, `${retestPasses} re-tests in a row were passed`, now)
    yield* Metric.update(Metric.withAttributes(Metrics.quarantines, { change: "lifted" }), 1)
    return "lifted" as const
  })

/** A node that is not in the registry any more has nothing to be held back from. */
const known = <A, E extends { readonly _tag: string }>(change: Effect.Effect<A, E>) =>
  Effect.catchIf(
    change,
    (error): error is Extract<E, { _tag: "Refusal" }> => error._tag === "Refusal",
    () => Effect.void
  )

const told = ({ audit }: QualityHouse, action: string, nodeId: NodeId, reason: string, at: number) =>
  audit.append({ actor: JUDGE, action, subject: `node/${nodeId}`, reason, detail: {}, at })

const raise = (
  { incidents }: QualityHouse,
  nodeId: NodeId,
  observed: { readonly [figure: string]: string | number | Readonly<Record<string, number>> },
  expected: number,
  at: number
) =>
  Effect.flatMap(freshIncidentId, (id) =>
    incidents.raise([
      {
        id,
        kind: "anomaly",
        type: "node_quarantined",
        severity: "high",
        subject: `node/${nodeId}`,
        stage: null,
        jobId: null,
        nodeId,
        namespaceId: null,
        observed,
        expected: { least: expected },
        at
      }
    ])
  )
