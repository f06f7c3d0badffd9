import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { explain, type ExplainFacts } from "../../src/policies/Explain.ts"
import { zero } from "../../src/schemas/Credits.ts"
import { AttemptRecord } from "../../src/schemas/JobRecord.ts"
import { JobState } from "../../src/schemas/JobState.ts"
import { Decision, Exclusion } from "../../src/schemas/NodeProfile.ts"
import { nodeId } from "./Samples.ts"

type Row = Parameters<typeof explain>[0]
const row = (more: Partial<Row> = {}): Row => ({
  job: { model: "llama", priority: "normal", constraints: {}, acceptedAt: 1_000, deadlineAt: 181_000 },
  state: "queued",
  attempt: 0,
  failures: 0,
  crashes: 0,
  nodeId: null,
  runAt: 1_000,
  errorCode: null,
  finishedAt: null,
  charged: zero,
  ...more
})
const facts = (more: Partial<ExplainFacts> = {}): ExplainFacts => ({
  now: 13_500,
  decisions: [],
  attempts: [],
  waiting: null,
  audience: "customer",
  ...more
})
const attempt = (more: Partial<AttemptRecord> = {}): AttemptRecord => ({
  attempt: 1,
  epoch: 1,
  nodeId: nodeId(7),
  state: "running",
  leasedAt: 2_000,
  assignedAt: 2_000,
  firstTokenAt: 2_500,
  endedAt: null,
  cause: null,
  firstSeq: 1,
  tokens: 12,
  ...more
})
const decision = (more: Partial<Decision> = {}): Decision => ({
  at: 2_000,
  attempt: 1,
  chosen: nodeId(7),
  candidates: [
    { nodeId: nodeId(7), score: 0.81234 },
    { nodeId: nodeId(8), score: 0.5 }
  ],
  excluded: {},
  looked: 14,
  serving: 14,
  ...more
})

describe("Explain", () => {
  it("a waiting job is told what its nodes do", () => {
    const waiting = { serving: 14, looked: 14, excluded: { no_free_slot: 9, restricted: 3, vram: 2 }, ahead: 4 }
    assert.deepStrictEqual(explain(row(), facts({ waiting })), [
      "The job waits for llama with priority normal, 12.5 s so far.",
      "14 nodes serve the model; 9 busy, 3 paused, 2 lack VRAM.",
      "4 jobs stand before it.",
      "It has 167.5 s left until its deadline."
    ])
  })

  it("a waiting job is told of one node in the singular", () => {
    const waiting = { serving: 1, looked: 1, excluded: { vram: 1 }, ahead: 0 }
    assert.deepStrictEqual(explain(row(), facts({ waiting })).slice(1, 3), [
      "1 node serves the model; 1 lacks VRAM.",
      "It is the next to be served."
    ])
  })

  it("a waiting job is told that nobody serves its model, and that a subcloud never falls back", () => {
    const job = { ...row().job, constraints: { subcloud: "lab" } }
    const waiting = { serving: 0, looked: 0, excluded: {}, ahead: null }
    assert.deepStrictEqual(explain(row({ job }), facts({ waiting })).slice(1, 3), [
      "No node serves the model.",
      "It runs on nodes of the subcloud lab only, and never falls back to others."
    ])
  })

  it("a waiting job is told the last decision, when nobody looks for a node now, and that it was a sample", () => {
    const decisions = [
      decision(),
      decision({ chosen: null, candidates: [], excluded: { no_free_slot: 60, tried: 4 }, looked: 64, serving: 200 })
    ]
    const attempts = [attempt({ state: "failed", endedAt: 4_000, cause: "runtime_error", tokens: 0 })]
    assert.deepStrictEqual(explain(row({ failures: 1 }), facts({ decisions, attempts })), [
      "The job waits for llama with priority normal, 12.5 s so far.",
      "Attempt 1 failed on a node (runtime_error); it was the best of 2 eligible ones, 14 nodes serve the model.",
      "200 nodes serve the model; 60 busy, 4 tried already.",
      "Only 64 of them were looked at this time.",
      "It has 167.5 s left until its deadline."
    ])
  })

  it("a waiting job is told when it is tried again, and when nobody looked yet", () => {
    assert.include(explain(row({ runAt: 14_000 }), facts()), "It is tried again in 0.5 s.")
    assert.include(explain(row(), facts()), "No node has been looked for yet.")
  })

  it("a running job is told why it runs where it runs; the operator is told the node", () => {
    const given = { attempts: [attempt()], decisions: [decision()] }
    assert.deepStrictEqual(explain(row({ state: "active", crashes: 2 }), facts(given)), [
      "The job is being worked on, 12.5 s after it was accepted.",
      "Attempt 1 runs on a node after 12 pieces of output; it was the best of 2 eligible ones, 14 nodes serve the model.",
      "It has 167.5 s left until its deadline."
    ])
    assert.deepStrictEqual(explain(row({ state: "active", crashes: 2 }), facts({ ...given, audience: "operator" })), [
      "The job is being worked on, 12.5 s after it was accepted.",
      `Attempt 1 runs on node ${nodeId(7)} after 12 pieces of output; it was the best of 2 eligible ones with score 0.812, 14 nodes serve the model.`,
      "Its actor or daemon died 2 times.",
      "It has 167.5 s left until its deadline."
    ])
  })

  it("an ended job is told its end and its attempts, and nothing of waiting", () => {
    const attempts = [
      attempt({ state: "timed_out", endedAt: 5_000, cause: "idle_timeout", tokens: 1 }),
      attempt({ attempt: 2, nodeId: nodeId(8), state: "succeeded", endedAt: 9_000 })
    ]
    assert.deepStrictEqual(explain(row({ state: "completed", finishedAt: 9_250 }), facts({ attempts })), [
      "The job was completed after 8.3 s.",
      "Attempt 1 timed out on a node after 1 piece of output (idle_timeout).",
      "Attempt 2 was completed by a node after 12 pieces of output."
    ])
    assert.deepStrictEqual(explain(row({ state: "failed", finishedAt: 2_000, errorCode: "poison_job" }), facts()), [
      "The job failed after 1.0 s (poison_job)."
    ])
  })

  it("every reason has words for one node and for several", () => {
    for (const reason of Exclusion.literals) {
      for (const nodes of [1, 2]) {
        const waiting = { serving: 3, looked: 3, excluded: { [reason]: nodes }, ahead: null }
        assert.match(explain(row(), facts({ waiting }))[1] ?? "", new RegExp(`; ${nodes} [a-z A-Z]+\\.$`))
      }
    }
  })

  it.prop(
    "a customer is never told which node, whatever the job has been through",
    {
      state: JobState,
      attempts: Arbitrary.array(Arbitrary.schema(AttemptRecord), { maxLength: 4 }),
      decisions: Arbitrary.array(Arbitrary.schema(Decision), { maxLength: 4 }),
      crashes: Schema.Natural
    },
    ({ state, attempts, decisions, crashes }) => {
      const given = facts({
        attempts: attempts.map((one, at) => (at % 2 === 0 ? one : { ...one, cause: `lost ${one.nodeId}` })),
        decisions
      })
      for (const sentence of explain(row({ state, crashes }), given)) assert.notMatch(sentence, /0x[0-9a-f]{40}/i)
      const told = explain(row({ state, crashes }), { ...given, audience: "operator" }).join("\n")
      for (const { nodeId } of attempts) assert.include(told, nodeId)
    }
  )
})
