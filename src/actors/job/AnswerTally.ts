/**
 * Counts what can be seen of the answers of this daemon's jobs, by node and model, and stores the sums now and then. It holds figures and no text, never
 * slows a job, and loses up to a minute of counting when the daemon dies: it is a sample, not a ledger.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import { DaemonConfig } from "../../layers/DaemonConfig.ts"
import * as Metrics from "../../layers/Metrics.ts"
import { Quality } from "../../layers/Quality.ts"
import {
  checksOf,
  type Pace,
  paceAfter,
  PACED_TOKENS_MIN,
  type SeenAnswer,
  usualOf
} from "../../policies/AnswerChecks.ts"
import type { NodeId } from "../../schemas/Ids.ts"
import type { Evidence } from "../../schemas/Quality.ts"

export interface Answered extends Omit<SeenAnswer, "tokensPerSecond" | "usualTokensPerSecond"> {
  readonly nodeId: NodeId
  readonly model: string
  /** From its first piece to its last. */
  readonly ms: number
}

/** Shorter times are of one packet, and tell no pace. */
const PACED_MS_MIN = 250
/** Pairs of node and model that are counted between two stores, and whose pace is remembered. */
const PAIRS_MAX = 10_000
/** Each store makes a score anew for each pair, so the fleet's size is what it costs. */
const EVERY = "1 minute"

interface Sum {
  readonly nodeId: NodeId
  readonly model: string
  passed: number
  failed: number
  readonly faults: Record<string, number>
}

export class AnswerTally extends Context.Service<
  AnswerTally,
  {
    readonly note: (answered: Answered) => Effect.Effect<void>
  }
>()("resultity/actors/job/AnswerTally") {
  static readonly layer = Layer.effect(
    AnswerTally,
    Effect.gen(function* () {
      const quality = yield* Quality
      const { daemonId } = yield* DaemonConfig
      const paces = new Map<string, Pace>()
      let sums = new Map<string, Sum>()
      // Of this life of the daemon, so that no two of its stores share a name.
      const life = yield* Random.nextIntBetween(0, 2 ** 31)
      let stores = 0
      const store = Effect.gen(function* () {
        if (sums.size === 0) return
        const taken = sums
        sums = new Map()
        const at = yield* Clock.currentTimeMillis
        const name = `${daemonId}/${life}/${stores++}`
        const evidence = [...taken.values()].map((sum, place): Evidence => ({
          ...sum,
          id: `${name}/${place}`,
          source: "checks",
          at
        }))
        yield* Effect.catch(quality.count(evidence), ({ during }) =>
          Effect.logWarning("counts of answers are lost", { during, pairs: evidence.length })
        )
      })
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(EVERY), store)))
      yield* Effect.addFinalizer(() => store)
      return AnswerTally.of({
        note: (answered) =>
          Effect.suspend(() => {
            const faults = count(sums, paces, answered)
            return Effect.forEach(
              faults,
              (check) => Metric.update(Metric.withAttributes(Metrics.answerFaults, { check }), 1),
              { discard: true }
            )
          })
      })
    })
  )
}

/** The checks that did not hold. One answer is one sample, whatever is wrong with it. */
const count = (sums: Map<string, Sum>, paces: Map<string, Pace>, answered: Answered): ReadonlyArray<string> => {
  const { nodeId, model, outputTokens, ms } = answered
  const pair = `${nodeId}/${model}`
  const tokensPerSecond = outputTokens < PACED_TOKENS_MIN ? null : (outputTokens * 1000) / Math.max(PACED_MS_MIN, ms)
  const usual = paces.get(pair)
  const checks = checksOf({ ...answered, tokensPerSecond, usualTokensPerSecond: usualOf(usual) })
  if (tokensPerSecond !== null && (usual !== undefined || paces.size < PAIRS_MAX)) {
    paces.set(pair, paceAfter(usual, tokensPerSecond))
  }
  const faults = checks.flatMap(({ check, ok }) => (ok ? [] : [check]))
  const sum = sums.get(pair) ?? { nodeId, model, passed: 0, failed: 0, faults: {} }
  if (!sums.has(pair) && sums.size >= PAIRS_MAX) return faults
  sums.set(pair, sum)
  if (faults.length === 0) sum.passed += 1
  else sum.failed += 1
  for (const check of faults) sum.faults[check] = (sum.faults[check] ?? 0) + 1
  return faults
}
