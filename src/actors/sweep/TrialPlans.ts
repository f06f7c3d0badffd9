/**
 * Which trials there are next. Each model of each node is drawn with a chance that knows nothing of the last time, so that nobody can foresee a trial; a
 * prompt is drawn from the sets that mean the model, and dressed in the shape of a request that a customer made lately.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { isMeant } from "../../policies/Expectations.ts"
import { chanceWithin } from "../../policies/TrialShape.ts"
import type { NodePresence } from "../../schemas/NodeProfile.ts"
import type { EvaluationSetLine, Trial, TrialKind } from "../../schemas/Quality.ts"
import type { RuntimeSettings } from "../../schemas/RuntimeSettings.ts"
import { oneOf, shuffled } from "./Chance.ts"
import { isOurQuarantine, type TrialHouse } from "./TrialHouse.ts"
import { freshTrialId } from "./TrialIds.ts"
import { orderOf } from "./TrialOrders.ts"

/** Trials that go on at a time, in the whole installation. */
export const OPEN_MAX = 256
interface Draw {
  readonly kind: TrialKind
  readonly node: NodePresence
  readonly model: string
  readonly lines: ReadonlyArray<EvaluationSetLine>
}

/** New trials after so much time, at most `max`. */
export const plan = (house: TrialHouse, open: ReadonlyArray<Trial>, elapsedMs: number, now: number, max: number) =>
  Effect.gen(function* () {
    const lines = yield* house.sets.list
    if (lines.length === 0) return []
    const { settings } = yield* house.settings.current
    const busy = new Set(open.map(({ nodeId, model }) => `${nodeId}/${model}`))
    const draws: Array<Draw> = []
    for (const node of yield* shuffled(yield* house.live.list(now))) {
      const kind = yield* kindOf(house, node, now)
      if (kind === null) continue
      const chance = chanceWithin(kind === "blind" ? settings.blindPerHour : settings.retestPerHour, elapsedMs)
      for (const { name, endpoints } of node.models) {
        if (draws.length >= max) break
        const meant = lines.filter(({ models, endpoint }) => endpoints.includes(endpoint) && isMeant(models, name))
        if (meant.length === 0 || busy.has(`${node.nodeId}/${name}`) || (yield* Random.next) >= chance) continue
        draws.push({ kind, node, model: name, lines: meant })
      }
    }
    return (yield* Effect.forEach(draws, (draw) => trialOf(house, draw, now))).flatMap((trial) => trial ?? [])
  })

/** Whether anything could be planned at all: with nothing asked for, the fleet is looked at for re-tests only, and rarely. */
export const isAskedFor = ({ blindPerHour }: RuntimeSettings): boolean => blindPerHour > 0

const kindOf = ({ nodes }: TrialHouse, { nodeId, lifecycle, healthy, restrictions }: NodePresence, now: number) =>
  Effect.gen(function* () {
    if (lifecycle !== "active" || !healthy) return null
    if (restrictions.length === 0) return "blind" as const
    if (restrictions.some((kind) => kind !== "quarantined")) return null
    const row = yield* nodes.get(nodeId, now)
    return row?.restrictions.some(isOurQuarantine) === true ? ("retest" as const) : null
  })

/** null: the set is gone from under it. */
const trialOf = (house: TrialHouse, { kind, node, model, lines }: Draw, now: number) =>
  Effect.gen(function* () {
    const line = yield* oneOf(lines)
    const set = line === undefined ? null : yield* house.sets.get(line.id, line.version)
    const prompt = set === null ? undefined : yield* oneOf(set.prompts)
    if (set === null || prompt === undefined) return null
    const trial: Trial = {
      id: yield* freshTrialId,
      kind,
      state: "planned",
      environment: node.environment,
      nodeId: node.nodeId,
      model,
      endpoint: set.endpoint,
      setId: set.id,
      setVersion: set.version,
      promptId: prompt.id,
      expect: prompt.expect,
      replicaOf: null,
      order: yield* orderOf(house, set, prompt, model, now),
      jobId: null,
      plannedAt: now,
      endedAt: null,
      answer: null,
      answerSha256: null,
      checks: [],
      score: null,
      code: null
    }
    return trial
  })
