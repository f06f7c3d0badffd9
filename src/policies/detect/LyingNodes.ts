/**
 * Nodes whose results are not what they say: token counts or hashes that do not fit what came, more tokens a second than any machine makes, one long
 * answer to requests of different lengths. One sign proves nothing, so each has a number below which it is none.
 */
import type { DetectorRules } from "../../schemas/DetectorRules.ts"
import type { Incident } from "../../schemas/Incident.ts"
import { type Ended, groupBy, isSuccess } from "./Ended.ts"
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

export const judge = (
  ended: ReadonlyArray<Ended>,
  mismatches: ReadonlyArray<Pick<Incident, "nodeId">>,
  rules: DetectorRules
): Findings => {
  const wrong = groupBy(mismatches, ({ nodeId }) => nodeId)
  const done = groupBy(
    ended.filter((job) => isSuccess(job) && job.retries === 0),
    ({ nodeId }) => nodeId
  )
  const nodes = new Set([...wrong.keys(), ...done.keys()])
  const verdicts = [...nodes].map((nodeId) => verdictOf(nodeId, done.get(nodeId) ?? [], wrong.get(nodeId) ?? [], rules))
  return { type: LYING, kind: "anomaly", verdicts }
}

const verdictOf = (
  nodeId: string,
  jobs: ReadonlyArray<Ended>,
  wrong: ReadonlyArray<unknown>,
  rules: DetectorRules
): Verdict => {
  const { mismatchesMax, sameAnswersMax } = rules.lying
  const tooFast = jobs.filter((job) => isTooFast(job, rules)).length
  const same = sameAnswers(jobs)
  const isBad = wrong.length >= mismatchesMax || tooFast >= FAST_MIN || same >= sameAnswersMax
  const isGood = jobs.length > 0 && wrong.length === 0 && tooFast === 0 && same * 2 <= sameAnswersMax
  return {
    subject: `node/${nodeId}`,
    standing: isBad ? "bad" : isGood ? "good" : "unclear",
    severity: "high",
    nodeId: nodeId as NonNullable<Ended["nodeId"]>,
    observed: { mismatches: wrong.length, tooFast, sameAnswers: same, jobs: jobs.length, windowMs: rules.windowMs },
    expected: { mismatchesBelow: mismatchesMax, tooFastBelow: FAST_MIN, sameAnswersBelow: sameAnswersMax }
  }
}
