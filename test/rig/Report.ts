/** The run as a table that a person can read, what was broken, and the one line that repeats it. */
import type { DaemonLine, Finding } from "./History.ts"
import type { Sampled } from "./Sampler.ts"
import { type Quantiles, quantiles, type Summary } from "./Summary.ts"

export interface Outcome {
  readonly command: string
  readonly folder: string
  readonly summaries: ReadonlyArray<Summary>
  readonly findings: ReadonlyArray<Finding>
  readonly sampled: Sampled | null
  readonly daemons: ReadonlyArray<DaemonLine>
  /** What the daemons complained of in their logs. */
  readonly complaints: ReadonlyArray<readonly [what: string, count: number]>
  /** Why the run ended before its time; null when it did not. */
  readonly cutShort: string | null
}

const FINDINGS_SHOWN = 12

export const isGood = ({ summaries, findings, sampled, cutShort }: Outcome): boolean =>
  cutShort === null &&
  sampled?.looks !== 0 &&
  findings.length === 0 &&
  summaries.every(({ problems }) => problems.length === 0)

export const reportOf = (outcome: Outcome): string => {
  const { summaries, findings, sampled, cutShort, command, folder, daemons } = outcome
  const parts = [
    table([HEAD, ...summaries.map(lineOf)]),
    ...summaries.map(detailsOf),
    daemonsOf(daemons),
    sampled === null ? "" : samplerOf(sampled),
    complaintsOf(outcome),
    ...(cutShort === null ? [] : [`CUT SHORT: ${cutShort}`]),
    ...findingsOf(findings),
    `${isGood(outcome) ? "PASSED" : "FAILED"}; logs in ${folder}`,
    `repeat: ${command}`
  ]
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`
}

const HEAD = [
  "scenario",
  "s",
  "asked",
  "accepted",
  "completed",
  "cancelled",
  "failed",
  "unknown",
  "faults",
  "jobs/s",
  "job p50/p95 ms",
  "resume p50/p95 ms",
  "repairs",
  "verdict"
]

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((all, some) => all + some, 0)
const pair = (values: Quantiles | null): string => (values === null ? "-" : `${values.p50}/${values.p95}`)

const lineOf = (summary: Summary): ReadonlyArray<string> => [
  summary.scenario,
  summary.seconds.toFixed(0),
  String(summary.asked),
  String(summary.accepted),
  String(summary.completed),
  String(summary.cancelled),
  String(sum(summary.failed)),
  String(summary.unknown),
  String(summary.recoveries.reduce((all, { count }) => all + count, 0)),
  (summary.completed / summary.seconds).toFixed(1),
  pair(summary.jobMs),
  pair(summary.resumes),
  String(summary.done.repairs),
  summary.problems.length === 0 ? "ok" : `${summary.problems.length} PROBLEMS`
]

const detailsOf = ({ scenario, recoveries, refused, refusedMsMost, failed, done, problems }: Summary): string => {
  const lines = [
    `${scenario}: adoptions ${done.adoptions}, hand-overs ${done.handovers}, refused ${spell(refused)} (within ${refusedMsMost} ms), failed ${spell(failed)}`,
    ...recoveries.map(
      ({ kind, count, accept, complete, lasted }) =>
        `  ${kind.padEnd(24)} ${String(count).padStart(3)} ×   next accepted p50/p95 ${pair(accept)} ms   next completed p50/p95 ${pair(complete)} ms   made good after ${pair(lasted)} ms`
    ),
    ...(Object.keys(done.skipped).length === 0 ? [] : [`  not done: ${spell(done.skipped)}`]),
    ...problems.map((problem) => `  PROBLEM ${problem}`)
  ]
  return lines.join("\n")
}

const spell = (counts: Readonly<Record<string, number>>): string =>
  Object.keys(counts).length === 0
    ? "none"
    : Object.entries(counts)
        .toSorted(([, a], [, b]) => b - a)
        .map(([name, count]) => `${name} × ${count}`)
        .join(", ")

const daemonsOf = (lines: ReadonlyArray<DaemonLine>): string =>
  [...Map.groupBy(lines, ({ daemon }) => daemon)]
    .map(([daemon, of]) => {
      const sizes = of.flatMap((line) => (line.type === "rss" ? [line.mib] : []))
      const exits = of.flatMap((line) =>
        line.type === "exit" ? [`${line.code ?? line.signal}${line.asked ? "" : " unasked"}`] : []
      )
      const starts = quantiles(of.flatMap((line) => (line.type === "ready" ? [line.tookMs] : [])))
      return `${daemon}: ${exits.length} ends (${spell(counts(exits))}), ready p50/p95 ${pair(starts)} ms, at most ${Math.max(0, ...sizes)} MiB`
    })
    .join("\n")

const counts = (names: ReadonlyArray<string>): Readonly<Record<string, number>> =>
  Object.fromEntries([...Map.groupBy(names, (name) => name)].map(([name, of]) => [name, of.length]))

const samplerOf = ({ looks, missed, misses, tookMsTotal, tookMsMax, jobs }: Sampled): string =>
  `sampler: ${looks} looks (${missed} while the store was out), ${looks === 0 ? 0 : Math.round(tookMsTotal / looks)} ms each, at most ${Math.round(tookMsMax)} ms, ${jobs} jobs looked at${missed === 0 ? "" : `\n  missed: ${spell(misses)}`}`

const COMPLAINTS_SHOWN = 25

const complaintsOf = ({ complaints }: Outcome): string =>
  complaints.length === 0
    ? ""
    : [
        "the daemons' logs:",
        ...complaints.slice(0, COMPLAINTS_SHOWN).map(([what, count]) => `  ${String(count).padStart(6)} × ${what}`)
      ].join("\n")

const findingsOf = (findings: ReadonlyArray<Finding>): ReadonlyArray<string> =>
  [...Map.groupBy(findings, ({ rule }) => rule)].map(([rule, of]) =>
    [`VIOLATION ${rule}: ${of.length}`, ...of.slice(0, FINDINGS_SHOWN).map(({ what }) => `  ${what}`)].join("\n")
  )

const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join("  ")
    )
    .join("\n")
}
