/**
 * What was promised, against what was: availability and a latency percentile over a window, of a model, a subcloud or a node. A model or subcloud is
 * measured as its clients see it, with waiting; a node from when it got the job, with the attempts that failed on it.
 */
import type { DetectorRules, SlaTarget } from "../../schemas/DetectorRules.ts"
import type { NodeId } from "../../schemas/Ids.ts"
import { atNode, type Ended, groupBy, isFailure, isSuccess, known, percentile, percentOf } from "./Ended.ts"
import { between, type Findings, type Verdict } from "./Verdict.ts"

export const SLA = "sla_breach"

interface Measured {
  readonly jobs: number
  readonly failed: number
  readonly firstTokenMs: ReadonlyArray<number>
  readonly totalMs: ReadonlyArray<number>
}

/** Its own target, or that of all of its kind. */
export const targetOf = (subject: string, targets: DetectorRules["sla"]["targets"]): SlaTarget | null => {
  const [kind] = subject.split("/", 1)
  return targets[subject] ?? targets[`${kind}/*`] ?? null
}

const asClientsSee = (jobs: ReadonlyArray<Ended>): Measured => {
  const done = jobs.filter((job) => isSuccess(job))
  const failed = jobs.filter((job) => isFailure(job)).length
  return {
    jobs: done.length + failed,
    failed,
    firstTokenMs: known(done.map(({ firstTokenMs }) => firstTokenMs)),
    totalMs: known(done.map(({ totalMs }) => totalMs))
  }
}

/** Attempts by node: those that failed stand in whatever job they were of. */
const byNode = (ended: ReadonlyArray<Ended>): Map<string, Measured> => {
  const failed = groupBy(
    ended.flatMap(({ failures }) => failures),
    ({ nodeId }) => nodeId
  )
  const done = groupBy(
    ended.filter((job) => isSuccess(job)),
    ({ nodeId }) => nodeId
  )
  const measured = new Map<string, Measured>()
  for (const nodeId of new Set([...failed.keys(), ...done.keys()])) {
    const jobs = done.get(nodeId) ?? []
    const failures = failed.get(nodeId)?.length ?? 0
    const took = jobs.map(atNode)
    measured.set(`node/${nodeId}`, {
      jobs: jobs.length + failures,
      failed: failures,
      firstTokenMs: known(took.map((each) => each.firstTokenMs)),
      totalMs: known(took.map((each) => each.totalMs))
    })
  }
  return measured
}

export const judge = (ended: ReadonlyArray<Ended>, rules: DetectorRules): Findings => {
  const { sla } = rules
  if (Object.keys(sla.targets).length === 0) return { type: SLA, kind: "anomaly", verdicts: [] }
  const subjects = new Map<string, Measured>(byNode(ended))
  for (const [model, jobs] of groupBy(ended, ({ model }) => model)) subjects.set(`model/${model}`, asClientsSee(jobs))
  for (const [name, jobs] of groupBy(ended, ({ subcloud }) => subcloud)) {
    subjects.set(`subcloud/${name}`, asClientsSee(jobs))
  }
  const verdicts = [...subjects].flatMap(([subject, measured]): ReadonlyArray<Verdict> => {
    const target = targetOf(subject, sla.targets)
    return target === null || measured.jobs < sla.volumeMin ? [] : [verdictOf(subject, measured, target, sla.windowMs)]
  })
  return { type: SLA, kind: "anomaly", verdicts }
}

/** Within a tenth of the bound it is neither broken nor well kept. */
const SLACK = 0.1

const verdictOf = (subject: string, measured: Measured, target: SlaTarget, windowMs: number): Verdict => {
  const { availabilityPercent, firstTokenMs, totalMs, percentile: rank } = target
  const failedPercent = percentOf(measured.failed, measured.jobs)
  const firstToken = percentile(measured.firstTokenMs, rank)
  const total = percentile(measured.totalMs, rank)
  const standings = [
    availabilityPercent === undefined ? "good" : availability(failedPercent, 100 - availabilityPercent),
    latency(firstToken, firstTokenMs),
    latency(total, totalMs)
  ]
  const isGood = standings.every((standing) => standing === "good")
  return {
    subject,
    standing: standings.includes("bad") ? "bad" : isGood ? "good" : "unclear",
    severity: "high",
    ...nodeOf(subject),
    observed: {
      availabilityPercent: Math.round((100 - failedPercent) * 10) / 10,
      firstTokenMs: firstToken,
      totalMs: total,
      jobs: measured.jobs,
      windowMs
    },
    expected: {
      availabilityPercent: availabilityPercent ?? null,
      firstTokenMs: firstTokenMs ?? null,
      totalMs: totalMs ?? null,
      percentile: rank
    }
  }
}

const nodeOf = (subject: string): { readonly nodeId?: NodeId } =>
  subject.startsWith("node/") ? { nodeId: subject.slice("node/".length) as NodeId } : {}

const availability = (failedPercent: number, allowed: number): Verdict["standing"] => {
  if (failedPercent > allowed) return "bad"
  return failedPercent <= allowed * (1 - SLACK) ? "good" : "unclear"
}

const latency = (measured: number | null, target: number | undefined): Verdict["standing"] =>
  target === undefined || measured === null ? "good" : between(measured, target * (1 - SLACK), target + 1)
