/** Figures of one scenario out of the logs, and whether it passed: pure, so that it can be made again from a folder. */
import type { DaemonLine, FaultLine, Op } from "./History.ts"
import { AGAIN } from "./Nemesis.ts"
import type { Criteria } from "./Scenarios.ts"
import type { FaultKind } from "./Timeline.ts"

export interface SectionDone {
  readonly scenario: string
  readonly from: number
  /** When everything was quiet again. */
  readonly until: number
  readonly skipped: Readonly<Record<string, number>>
  readonly repairs: number
  readonly adoptions: number
  readonly handovers: number
  /** Operations that did not end. */
  readonly open: number
  readonly leftOver: ReadonlyArray<string>
}

export interface Quantiles {
  readonly count: number
  readonly p50: number
  readonly p95: number
  readonly most: number
}

export interface Recovery {
  readonly kind: string
  readonly count: number
  readonly failed: number
  /** Until the next job was accepted, and until the next one completed. */
  readonly accept: Quantiles | null
  readonly complete: Quantiles | null
  /** From its begin until it was made good: how long a daemon takes to leave and come back. */
  readonly lasted: Quantiles | null
}

export interface Summary {
  readonly scenario: string
  readonly seconds: number
  readonly asked: number
  readonly accepted: number
  readonly completed: number
  readonly cancelled: number
  readonly failed: Readonly<Record<string, number>>
  readonly refused: Readonly<Record<string, number>>
  readonly unknown: number
  readonly recoveries: ReadonlyArray<Recovery>
  readonly resumes: Quantiles | null
  readonly refusedMsMost: number
  readonly jobMs: Quantiles | null
  readonly done: SectionDone
  readonly problems: ReadonlyArray<string>
}

export const quantiles = (values: ReadonlyArray<number>): Quantiles | null => {
  if (values.length === 0) return null
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0
  return { count: sorted.length, p50: at(0.5), p95: at(0.95), most: sorted.at(-1) ?? 0 }
}

const count = (names: Iterable<string>): Readonly<Record<string, number>> => {
  const counts: Record<string, number> = {}
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

export const summarize = (
  done: SectionDone,
  allOps: ReadonlyArray<Op>,
  allFaults: ReadonlyArray<FaultLine>,
  daemons: ReadonlyArray<DaemonLine>,
  pass: Criteria
): Summary => {
  const within = ({ at }: { readonly at: number }) => at >= done.from && at <= done.until
  const ops = allOps.filter(({ invoke }) => within(invoke))
  const faults = allFaults.filter(within)
  const lines = ops.flatMap(({ lines }) => lines)
  const ends = ops.flatMap(({ end }) => (end === null ? [] : [end]))
  const oks = ends.filter((end) => end.type === "ok")
  const failed = oks.filter(({ state }) => state !== "completed" && state !== "cancelled")
  const refusals = [...lines.filter((line) => line.type === "refused"), ...ends.filter((end) => end.type === "fail")]
  const completedAt = oks.flatMap(({ state, at }) => (state === "completed" ? [at] : [])).toSorted((a, b) => a - b)
  const acceptedAt = lines.flatMap((line) => (line.type === "accepted" ? [line.at] : [])).toSorted((a, b) => a - b)
  const summary: Omit<Summary, "problems"> = {
    scenario: done.scenario,
    seconds: (done.until - done.from) / 1000,
    asked: ops.length,
    accepted: ops.filter(({ accepted }) => accepted.length > 0).length,
    completed: completedAt.length,
    cancelled: oks.filter(({ state }) => state === "cancelled").length,
    failed: count(failed.map(({ cause, state }) => cause ?? state)),
    refused: count(refusals.map(({ status, code }) => `${status} ${code}`)),
    unknown: ends.filter((end) => end.type === "info").length,
    recoveries: recoveriesOf(faults, acceptedAt, completedAt),
    resumes: quantiles(lines.flatMap((line) => (line.type === "resumed" ? [line.gapMs] : []))),
    refusedMsMost: Math.max(0, ...lines.flatMap((line) => (line.type === "refused" ? [line.tookMs] : []))),
    jobMs: quantiles(oks.flatMap(({ state, totalMs }) => (state === "completed" ? [totalMs] : []))),
    done
  }
  return { ...summary, problems: [...problemsOf(summary, pass), ...unaskedEnds(daemons.filter(within))] }
}

/** From where the clock runs: the death of a daemon is to be bridged by the others, an outage by nobody. */
const FROM_BEGIN: ReadonlySet<string> = new Set<FaultKind>([
  "daemon.kill",
  "daemon.term",
  "nodes.kill",
  "redis.flush",
  "rabbitmq.wipe"
])

const recoveriesOf = (
  faults: ReadonlyArray<FaultLine>,
  acceptedAt: ReadonlyArray<number>,
  completedAt: ReadonlyArray<number>
): ReadonlyArray<Recovery> => {
  const name = ({ kind, target }: FaultLine) => (kind.startsWith("server.") ? `${kind} ${target.split("/")[1]}` : kind)
  return [...Map.groupBy(faults, name)]
    .map(([kind, of]) => {
      const step = FROM_BEGIN.has(of[0]?.kind ?? "") ? "begin" : "healed"
      const moments = of.flatMap((line, at) => (line.step === step && !isStruckAgain(of, at) ? [line.at] : []))
      const until = (times: ReadonlyArray<number>) =>
        quantiles(
          moments.flatMap((moment) => {
            const next = times.find((at) => at >= moment)
            return next === undefined ? [] : [next - moment]
          })
        )
      return {
        kind,
        count: of.filter(({ step }) => step === "begin").length,
        failed: of.filter(({ step }) => step === "failed").length,
        accept: until(acceptedAt),
        complete: until(completedAt),
        lasted: quantiles(lastedOf(of))
      }
    })
    .toSorted((a, b) => a.kind.localeCompare(b.kind))
}

/** A target that was struck while it recovered has recovered only after the second time. */
const isStruckAgain = (of: ReadonlyArray<FaultLine>, at: number): boolean => {
  const target = of[at]?.target
  const next = of.slice(at + 1).find((line) => line.target === target && line.step === "begin")
  return next?.note === AGAIN
}

const lastedOf = (of: ReadonlyArray<FaultLine>): ReadonlyArray<number> => {
  const since = new Map<string, number>()
  const lasted: Array<number> = []
  for (const { target, step, at } of of) {
    if (step === "begin") since.set(target, at)
    else lasted.push(at - (since.get(target) ?? at))
  }
  return lasted
}

const problemsOf = (summary: Omit<Summary, "problems">, pass: Criteria): ReadonlyArray<string> => {
  const found: Array<string> = []
  const failed = Object.values(summary.failed).reduce((sum, some) => sum + some, 0)
  const ended = summary.completed + summary.cancelled + failed
  if (failed > ended * pass.failedShareMax)
    found.push(`${failed} of ${ended} jobs failed: ${JSON.stringify(summary.failed)}`)
  if (summary.completed === 0) found.push("no job completed at all")
  if (summary.done.open > 0) found.push(`${summary.done.open} operations did not end`)
  for (const what of summary.done.leftOver) found.push(`left over: ${what}`)
  for (const { kind, complete, failed } of summary.recoveries) {
    if (failed > 0) found.push(`${kind}: ${failed} could not be made good in time`)
    if (complete !== null && complete.p95 > pass.recoveryMsP95)
      found.push(`${kind}: the next job completed after ${complete.p95} ms (95 of 100), at most ${pass.recoveryMsP95}`)
  }
  if (summary.resumes !== null && summary.resumes.p95 > pass.resumeMsP95)
    found.push(`readers waited ${summary.resumes.p95} ms to go on (95 of 100), at most ${pass.resumeMsP95}`)
  if (pass.repairsMax !== null && summary.done.repairs > pass.repairsMax)
    found.push(`${summary.done.repairs} repairs, at most ${pass.repairsMax}`)
  return found
}

/** Code 1 is a daemon that fenced itself or could not start; anything else that nobody asked for is a crash. */
const unaskedEnds = (daemons: ReadonlyArray<DaemonLine>): ReadonlyArray<string> =>
  daemons.flatMap((line) =>
    line.type === "exit" && !line.asked && (line.code ?? 0) !== 1
      ? [`${line.daemon} ended by itself with ${line.code ?? line.signal}`]
      : []
  )
