/** What a seed settles before a run, for every scenario. */
import { assert, describe, it } from "@effect/vitest"
import { SCENARIOS } from "./Scenarios.ts"
import { makeTimeline, type TimelineOptions } from "./Timeline.ts"

const all: TimelineOptions = {
  seed: 7,
  minutes: 20,
  scenarios: SCENARIOS.map(({ name }) => name),
  daemons: 3,
  nodeProcesses: 3
}

describe("the timeline", () => {
  it("is the same, when the seed is", () => {
    assert.deepStrictEqual(makeTimeline(all), makeTimeline(all))
    assert.notDeepEqual(makeTimeline(all).sections, makeTimeline({ ...all, seed: 8 }).sections)
  })

  it("shares the minutes, when there are several scenarios", () => {
    const { sections } = makeTimeline(all)
    assert.deepStrictEqual(
      sections.map(({ scenario }) => scenario),
      all.scenarios
    )
    assert.closeTo(
      sections.reduce((sum, { lastsMs }) => sum + lastsMs, 0),
      20 * 60_000,
      SCENARIOS.length
    )
  })

  it("draws a scenario's faults the same, whatever stands beside it", () => {
    const alone = makeTimeline({ ...all, minutes: 3, scenarios: ["redis"] }).sections[0]
    const beside = makeTimeline({ ...all, minutes: 6, scenarios: ["redis", "redis"] }).sections[0]
    assert.deepStrictEqual(alone, beside)
  })

  it("leaves quiet before the first fault and after the last one", () => {
    for (const { faults, lastsMs } of makeTimeline(all).sections) {
      for (const { atMs, lastsMs: under } of faults) {
        assert.isAtLeast(atMs, 3_000)
        assert.isAtMost(atMs, lastsMs - 4_000)
        assert.isAtMost(atMs + under, lastsMs + 1_000)
      }
    }
  })

  it("does something in every scenario but the calm one", () => {
    for (const { scenario, faults } of makeTimeline(all).sections) {
      if (scenario === "calm") assert.isEmpty(faults)
      else assert.isNotEmpty(faults, scenario)
    }
  })

  it("strikes while the target recovers, when the scenario says so", () => {
    const [section] = makeTimeline({ ...all, minutes: 10, scenarios: ["daemons"] }).sections
    const again = (section?.faults ?? []).flatMap(({ againAfterMs }) => againAfterMs ?? [])
    assert.isNotEmpty(again)
    for (const afterMs of again) assert.isTrue(afterMs >= 200 && afterMs <= 1_000)
  })

  it("refuses a scenario that is not there, by its name", () => {
    assert.throws(() => makeTimeline({ ...all, scenarios: ["flood"] }), /no scenario flood; there are calm/)
  })
})
