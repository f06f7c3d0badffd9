import { assert, describe, it } from "@effect/vitest"
import { type JobCommand, type JobMachine, type MachineFacts, type Phase } from "../../src/policies/JobMachine.ts"
import type { JobMoment } from "../../src/schemas/JobMoment.ts"
import { facts, leaseOf, NODES, play, started } from "./JobMoments.ts"

const [A, B, C] = NODES as [never, never, never]

const leased = (nodeId: never, attempt: number): JobMoment => ({ _tag: "Leased", nodeId, lease: leaseOf(attempt) })
const claimed = (attempt: number, epoch = attempt): JobMoment => ({ _tag: "Claimed", epoch, attempt })
const tokens = (last: number, count: number): JobMoment => ({ _tag: "Tokens", last, tokens: count })
const result = (last: number): JobMoment => ({ _tag: "Result", last, promptTokens: 3, outputTokens: last })
const fired = (timer: Extract<JobMoment, { _tag: "TimerFired" }>["timer"]): JobMoment => ({ _tag: "TimerFired", timer })
const failed = (code: string, fault: "node" | "job" | "nobody"): JobMoment => ({ _tag: "AttemptFailed", code, fault })
const accepted: JobMoment = { _tag: "Accepted" }
const lost: JobMoment = { _tag: "NodeLost", code: "closed" }
const cancel: JobMoment = { _tag: "CancelAsked", cause: "client" }
const recorded: JobMoment = { _tag: "Recorded", pending: false }
const settled: JobMoment = { _tag: "Settled" }
const drained: JobMoment = { _tag: "Drained" }
const stale: JobMoment = { _tag: "Stale" }

/** What a story's last moment commanded, in words: timers are left out. */
const told = (commands: ReadonlyArray<JobCommand>) =>
  commands.filter(({ _tag }) => _tag !== "StartTimer" && _tag !== "StopTimer").map(({ _tag }) => _tag)

const tell = (moments: ReadonlyArray<JobMoment>, of: Partial<MachineFacts> = {}) => {
  const last = play(facts(of), moments).seen.at(-1)
  if (last === undefined) throw new Error("a story has moments")
  return { machine: last.after, commands: last.commands, words: told(last.commands) }
}

const running: ReadonlyArray<JobMoment> = [started(), leased(A, 1), claimed(1), accepted, tokens(4, 4)]
const adopting = started({ epoch: 3, attempt: 2, last: 5, tokens: 5, adopting: true, nodeId: A, lease: leaseOf(2) })

/** The way into each phase. */
const INTO: Readonly<Record<Exclude<Phase, "new" | "over">, ReadonlyArray<JobMoment>>> = {
  leasing: [started()],
  claiming: [started(), leased(A, 1)],
  assigned: [started(), leased(A, 1), claimed(1)],
  running,
  grace: [...running, lost],
  backoff: [...running, lost, fired("grace")],
  recording: [...running, result(4)],
  settling: [...running, result(4), recorded]
}

describe("JobMachine: the good life", () => {
  it("a job is leased, claimed, assigned, streamed, recorded, settled, over", () => {
    const road: ReadonlyArray<readonly [JobMoment, Phase, ReadonlyArray<string>]> = [
      [started(), "leasing", ["Lease"]],
      [leased(A, 1), "claiming", ["Claim"]],
      [claimed(1), "assigned", ["AckDelivery", "Assign"]],
      [accepted, "running", []],
      [tokens(2, 2), "running", []],
      [result(2), "recording", ["Praise", "ReleaseLease", "Record"]],
      [recorded, "settling", ["Settle"]],
      [settled, "over", ["AckNode", "Announce", "Stop"]]
    ]
    road.forEach(([, phase, words], at) => {
      const story = tell(road.slice(0, at + 1).map(([moment]) => moment))
      assert.strictEqual(story.machine.phase, phase)
      assert.deepStrictEqual(story.words, words)
    })
  })

  it("pieces say that the node accepted, when its word was lost", () => {
    const story = tell([...INTO.assigned, tokens(2, 2)])
    assert.strictEqual(story.machine.phase, "running")
    assert.deepInclude(story.commands, { _tag: "StopTimer", timer: "accept" })
  })

  it("a result for other pieces than those that came ends nothing", () => {
    assert.strictEqual(tell([...running, result(5)]).machine.phase, "running")
  })
})

describe("JobMachine: nodes that break", () => {
  it("a node that dies mid-stream has its grace, and then another one goes on from the next piece", () => {
    const gone = tell([...running, lost])
    assert.strictEqual(gone.machine.phase, "grace")
    const over = [...running, lost, fired("grace")]
    assert.deepStrictEqual(tell(over).words, ["CancelAttempt", "CloseAttempt", "ReleaseLease", "Penalise"])
    const next = tell([...over, fired("backoff")])
    assert.deepInclude(next.commands, { _tag: "Lease", mustContinue: true, tried: [A] })
    const assigned = tell([...over, fired("backoff"), leased(B, 2), claimed(2)])
    assert.deepInclude(assigned.commands, { _tag: "Assign", nodeId: B, lease: leaseOf(2), firstSeq: 5 })
  })

  it("a node that comes back within its grace goes on as if nothing had been", () => {
    const story = tell([...running, lost, { _tag: "NodeBack", nodeId: A }, tokens(6, 2), result(6)])
    assert.deepStrictEqual(story.machine.ending, { state: "completed", code: null })
    assert.strictEqual(story.machine.failures, 0)
    assert.strictEqual(story.machine.tokens, 6)
  })

  it("another node that says it is back is not believed", () => {
    assert.strictEqual(tell([...running, lost, { _tag: "NodeBack", nodeId: B }]).machine.phase, "grace")
  })

  it("a node that declines is nobody's fault and the job goes elsewhere", () => {
    const story = tell([...INTO.assigned, { _tag: "Rejected", code: "busy" }])
    assert.deepStrictEqual([story.machine.phase, story.machine.failures, story.machine.rejections], ["backoff", 0, 1])
    assert.notInclude(story.words, "Penalise")
  })

  it("two nodes that fail in the same way make it the job's fault, and are forgiven", () => {
    const first = [...running, failed("runtime_error", "node"), fired("backoff"), leased(B, 2), claimed(2), accepted]
    const story = tell([...first, failed("runtime_error", "node")])
    assert.deepStrictEqual(story.machine.ending, { state: "failed", code: "runtime_error" })
    assert.deepInclude(story.commands, { _tag: "Forgive", nodeIds: [A, B] })
  })

  it("one node that fails twice in the same way proves nothing about the job", () => {
    const twice = [...running, failed("x", "node"), fired("backoff"), leased(A, 2), claimed(2), failed("x", "node")]
    assert.strictEqual(tell(twice).machine.phase, "backoff")
  })

  it("losing two nodes says nothing about the job", () => {
    const once = [...running, lost, fired("grace"), fired("backoff"), leased(B, 2), claimed(2), accepted]
    const story = tell([...once, lost, fired("grace")])
    assert.strictEqual(story.machine.phase, "backoff")
    assert.notInclude(story.words, "Forgive")
  })

  it("the last failure that a job may have ends it, timeouts as timed out", () => {
    const bound = { failuresMax: 1 }
    const timedOut = tell([...running, fired("idle")], bound)
    assert.deepStrictEqual(timedOut.machine.ending, { state: "timed_out", code: "idle_timeout" })
    const broke = tell([...running, failed("runtime_error", "node")], bound)
    assert.deepStrictEqual(broke.machine.ending, { state: "failed", code: "runtime_error" })
  })

  it("what must not be continued ends once text was sent, and starts again before", () => {
    const of = { onNodeLoss: "restart" } as const
    const sent = tell([...running, lost, fired("grace")], of)
    assert.deepStrictEqual(sent.machine.ending, { state: "failed", code: "node_lost_mid_stream" })
    assert.strictEqual(tell([...INTO.assigned, lost, fired("grace")], of).machine.phase, "backoff")
  })

  it("a job that is to fail with its node does", () => {
    const story = tell([...INTO.assigned, lost, fired("grace")], { onNodeLoss: "fail" })
    assert.deepStrictEqual(story.machine.ending, { state: "failed", code: "node_lost" })
  })
})

describe("JobMachine: adoption", () => {
  it("takes over the attempt of a dead daemon and goes on with the node that comes back", () => {
    assert.deepStrictEqual(tell([adopting]).words, ["Claim"])
    const waits = tell([adopting, claimed(2, 4)])
    assert.strictEqual(waits.machine.phase, "grace")
    assert.deepStrictEqual(waits.words, ["AckDelivery", "Reattach"])
    assert.deepInclude(waits.commands, { _tag: "Reattach", nodeId: A, fromSeq: 6 })
    const end = tell([adopting, claimed(2, 4), { _tag: "NodeBack", nodeId: A }, tokens(8, 3), result(8)])
    assert.deepStrictEqual([end.machine.ending?.state, end.machine.tokens, end.machine.attempt], ["completed", 8, 2])
  })

  it("without the node another one goes on after the grace", () => {
    const story = tell([adopting, claimed(2, 4), fired("grace"), fired("backoff"), leased(B, 3), claimed(3, 5)])
    assert.deepInclude(story.commands, { _tag: "Assign", nodeId: B, lease: leaseOf(3), firstSeq: 6 })
  })

  it("an attempt that was never on a node is looked for elsewhere at once", () => {
    const story = tell([started({ epoch: 1, adopting: true }), claimed(0, 2)])
    assert.strictEqual(story.machine.phase, "leasing")
  })

  it("a job that another daemon acts for is left alone, with the slot of its attempt", () => {
    const story = tell([adopting, { _tag: "ClaimRefused", why: "owned" }])
    assert.deepStrictEqual(story.words, ["AckDelivery", "Announce", "Stop"])
  })

  it("who was declared dead gives the delivery back", () => {
    const story = tell([started(), leased(A, 1), { _tag: "ClaimRefused", why: "dead" }])
    assert.deepStrictEqual(story.words, ["ReleaseLease", "NackDelivery", "Announce", "Stop"])
  })

  it("who finds that the job was claimed and queued again meanwhile gives the delivery back", () => {
    const story = tell([started(), leased(A, 1), { _tag: "ClaimRefused", why: "requeued" }])
    assert.deepStrictEqual(story.words, ["ReleaseLease", "NackDelivery", "Announce", "Stop"])
  })

  it("a job that cannot be served any more is ended under the claim that was on its way", () => {
    const story = tell([adopting, { _tag: "Unservable", code: "record_missing" }, claimed(2, 4)])
    assert.deepStrictEqual(story.machine.ending, { state: "failed", code: "record_missing" })
    assert.isTrue(story.machine.claimed)
    assert.strictEqual(story.machine.epoch, 4)
    assert.includeMembers(story.words, ["AckDelivery", "CancelAttempt", "ReleaseLease", "Record"])
  })
})

const before = (machine: JobMachine) => machine.ending?.state ?? machine.phase

describe("JobMachine: the same word in every phase", () => {
  const cases = <Word extends string>(of: Readonly<Record<keyof typeof INTO, Word>>) =>
    Object.entries(of) as ReadonlyArray<[keyof typeof INTO, Word]>

  it.each(
    cases({
      leasing: "expired",
      claiming: "claiming",
      assigned: "timed_out",
      running: "timed_out",
      grace: "timed_out",
      backoff: "timed_out",
      recording: "completed",
      settling: "completed"
    })
  )("the deadline in %s: %s", (phase, end) => {
    assert.strictEqual(before(tell([...INTO[phase], fired("deadline")]).machine), end)
  })

  it.each(
    cases({
      leasing: "cancelled",
      claiming: "claiming",
      assigned: "cancelled",
      running: "cancelled",
      grace: "cancelled",
      backoff: "cancelled",
      recording: "completed",
      settling: "completed"
    })
  )("a cancel in %s: %s", (phase, end) => {
    assert.strictEqual(before(tell([...INTO[phase], cancel]).machine), end)
  })

  it("a cancel while the row is being claimed ends it once the answer is there, and no node is told", () => {
    const story = tell([...INTO.claiming, cancel, claimed(1)])
    assert.deepStrictEqual(story.machine.ending, { state: "cancelled", code: "client" })
    assert.deepStrictEqual(story.words, ["AckDelivery", "ReleaseLease", "Record"])
  })

  it("a cancel of a running attempt stops it on its node", () => {
    assert.includeMembers(tell([...running, cancel]).words, ["CancelAttempt", "CloseAttempt", "ReleaseLease"])
  })

  it("a deadline that rings while the row is being claimed rings again", () => {
    assert.deepStrictEqual(tell([...INTO.claiming, fired("deadline")]).commands, [
      { _tag: "StartTimer", timer: "deadline" }
    ])
  })

  const last = ["Announce", "Stop"]
  it.each(
    cases({
      leasing: "ForgetLease,NackDelivery",
      claiming: "ReleaseLease,NackDelivery",
      assigned: "",
      running: "",
      grace: "",
      backoff: "HandBack",
      recording: "",
      settling: ""
    })
  )("a drain in %s: %s", (phase, words) => {
    const expected = [...words.split(",").filter((word) => word !== ""), ...last]
    assert.deepStrictEqual(tell([...INTO[phase], drained]).words, expected)
  })

  it("a drain while it waits for its second slot hands it back", () => {
    const story = tell([...INTO.backoff, fired("backoff"), drained])
    assert.deepStrictEqual(story.words, ["ForgetLease", "HandBack", ...last])
  })

  it("a drain while its second attempt is being claimed gives the new slot back", () => {
    const story = tell([...INTO.backoff, fired("backoff"), leased(C, 2), drained])
    assert.deepStrictEqual(story.words, ["ReleaseLease", ...last])
  })

  it.each(
    cases({
      leasing: "ForgetLease,AckDelivery",
      claiming: "AckNode,ReleaseLease,AckDelivery",
      assigned: "AckNode",
      running: "AckNode",
      grace: "AckNode",
      backoff: "",
      recording: "AckNode",
      settling: "AckNode"
    })
  )("finding that somebody else acts for it in %s: %s", (phase, words) => {
    const expected = [...words.split(",").filter((word) => word !== ""), ...last]
    assert.deepStrictEqual(tell([...INTO[phase], stale]).words, expected)
  })
})
