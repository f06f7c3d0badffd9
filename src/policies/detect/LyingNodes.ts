/**
 * Nodes whose results are not what they say: token counts or hashes that do not fit what came, more tokens a second than any machine makes, more
 * tokens for as much text than other nodes of the model claim, one long answer to requests of different lengths. One sign proves nothing, so each has a
 * number below which it is none.
 */
import type { DetectorRules } from "../../schemas/DetectorRules.ts"
import type { Incident } from "../../schemas/Incident.ts"
import { type Ended, groupBy, isSuccess, percentile } from "./Ended.ts"
import type { Findings, Verdict } from "./Verdict.ts"

export const LYING = "lying_node"

/** What the jobs' actors raise, each about one result. */
export const MISMATCHES = ["token_count_mismatch", "result_mismatch"] as const

/** Shorter ones are made in no time, and are the same for good reasons. */
export const TOKENS_MIN = 64
/** Jobs that came too fast, before that says anything. */
export const FAST_MIN = 5
/** Requests of different lengths with one answer. */
const LENGTHS_MIN = 3

const isTooFast = (job: Ended, { lying }: DetectorRules): boolean => {
  const { queueMs, totalMs, outputTokens } = job
  if (queueMs === null || totalMs === null || outputTokens < TOKENS_MIN) return false
  return (outputTokens * 1000) / Math.max(1, totalMs - queueMs) > lying.tokensPerSecondMax
}

/** How often the most frequent long answer came, where the requests cannot have been the same. */
const sameAnswers = (jobs: ReadonlyArray<Ended>): number => {
  const long = jobs.filter(({ outputTokens }) => outputTokens >= TOKENS_MIN)
  const times = [...groupBy(long, ({ answer }) => answer).values()]
    .filter((each) => new Set(each.map(({ promptTokens }) => promptTokens)).size >= LENGTHS_MIN)
    .map((each) => each.length)
  return Math.max(0, ...times)
}

/** Answers of a node that make its tokens comparable, and other nodes that it is compared with. */
export const COMPARED_MIN = 20
const PEERS_MIN = 2

/** Tokens that were claimed for a kilobyte of text; null of too few answers. */
const density = (jobs: ReadonlyArray<Ended>): number | null => {
  const claims = jobs.flatMap(({ claim }) => (claim === null || claim.outputBytes === 0 ? [] : [claim]))
  if (claims.length < COMPARED_MIN) return null
  const bytes = claims.reduce((sum, claim) => sum + claim.outputBytes, 0)
  return (claims.reduce((sum, claim) => sum + claim.outputTokens, 0) * 1000) / bytes
}

/** By how much each node claims more than the middle one of the others that serve the model: the worst of its models, in percent. */
const inflations = (done: ReadonlyArray<Ended>): ReadonlyMap<string, number> => {
  const worst = new Map<string, number>()
  for (const jobs of groupBy(done, ({ model }) => model).values()) {
    const densities = [...groupBy(jobs, ({ nodeId }) => nodeId)].flatMap(([nodeId, each]) => {
      const value = density(each)
      return value === null ? [] : [{ nodeId, value }]
    })
    for (const { nodeId, value } of densities) {
      const others = densities.filter((other) => other.nodeId !== nodeId).map((other) => other.value)
      const middle = others.length < PEERS_MIN ? null : percentile(others, 50)
      if (middle === null || middle === 0) continue
      const more = Math.round((value / middle - 1) * 100)
      worst.set(nodeId, Math.max(more, worst.get(nodeId) ?? more))
    }
  }
  return worst
}

export const judge = (
  ended: ReadonlyArray<Ended>,
  mismatches: ReadonlyArray<Pick<Incident, "nodeId">>,
  rules: DetectorRules
): Findings => {
  const wrong = groupBy(mismatches, ({ nodeId }) => nodeId)
  const whole = ended.filter((job) => isSuccess(job) && job.retries === 0)
  const done = groupBy(whole, ({ nodeId }) => nodeId)
  const inflated = inflations(whole)
  const nodes = new Set([...wrong.keys(), ...done.keys()])
  const verdicts = [...nodes].map((nodeId) => {
    const more = inflated.get(nodeId) ?? null
    return verdictOf(nodeId, done.get(nodeId) ?? [], wrong.get(nodeId) ?? [], more, rules)
  })
  return { type: LYING, kind: "anomaly", verdicts }
}

const verdictOf = (
  nodeId: string,
  jobs: ReadonlyArray<Ended>,
  wrong: ReadonlyArray<unknown>,
  inflationPercent: number | null,
  rules: DetectorRules
): Verdict => {
  const { mismatchesMax, sameAnswersMax, inflationPercent: inflationMax } = rules.lying
  const inflation = inflationPercent ?? 0
  const tooFast = jobs.filter((job) => isTooFast(job, rules)).length
  const same = sameAnswers(jobs)
  const isInflated = inflation > inflationMax
  const isBad = wrong.length >= mismatchesMax || tooFast >= FAST_MIN || same >= sameAnswersMax || isInflated
  const isCalm = wrong.length === 0 && tooFast === 0 && same * 2 <= sameAnswersMax && inflation * 2 <= inflationMax
  const isGood = jobs.length > 0 && isCalm
  return {
    subject: `node/${nodeId}`,
    standing: isBad ? "bad" : isGood ? "good" : "unclear",
    severity: "high",
    nodeId: nodeId as NonNullable<Ended["nodeId"]>,
    observed: {
      mismatches: wrong.length,
      tooFast,
      sameAnswers: same,
      inflationPercent,
      jobs: jobs.length,
      windowMs: rules.windowMs
    },
    expected: {
      mismatchesBelow: mismatchesMax,
      tooFastBelow: FAST_MIN,
      sameAnswersBelow: sameAnswersMax,
      inflationPercentMost: inflationMax
    }
  }
}
