/**
 * A model on a node that got slower than it was: p95 of the first token or of the whole, against the median of the last windows. A window counts for
 * the baseline only while nothing is wrong, so a regression never becomes what is normal; without enough windows there is no baseline and no word.
 */
import * as Schema from "effect/Schema"
import type { DetectorRules } from "../../schemas/DetectorRules.ts"
import { atNode, type Ended, groupBy, isSuccess, known, percentile } from "./Ended.ts"
import type { Findings, Verdict } from "./Verdict.ts"

export const LATENCY = "latency_regression"

const Window = Schema.Struct({ at: Schema.Finite, firstTokenMs: Schema.Finite, totalMs: Schema.Finite })
type Window = typeof Window.Type

/** By subject: the last windows, oldest first. */
export const Baselines = Schema.Record(Schema.String, Schema.Array(Window))
export type Baselines = typeof Baselines.Type

export const WINDOWS_MAX = 12
/** Of so many models on nodes the past is known; of more, those that were heard of last. */
export const SERIES_MAX = 2000

const median = (values: ReadonlyArray<number>): number => percentile(values, 50) ?? 0

const subjectOf = ({ nodeId, model }: Ended): string | null =>
  nodeId === null ? null : `node/${nodeId}/model/${model}`

const windowOf = (jobs: ReadonlyArray<Ended>, at: number): Window | null => {
  const took = jobs.map(atNode)
  const firstTokenMs = percentile(known(took.map((each) => each.firstTokenMs)), 95)
  const totalMs = percentile(known(took.map((each) => each.totalMs)), 95)
  return totalMs === null ? null : { at, firstTokenMs: firstTokenMs ?? totalMs, totalMs }
}

export interface Judged {
  readonly findings: Findings
  readonly baselines: Baselines
}

/** @param open subjects whose episode goes on */
export const judge = (
  ended: ReadonlyArray<Ended>,
  rules: DetectorRules,
  before: Baselines,
  open: ReadonlySet<string>,
  now: number
): Judged => {
  const { latency, windowMs } = rules
  const verdicts: Array<Verdict> = []
  const baselines: Record<string, ReadonlyArray<Window>> = { ...before }
  const counted = ended.filter((job) => isSuccess(job) && job.retries === 0)
  for (const [subject, jobs] of groupBy(counted, subjectOf)) {
    const nodeId = jobs[0]?.nodeId ?? null
    const window = jobs.length < latency.volumeMin ? null : windowOf(jobs, now)
    if (window === null || nodeId === null) continue
    const past = before[subject] ?? []
    const verdict = past.length < latency.windowsMin ? null : verdictOf(subject, window, past, jobs.length, rules)
    if (verdict !== null) verdicts.push({ ...verdict, nodeId })
    const isWell = !open.has(subject) && (verdict === null || verdict.standing === "good")
    const isDue = now - (past.at(-1)?.at ?? Number.NEGATIVE_INFINITY) >= windowMs
    if (isWell && isDue) baselines[subject] = [...past, window].slice(-WINDOWS_MAX)
  }
  return { findings: { type: LATENCY, kind: "anomaly", verdicts }, baselines: bounded(baselines) }
}

const bounded = (baselines: Baselines): Baselines => {
  const entries = Object.entries(baselines)
  if (entries.length <= SERIES_MAX) return baselines
  const newest = entries.toSorted(([, a], [, b]) => (b.at(-1)?.at ?? 0) - (a.at(-1)?.at ?? 0))
  return Object.fromEntries(newest.slice(0, SERIES_MAX))
}

const verdictOf = (
  subject: string,
  window: Window,
  past: ReadonlyArray<Window>,
  jobs: number,
  { latency, windowMs }: DetectorRules
): Verdict => {
  const baseline = {
    firstTokenMs: median(past.map(({ firstTokenMs }) => firstTokenMs)),
    totalMs: median(past.map(({ totalMs }) => totalMs))
  }
  const standings = (["firstTokenMs", "totalMs"] as const).map((which) =>
    standingOf(window[which], baseline[which], latency)
  )
  const isGood = standings.every((standing) => standing === "good")
  return {
    subject,
    standing: standings.includes("bad") ? "bad" : isGood ? "good" : "unclear",
    severity: "medium",
    observed: { firstTokenMs: window.firstTokenMs, totalMs: window.totalMs, jobs, windowMs },
    expected: { ...baseline, windows: past.length, risePercentMost: latency.risePercent }
  }
}

const standingOf = (now: number, before: number, rules: DetectorRules["latency"]): Verdict["standing"] => {
  const { risePercent, recoveredPercent, riseMsMin } = rules
  const rise = now - before
  if (rise >= riseMsMin && rise * 100 > before * risePercent) return "bad"
  return rise * 100 <= before * Math.min(recoveredPercent, risePercent) || rise * 2 < riseMsMin ? "good" : "unclear"
}
