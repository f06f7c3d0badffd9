/** Figures, verdicts and the table of a run, from hand-made logs. */
import { assert, describe, it } from "@effect/vitest"
import { goodHistory } from "./goodHistory.ts"
import { type FaultLine, opsOf } from "./History.ts"
import { isGood, type Outcome, reportOf } from "./Report.ts"
import { scenarioNamed } from "./Timeline.ts"
import { quantiles, type SectionDone, summarize } from "./Summary.ts"

const done: SectionDone = {
  scenario: "daemons",
  from: 0,
  until: 10_000,
  skipped: {},
  repairs: 0,
  adoptions: 1,
  handovers: 0,
  open: 0,
  leftOver: []
}
const kill = (at: number, step: FaultLine["step"]): FaultLine => ({
  at,
  kind: "daemon.kill",
  target: "daemon/0",
  step,
  scenario: "daemons"
})
const { pass } = scenarioNamed("daemons")

const outcomeOf = (summary: ReturnType<typeof summarize>): Outcome => ({
  command: "npm run chaos -- --seed 7",
  folder: "logs",
  summaries: [summary],
  findings: [],
  sampled: null,
  daemons: [],
  complaints: [],
  cutShort: null
})

describe("the summary of a scenario", () => {
  const ops = opsOf(goodHistory().clients)

  it("counts what clients were told", () => {
    const summary = summarize(done, ops, [], [], pass)
    assert.deepStrictEqual([summary.asked, summary.accepted, summary.completed, summary.cancelled], [3, 2, 1, 1])
    assert.deepStrictEqual(summary.refused, { "402 insufficient_credits": 1 })
    assert.deepStrictEqual(summary.problems, [])
  })

  it("measures from a fault to the next job that completes", () => {
    const summary = summarize(done, ops, [kill(4, "begin"), kill(6, "healed")], [], pass)
    assert.deepStrictEqual(summary.recoveries[0]?.complete, { count: 1, p50: 5, p95: 5, most: 5 })
  })

  it("has a problem, when a job failed though none may", () => {
    const failed = ops.map((op) =>
      op.end?.type === "ok" && op.id === "op1"
        ? { ...op, end: { ...op.end, state: "failed" as const, cause: "poison" } }
        : op
    )
    assert.match(summarize(done, failed, [], [], pass).problems.join(), /1 of 2 jobs failed: {"poison":1}/)
  })

  it("has a problem, when a daemon ends by itself and did not fence itself", () => {
    const ends = [
      { at: 5, daemon: "d0", type: "exit", code: 1, signal: null, asked: false },
      { at: 6, daemon: "d1", type: "exit", code: null, signal: "SIGSEGV", asked: false }
    ] as const
    assert.deepStrictEqual(summarize(done, ops, [], ends, pass).problems, ["d1 ended by itself with SIGSEGV"])
  })

  it("has a problem, when a fault could not be made good", () => {
    assert.match(
      summarize(done, ops, [kill(4, "begin"), kill(6, "failed")], [], pass).problems.join(),
      /could not be made good/
    )
  })
})

describe("the report", () => {
  it("shows a line for each scenario, and the one line that repeats the run", () => {
    const text = reportOf(outcomeOf(summarize(done, opsOf(goodHistory().clients), [], [], pass)))
    assert.match(text, /daemons +10 +3 +2 +1 +1/)
    assert.match(text, /PASSED/)
    assert.match(text, /repeat: npm run chaos -- --seed 7\n$/)
  })

  it("says what was broken and fails, when a rule found something", () => {
    const outcome: Outcome = {
      ...outcomeOf(summarize(done, [], [], [], pass)),
      findings: [{ rule: "H01 lost job", what: "job_1 is gone" }]
    }
    assert.isFalse(isGood(outcome))
    assert.match(reportOf(outcome), /VIOLATION H01 lost job: 1\n {2}job_1 is gone/)
  })
})

describe("quantiles", () => {
  it("are values that were there", () => {
    assert.deepStrictEqual(quantiles([5, 1, 4, 2, 3]), { count: 5, p50: 3, p95: 5, most: 5 })
    assert.isNull(quantiles([]))
  })
})
