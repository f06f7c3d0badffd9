/**
 * Which of the eligible nodes is best: a sum of shares between 0 and 1, each of which only grows when the node gets better, and a total
 * order over the sums. Deterministic: the same nodes give the same choice in every daemon.
 *
 * What is not measured yet is scored as a fresh node, so that newcomers get work without being preferred for ever.
 */
import type { NodeId } from "../schemas/Ids.ts"
import type { NodePresence, NodeTrack } from "../schemas/NodeProfile.ts"

/** How much each share counts. None may be negative. */
export interface ScoreWeights {
  readonly freeShare: number
  readonly firstToken: number
  readonly tokensPerSecond: number
  readonly successRate: number
  /** The model is in memory; loading one takes longer than most answers. */
  readonly loaded: number
}

/** Free slots and health first, because they spread load; speed decides among the rest. They sum to 1. */
export const defaultWeights: ScoreWeights = {
  freeShare: 0.3,
  firstToken: 0.1,
  tokensPerSecond: 0.1,
  successRate: 0.3,
  loaded: 0.2
}

/** Where a share is one half. */
const FIRST_TOKEN_HALF_MS = 1_000
const TOKENS_PER_SECOND_HALF = 50

/** Weight of the newest outcome: half of a node's past is forgotten after about three. */
export const NEWEST_SHARE = 0.2

export const freshTrack: NodeTrack = { firstTokenMs: 1_000, tokensPerSecond: 20, successRate: 1 }

export type ScoredNode = Pick<NodePresence, "slots" | "leased" | "models" | "track">

/** Higher is better; finite for every input. */
export const scoreOf = (node: ScoredNode, model: string, weights: ScoreWeights = defaultWeights): number => {
  const { firstTokenMs, tokensPerSecond, successRate } = node.track
  return (
    weights.freeShare * freeShare(node) +
    weights.firstToken * halving(within(firstTokenMs, Number.MAX_VALUE, Number.MAX_VALUE), FIRST_TOKEN_HALF_MS) +
    weights.tokensPerSecond * (1 - halving(within(tokensPerSecond, Number.MAX_VALUE, 0), TOKENS_PER_SECOND_HALF)) +
    weights.successRate * within(successRate, 1, 0) +
    weights.loaded * (node.models.some(({ name, loaded }) => name === model && loaded) ? 1 : 0)
  )
}

const freeShare = ({ slots, leased }: ScoredNode): number =>
  slots > 0 ? within((slots - Math.max(leased, 0)) / slots, 1, 0) : 0

/** 1 at zero, one half at `half`. In this form no rounding can make a larger value rank the other way. */
const halving = (value: number, half: number): number => half / (half + value)

/** Between zero and `max`; what is no number counts as the worst. */
const within = (value: number, max: number, worst: number): number =>
  Number.isNaN(value) ? worst : Math.min(Math.max(value, 0), max)

export interface Scored {
  readonly nodeId: NodeId
  readonly score: number
}

/** Best first; equal scores by node id. A total order, so that sorting never depends on the order of arrival. */
export const compareScored = (a: Scored, b: Scored): number => {
  const [left, right] = [rank(a.score), rank(b.score)]
  if (left !== right) return left > right ? -1 : 1
  return a.nodeId === b.nodeId ? 0 : a.nodeId < b.nodeId ? -1 : 1
}

const rank = (score: number): number => (Number.isNaN(score) ? Number.NEGATIVE_INFINITY : score)

/** How an attempt went, as far as it was measured. An attempt that is nobody's fault is no outcome. */
export interface AttemptOutcome {
  readonly succeeded: boolean
  readonly firstTokenMs: number | null
  readonly tokensPerSecond: number | null
}

/** The track with one more outcome, exponentially weighted. */
export const track = (previous: NodeTrack, outcome: AttemptOutcome): NodeTrack => ({
  firstTokenMs: blend(previous.firstTokenMs, outcome.firstTokenMs, Number.MAX_VALUE),
  tokensPerSecond: blend(previous.tokensPerSecond, outcome.tokensPerSecond, Number.MAX_VALUE),
  successRate: blend(previous.successRate, outcome.succeeded ? 1 : 0, 1)
})

const blend = (previous: number, seen: number | null, max: number): number => {
  const known = within(previous, max, 0)
  return seen === null || !Number.isFinite(seen)
    ? known
    : within((1 - NEWEST_SHARE) * known + NEWEST_SHARE * within(seen, max, 0), max, 0)
}
