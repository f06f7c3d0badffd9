/**
 * Why a job runs where it runs, or why it still waits, in sentences for a person.
 *
 * A customer is never told which node, only "a node"; an operator is told ids. The sentences are made of states,
 * codes and figures alone, so no text of a request or an answer can get into them.
 */
import type { Job } from "../schemas/Job.ts"
import type { AttemptRecord } from "../schemas/JobRecord.ts"
import { isTerminal, type JobRow } from "../schemas/JobState.ts"
import { Exclusion, type Decision } from "../schemas/NodeProfile.ts"

export type Audience = "customer" | "operator"

/** What dispatch sees for a waiting job right now. */
export interface WaitingFacts {
  readonly serving: number
  readonly looked: number
  readonly excluded: Decision["excluded"]
  /** Jobs before it in its waiting room; null: unknown here. */
  readonly ahead: number | null
}

export interface ExplainFacts {
  readonly now: number
  readonly decisions: ReadonlyArray<Decision>
  readonly attempts: ReadonlyArray<AttemptRecord>
  /** Null: nobody looks for a node at this moment; the last decision is told instead. */
  readonly waiting: WaitingFacts | null
  readonly audience: Audience
}

type ExplainedRow = Pick<
  JobRow,
  "state" | "attempt" | "failures" | "nodeId" | "runAt" | "errorCode" | "finishedAt" | "charged" | "crashes"
> & { readonly job: Pick<Job, "model" | "priority" | "constraints" | "acceptedAt" | "deadlineAt"> }

export const explain = (row: ExplainedRow, facts: ExplainFacts): ReadonlyArray<string> => {
  const sentences = [
    stateSentence(row, facts),
    ...facts.attempts.map((attempt) => attemptSentence(attempt, facts)),
    ...crashSentences(row, facts),
    ...(isTerminal(row.state) ? [] : openSentences(row, facts))
  ]
  return facts.audience === "operator" ? sentences : sentences.map(withoutNodes)
}

const stateSentence = ({ job, state, errorCode, finishedAt }: ExplainedRow, { now }: ExplainFacts): string => {
  if (state === "queued") {
    return `The job waits for ${job.model} with priority ${job.priority}, ${seconds(now - job.acceptedAt)} so far.`
  }
  if (state === "active") return `The job is being worked on, ${seconds(now - job.acceptedAt)} after it was accepted.`
  const after = finishedAt === null ? "" : ` after ${seconds(finishedAt - job.acceptedAt)}`
  return `The job ${ENDED[state]}${after}${errorCode === null ? "" : ` (${errorCode})`}.`
}

const ENDED = {
  completed: "was completed",
  failed: "failed",
  timed_out: "ran out of time",
  expired: "expired before a node took it",
  cancelled: "was cancelled"
} as const

const attemptSentence = (attempt: AttemptRecord, facts: ExplainFacts): string => {
  const cause = attempt.cause === null ? "" : ` (${attempt.cause})`
  const pieces = attempt.tokens === 0 ? "" : ` after ${count(attempt.tokens, "piece")} of output`
  const node = nodeName(attempt.nodeId, facts.audience)
  return `Attempt ${attempt.attempt} ${ATTEMPT[attempt.state]} ${node}${pieces}${cause}${choiceOf(attempt, facts)}.`
}

const ATTEMPT: Readonly<Record<AttemptRecord["state"], string>> = {
  leased: "has a slot on",
  assigned: "was handed to",
  accepted: "was accepted by",
  running: "runs on",
  succeeded: "was completed by",
  rejected: "was declined by",
  failed: "failed on",
  timed_out: "timed out on",
  fenced: "was taken away from"
}

/** Why this node: its place among the candidates of the decision that chose it. */
const choiceOf = (attempt: AttemptRecord, { decisions, audience }: ExplainFacts): string => {
  const decision = decisions.find((one) => one.attempt === attempt.attempt && one.chosen === attempt.nodeId)
  if (decision === undefined) return ""
  const chosen = decision.candidates.find(({ nodeId }) => nodeId === attempt.nodeId)
  const score = chosen === undefined || audience === "customer" ? "" : ` with score ${chosen.score.toFixed(3)}`
  const eligible = Math.max(decision.candidates.length, 1)
  const best = eligible === 1 ? "the only eligible one" : `the best of ${eligible} eligible ones`
  return `; it was ${best}${score}, ${count(decision.serving, "node")} ${serve(decision.serving)} the model`
}

const crashSentences = ({ crashes }: ExplainedRow, { audience }: ExplainFacts): ReadonlyArray<string> =>
  crashes === 0 || audience === "customer" ? [] : [`Its actor or daemon died ${times(crashes)}.`]

const openSentences = (row: ExplainedRow, facts: ExplainFacts): ReadonlyArray<string> => {
  const deadline = `It has ${seconds(row.job.deadlineAt - facts.now)} left until its deadline.`
  return [...waitingSentences(row, facts), deadline]
}

const waitingSentences = (row: ExplainedRow, facts: ExplainFacts): ReadonlyArray<string> => {
  if (facts.attempts.some(({ endedAt }) => endedAt === null)) return []
  if (row.runAt > facts.now) return [`It is tried again in ${seconds(row.runAt - facts.now)}.`]
  const seen = facts.waiting ?? facts.decisions.findLast(({ chosen }) => chosen === null)
  if (seen === undefined) return ["No node has been looked for yet."]
  const ahead = facts.waiting?.ahead ?? null
  return [
    fleetSentence(seen),
    ...(seen.looked < seen.serving ? [`Only ${seen.looked} of them were looked at this time.`] : []),
    ...subcloudSentences(row),
    ...(ahead === null
      ? []
      : [ahead === 0 ? "It is the next to be served." : `${count(ahead, "job")} ${stand(ahead)} before it.`])
  ]
}

/** "14 nodes serve the model; 9 busy, 3 paused, 2 lack VRAM." Most frequent reason first. */
const fleetSentence = ({ serving, excluded }: Pick<Decision, "serving" | "excluded">): string => {
  const reasons = Exclusion.literals
    .map((reason) => ({ reason, nodes: excluded[reason] ?? 0 }))
    .filter(({ nodes }) => nodes > 0)
    .toSorted((a, b) => b.nodes - a.nodes)
    .map(({ reason, nodes }) => `${nodes} ${(nodes === 1 ? ONE : MANY)[reason]}`)
  const fleet = serving === 0 ? "No node serves the model" : `${count(serving, "node")} ${serve(serving)} the model`
  return `${fleet}${reasons.length === 0 ? "" : `; ${reasons.join(", ")}`}.`
}

const subcloudSentences = ({ job }: ExplainedRow): ReadonlyArray<string> =>
  job.constraints.subcloud === undefined
    ? []
    : [`It runs on nodes of the subcloud ${job.constraints.subcloud} only, and never falls back to others.`]

/** `restricted` is told as paused: which restriction a node is under is the operators' business. */
const MANY: Readonly<Record<Exclusion, string>> = {
  environment: "in another environment",
  subcloud: "outside of its pool",
  other_node: "not the one it is for",
  restricted: "paused",
  offline: "offline",
  not_active: "not active yet",
  unhealthy: "unhealthy",
  model: "without the model",
  endpoint: "do not serve this endpoint",
  gpu: "lack the GPU",
  vram: "lack VRAM",
  region: "in another region",
  digest: "on an outdated configuration",
  no_continuation: "cannot go on from a begun answer",
  tried: "tried already",
  no_free_slot: "busy"
}
const ONE: Readonly<Record<Exclusion, string>> = {
  ...MANY,
  endpoint: "does not serve this endpoint",
  gpu: "lacks the GPU",
  vram: "lacks VRAM"
}

const nodeName = (nodeId: string, audience: Audience): string => (audience === "operator" ? `node ${nodeId}` : "a node")

/** The last guard: a cause is a code, but a code that came from a node could hold anything. */
const withoutNodes = (sentence: string): string => sentence.replaceAll(/0x[0-9a-fA-F]{40}/g, "a node")

const count = (amount: number, noun: string): string => `${amount} ${noun}${amount === 1 ? "" : "s"}`
const serve = (amount: number): string => (amount === 1 ? "serves" : "serve")
const stand = (amount: number): string => (amount === 1 ? "stands" : "stand")
const times = (amount: number): string => (amount === 1 ? "once" : `${amount} times`)
const seconds = (ms: number): string => `${(Math.max(0, ms) / 1000).toFixed(1)} s`
