/** A hand-made bad history for every invariant: it is flagged by its own rule and by no other. */
import { assert, describe, it } from "@effect/vitest"
import { asHistory, bodyOf, CANARIES, goodHistory, opOf, type Spoilable } from "./goodHistory.ts"
import { judge, RULES } from "./HistoryChecker.ts"

const flagged = (spoil: (good: Spoilable) => void): ReadonlyArray<string> => {
  const history = goodHistory()
  spoil(history)
  return [...new Set(judge(asHistory(history)).map(({ rule }) => rule))]
}

interface Told {
  texts: Array<string>
  finishes: Array<string | null>
  whole: boolean
}

const okOf = ({ clients }: Spoilable, op = "op1"): Told => {
  const found: unknown = clients.find((line) => line.type === "ok" && line.op === op)
  return found as Told
}

/** Every history that must never be, with the one rule that has to find it. */
const BAD: ReadonlyArray<readonly [rule: string, what: string, spoil: (good: Spoilable) => void]> = [
  [
    "H01 lost job",
    "an accepted job is not in the store",
    ({ clients }) => void clients.push(...opOf("op9", "job_9", bodyOf("ninth")))
  ],
  [
    "H02 settlement",
    "a job is settled twice",
    ({ state }) => void state.entries.push({ namespaceId: "ns_a", kind: "settle", amount: 0n, jobId: "job_1" })
  ],
  [
    "H02 settlement",
    "a terminal job was never settled",
    (good) => {
      const { state } = good
      // The namespace's sums are made to agree, so that only the job itself is wrong.
      state.entries = state.entries.filter(({ jobId, kind }) => jobId !== "job_2" || kind === "reserve")
      const [balance] = state.balances
      if (balance === undefined) return
      balance.reserved = 1000n
      balance.available -= 1000n
    }
  ],
  ["H03 credits", "credits appear from nowhere", ({ state }) => void (state.balances[0]!.available += 1n)],
  [
    "H03 credits",
    "a balance is not its entries",
    ({ state }) => {
      state.balances[0]!.granted += 7n
      state.balances[0]!.available += 7n
    }
  ],
  ["H04 history", "an event is missing", ({ state }) => void state.events.splice(1, 1)],
  [
    "H04 history",
    "a terminal job moves again",
    ({ state }) => {
      state.events.push({
        jobId: "job_1",
        seq: 4,
        kind: "finished",
        from: "completed",
        to: "completed",
        epoch: 1,
        attempt: 1
      })
      state.jobs[0]!.events = 4
    }
  ],
  ["H04 history", "an epoch falls", ({ state }) => void (state.events[1]!.epoch = 2)],
  ["H05 charge", "tokens cost more than their price", ({ state }) => void (state.jobs[0]!.promptTokens -= 1)],
  [
    "H05 charge",
    "a failed job is charged",
    ({ state, records, clients }) => {
      state.jobs[0]!.state = "failed"
      state.events[2]!.to = "failed"
      records.get("job_1")!.state = "failed"
      clients.splice(0, 3)
    }
  ],
  [
    "H06 silent truncation",
    "a stream says it is whole and is cut",
    (good) => {
      const ok = okOf(good)
      ok.texts = [ok.texts[0]!.slice(0, 50)]
      good.records.get("job_1")!.outputSha256 = null
      good.records.get("job_1")!.completeness = "truncated"
      good.records.get("job_1")!.truncatedReason = "cut"
    }
  ],
  [
    "H07 stream",
    "a reader sees a piece twice",
    ({ clients }) =>
      void clients.push({ at: 5, op: "op1", type: "fault", rule: "stream", what: "piece 3 came after piece 3" })
  ],
  [
    "H07 stream",
    "a broken answer is no beginning of the right one",
    (good) => {
      const ok = okOf(good)
      ok.whole = false
      ok.texts = ["something else"]
    }
  ],
  [
    "H08 idempotency",
    "one key names two jobs",
    ({ clients }) =>
      void clients.splice(2, 0, { at: 3, op: "op1", type: "accepted", daemon: "d1", jobId: "job_2", tookMs: 1 })
  ],
  ["H08 idempotency", "the store knows another job for the key", ({ state }) => void (state.keys[0]!.jobId = "job_2")],
  [
    "H09 definite refusal",
    "a refused request left a job",
    ({ state }) => void state.keys.push({ namespaceId: "ns_b", key: "key-op3", jobId: "job_2" })
  ],
  ["H10 record", "a terminal job has no record", ({ records }) => void records.delete("job_1")],
  ["H10 record", "a record is never closed", ({ records }) => void (records.get("job_2")!.completeness = "open")],
  [
    "H10 record",
    "a record holds another text than its client",
    ({ records }) => void (records.get("job_1")!.outputSha256 = "0".repeat(64))
  ],
  ["H10 record", "a record says another cost", ({ records }) => void (records.get("job_1")!.cost = "1")],
  [
    "H11 isolation",
    "a stranger sees a job",
    ({ clients }) => void clients.push({ at: 5, op: "op1", type: "probe", what: "a look", status: 200, expected: 404 })
  ],
  [
    "H11 isolation",
    "a cancelled stream shows another's words",
    (good) => {
      okOf(good, "op2").texts = [CANARIES.get("ns_b")!]
    }
  ],
  ["H12 text outside of the records", "a log holds a prompt", ({ leaks }) => void leaks.push("the log of d0")],
  [
    "H13 nodes",
    "a node runs more than its slots",
    ({ nodes }) =>
      void nodes.push({ at: 3, node: "n", type: "began", jobId: "job_2", attempt: 1, epoch: 1, running: 2 })
  ],
  [
    "H13 nodes",
    "two attempts of a job are paid",
    ({ nodes }) =>
      void nodes.push({ at: 9, node: "n", type: "settled", jobId: "job_1", attempt: 2, status: "accepted" })
  ],
  ["H14 left over", "a message is never sent", ({ state }) => void (state.outbox = 1)],
  ["H14 left over", "nodes do not come back", ({ leftOver }) => void leftOver.push("3 of 4 nodes may work")],
  [
    "H15 unexpected answer",
    "a client is told 500",
    ({ clients }) =>
      void clients.push({
        at: 5,
        op: "op1",
        type: "refused",
        daemon: "d0",
        status: 500,
        code: "internal_error",
        tookMs: 1
      })
  ],
  [
    "H15 unexpected answer",
    "a refusal has no code",
    ({ clients }) =>
      void clients.push({ at: 5, op: "op1", type: "refused", daemon: "d0", status: 503, code: "", tookMs: 1 })
  ]
]

describe("the history checker", () => {
  it("finds nothing in a run in which nothing went wrong", () => {
    assert.deepStrictEqual(judge(asHistory(goodHistory())), [])
  })

  for (const [rule, what, spoil] of BAD) {
    it(`says ${rule}, and nothing else, when ${what}`, () => {
      // A text that is not ours is no beginning of our answer either.
      const also = what === "a cancelled stream shows another's words" ? ["H07 stream"] : []
      assert.deepStrictEqual(flagged(spoil), [...also, rule])
    })
  }

  it("has a bad history for each of its rules", () => {
    assert.deepStrictEqual(
      [...new Set(BAD.map(([rule]) => rule))],
      RULES.map(({ rule }) => rule)
    )
  })
})
