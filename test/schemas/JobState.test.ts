import { assert, describe, it } from "@effect/vitest"
import { isLegal, isTerminal, JobState, TerminalState } from "../../src/schemas/JobState.ts"

const legal = JobState.literals.flatMap((from) =>
  JobState.literals.filter((to) => isLegal(from, to)).map((to) => `${from} → ${to}`)
)

describe("JobState", () => {
  it("nothing leaves a terminal state", () => {
    for (const from of TerminalState.literals) {
      assert.isTrue(isTerminal(from))
      for (const to of JobState.literals) assert.isFalse(isLegal(from, to), `${from} → ${to}`)
    }
  })

  it("the legal moves are these and no others", () => {
    assert.deepStrictEqual(legal, [
      "queued → active",
      "queued → failed",
      "queued → expired",
      "queued → cancelled",
      "active → queued",
      "active → active",
      "active → completed",
      "active → failed",
      "active → timed_out",
      "active → cancelled"
    ])
  })

  it("only queued and active are open, and every terminal state can be reached", () => {
    assert.deepStrictEqual(
      JobState.literals.filter((state) => !isTerminal(state)),
      ["queued", "active"]
    )
    for (const to of TerminalState.literals) assert.isTrue(isLegal("queued", to) || isLegal("active", to), to)
  })
})
