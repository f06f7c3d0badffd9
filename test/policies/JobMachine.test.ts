import { assert, describe, it } from "@effect/vitest"
import { type JobCommand, type Phase, replay } from "../../src/policies/JobMachine.ts"
import type { JobMoment, JobTimer } from "../../src/schemas/JobMoment.ts"
import { commandsOf, facts, leaseOf, type Life, liveLife, momentsOf, NODES, play, started } from "./JobMoments.ts"

const LIVES = 1500

/** Each law over many lives; the message names the life that broke it: `liveLife(seed)`. */
const law = (name: string, holds: (life: Life, where: string) => void) =>
  it(name, () => {
    for (let seed = 1; seed <= LIVES; seed++) holds(liveLife(seed), `in liveLife(${seed})`)
  })

const MOVES: Readonly<Record<Phase, ReadonlyArray<Phase>>> = {
  new: ["leasing", "claiming"],
  leasing: ["claiming", "recording", "over"],
  claiming: ["assigned", "grace", "leasing", "recording", "over"],
  assigned: ["running", "grace", "backoff", "recording", "over"],
  running: ["grace", "backoff", "recording", "over"],
  grace: ["running", "backoff", "recording", "over"],
  backoff: ["leasing", "recording", "over"],
  recording: ["settling", "over"],
  settling: ["over"],
  over: []
}

const TIMERS: Readonly<Record<Exclude<Phase, "new" | "over">, ReadonlyArray<JobTimer>>> = {
  leasing: ["deadline"],
  claiming: ["deadline"],
  assigned: ["accept", "deadline", "execution"],
  running: ["deadline", "execution", "idle"],
  grace: ["deadline", "execution", "grace"],
  backoff: ["backoff", "deadline"],
  recording: [],
  settling: []
}

const isOf =
  <Tag extends JobCommand["_tag"]>(tag: Tag) =>
  (command: JobCommand): command is Extract<JobCommand, { _tag: Tag }> =>
    command._tag === tag

describe("JobMachine: laws over lives of likely and impossible moments", () => {
  it("the lives reach every phase and every ending", () => {
    const phases = new Set<string>()
    const endings = new Set<string>()
    for (let seed = 1; seed <= LIVES; seed++) {
      for (const { after } of liveLife(seed).seen) {
        phases.add(after.phase)
        if (after.ending !== null) endings.add(after.ending.state)
      }
    }
    assert.strictEqual(phases.size, 9)
    assert.deepStrictEqual([...endings].toSorted(), ["cancelled", "completed", "expired", "failed", "timed_out"])
  })

  law("a phase moves as it may", ({ seen }, where) => {
    for (const { before, after, moment } of seen) {
      if (before.phase === after.phase) continue
      assert.include(MOVES[before.phase], after.phase, `${moment._tag} ${where}`)
    }
  })

  law("an ending, once there, never changes, and comes before any settlement", ({ seen }, where) => {
    for (const { before, after, commands } of seen) {
      if (before.ending !== null) assert.deepStrictEqual(after.ending, before.ending, where)
      for (const { ending } of commands.filter(isOf("Settle"))) assert.deepStrictEqual(ending, after.ending, where)
      for (const { ending } of commands.filter(isOf("Record"))) assert.deepStrictEqual(ending, after.ending, where)
    }
  })

  law("it is recorded once and settled once, in this order, under the claim that holds", (life, where) => {
    const ends = life.seen.flatMap(({ commands }) =>
      commands.filter(({ _tag }) => _tag === "Record" || _tag === "Settle")
    )
    const tags = ends.map(({ _tag }) => _tag)
    assert.include([[], ["Record"], ["Record", "Settle"]].map(String), String(tags), where)
    for (const { after, commands } of life.seen) {
      for (const { claimed } of commands.filter(isOf("Settle"))) assert.strictEqual(claimed, after.claimed, where)
    }
  })

  law("a row that is ours never ends as expired, one that is not never as completed", ({ seen }, where) => {
    for (const { after } of seen) {
      if (after.ending?.state === "expired") assert.isFalse(after.claimed, where)
      if (after.ending?.state === "completed" || after.ending?.state === "timed_out")
        assert.isTrue(after.claimed, where)
    }
  })

  law("nothing is commanded once it is over, but that a late lease goes back", ({ seen }, where) => {
    for (const { before, moment, commands } of seen) {
      if (before.phase !== "over") continue
      const expected = moment._tag === "Leased" ? ["ReleaseLease"] : []
      assert.deepStrictEqual(
        commands.map(({ _tag }) => _tag),
        expected,
        where
      )
    }
  })

  law("its last command is Stop, after Announce", ({ seen }, where) => {
    for (const { before, after, commands } of seen) {
      const tags = commands.map(({ _tag }) => _tag)
      const ends = before.phase !== "over" && after.phase === "over"
      assert.strictEqual(tags.includes("Stop"), ends, where)
      if (ends) assert.deepStrictEqual(tags.slice(-2), ["Announce", "Stop"], where)
    }
  })

  law("the timers that run are those of its phase", ({ seen }, where) => {
    for (const { after, timers, moment } of seen) {
      if (after.phase === "new" || after.phase === "over") continue
      assert.deepStrictEqual([...timers].toSorted(), [...TIMERS[after.phase]], `${moment._tag} ${where}`)
    }
  })

  law("every lease it was given is given back once, or is still held, or left with its attempt", ({ seen }, where) => {
    let out = 0
    for (const { moment, before, after, commands } of seen) {
      const held = (lease: typeof before.lease) => (lease === null ? 0 : 1)
      out += moment._tag === "Leased" ? 1 : 0
      const inherited = moment._tag === "Started" ? held(after.lease) : 0
      const released = commands.filter(isOf("ReleaseLease")).length
      const toldOf = before.phase !== "claiming" || before.adopting
      const left = after.phase === "over" && before.phase !== "over" && toldOf ? held(before.lease) : 0
      out += inherited - released - left
      assert.strictEqual(out, held(after.lease), `${moment._tag} in ${before.phase} ${where}`)
    }
  })

  law("a node is told of an attempt only after its claim, from the next piece on", ({ seen }, where) => {
    for (const { moment, before, after, commands } of seen) {
      for (const { nodeId, lease, firstSeq } of commands.filter(isOf("Assign"))) {
        assert.strictEqual(moment._tag, "Claimed", where)
        assert.isTrue(after.claimed, where)
        assert.deepStrictEqual([nodeId, lease], [before.nodeId, before.lease], where)
        assert.strictEqual(firstSeq, before.last + 1, where)
      }
      for (const { fromSeq } of commands.filter(isOf("Reattach"))) assert.strictEqual(fromSeq, after.last + 1, where)
    }
  })

  law("the delivery is done with after the claim, its refusal or the end, never before", (life, where) => {
    let told = 0
    for (const { moment, before, after, commands } of life.seen) {
      if (commands.some(isOf("AckDelivery"))) {
        const may = moment._tag === "Claimed" || moment._tag === "ClaimRefused" || after.phase === "over"
        assert.isTrue(may, `${moment._tag} in ${before.phase} ${where}`)
      }
      told += commands.filter(({ _tag }) => _tag === "AckDelivery" || _tag === "NackDelivery").length
      if (after.phase === "over") assert.isAbove(told, 0, where)
    }
  })

  law("a dispatcher that was asked for a slot is told when none is wanted any more", ({ seen }, where) => {
    for (const { before, after, moment, commands } of seen) {
      const asked = before.phase === "leasing" && after.phase !== "leasing" && moment._tag !== "Leased"
      assert.strictEqual(commands.some(isOf("ForgetLease")), asked, `${moment._tag} ${where}`)
    }
  })

  law("failures never pass their bound, pieces and tokens never shrink", ({ facts: of, seen }, where) => {
    for (const { before, after, moment } of seen) {
      if (moment._tag === "Started") continue
      assert.isAtMost(after.failures, Math.max(of.failuresMax, before.failures), where)
      assert.isAtLeast(after.last, before.last, where)
      assert.isAtLeast(after.tokens, before.tokens, where)
      assert.isAtLeast(after.epoch, before.epoch, where)
    }
  })

  law("its moments, played again, give the same state", (life, where) => {
    assert.deepStrictEqual(replay(life.facts, momentsOf(life)), life.seen.at(-1)?.after, where)
  })

  law("moments of pieces that arrived one after the other may be kept as one", (life, where) => {
    const told = life.seen.filter(({ before, after, moment }) => moment._tag !== "Tokens" || after.last > before.last)
    assert.deepStrictEqual(replay(life.facts, merged(told.map(({ moment }) => moment))), life.seen.at(-1)?.after, where)
  })

  it("the moments of two lives in one record replay to the second one's state", () => {
    for (let seed = 1; seed <= 500; seed++) {
      const [first, second] = [liveLife(seed), liveLife(seed + 10_000)]
      const both = [...momentsOf(first), ...momentsOf(second)]
      assert.deepStrictEqual(replay(second.facts, both), replay(second.facts, momentsOf(second)), `seed ${seed}`)
    }
  })

  it("moments before its beginning do no harm", () => {
    for (let seed = 1; seed <= 500; seed++) {
      const life = liveLife(seed)
      const [, ...rest] = momentsOf(life)
      for (const command of commandsOf(play(life.facts, rest))) {
        assert.notInclude(["Assign", "Claim", "Penalise"], command._tag)
      }
    }
  })

  it("a fleet that always declines does not keep a job for ever", () => {
    const moments: Array<JobMoment> = [started()]
    for (let attempt = 1; attempt <= 25; attempt++) {
      moments.push({ _tag: "Leased", nodeId: NODES[attempt % 3] as never, lease: leaseOf(attempt) })
      moments.push({ _tag: "Claimed", epoch: attempt, attempt }, { _tag: "Rejected", code: "busy" })
      moments.push({ _tag: "TimerFired", timer: "backoff" })
    }
    const end = replay(facts(), moments)
    assert.deepStrictEqual(end.ending, { state: "failed", code: "declined" })
    assert.strictEqual(end.failures, 0)
  })
})

const merged = (moments: ReadonlyArray<JobMoment>): ReadonlyArray<JobMoment> => {
  const kept: Array<JobMoment> = []
  for (const moment of moments) {
    const before = kept.at(-1)
    if (moment._tag === "Tokens" && before?._tag === "Tokens") {
      kept[kept.length - 1] = { ...moment, tokens: before.tokens + moment.tokens }
    } else kept.push(moment)
  }
  return kept
}
