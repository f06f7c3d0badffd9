import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { MemoryAgent } from "../../support/MemoryAgent.ts"
import { World } from "../../support/World.ts"
import { anEmbedding, answersTo, aRequest, credits } from "../../support/worldFactories.ts"
import { textOf } from "../../support/WorldReader.ts"
import type { JobRequest } from "../../../src/actors/job/Admission.ts"
import type { WorldOptions } from "../../support/World.ts"

/** One job that has said `said` pieces on its first node; both agents hold what they are given. */
const midStream = (said: number, over: Partial<JobRequest> = {}, options: WorldOptions = {}) =>
  Effect.gen(function* () {
    const world = yield* World.make(options)
    const daemon = yield* world.daemon()
    const agents = [yield* world.agent(daemon, { orders: "hold" }), yield* world.agent(daemon, { orders: "hold" })]
    const caller = yield* world.caller(daemon)
    const request = aRequest(over)
    const { job } = yield* world.submit(daemon, caller, request)
    const reading = yield* world.read(daemon, job.id)
    yield* world.until("assigned", () => agents.some(({ assigned }) => assigned.length === 1))
    const [first, second] = (agents[0]!.assigned.length === 1 ? agents : agents.toReversed()) as [
      MemoryAgent,
      MemoryAgent
    ]
    first.say(first.of(job.id), said)
    yield* world.until("pieces are out", () => reading.events.length === said)
    return { world, daemon, caller, request, job, reading, first, second, answer: answersTo(request)[0]! }
  })

const twoChoices = (over: Partial<JobRequest> = {}) => {
  const { body } = aRequest()
  const both = { ...body, n: 2 }
  return aRequest({ choices: 2, body: both, request: both, ...over })
}

describe("a node that is lost mid-stream", () => {
  it.effect("comes back within its grace with what it kept: no gap, no repeat, one attempt", () =>
    Effect.gen(function* () {
      const { world, daemon, job, reading, first, answer } = yield* midStream(4)
      first.die()
      yield* world.pass(1000)
      const held = first.of(job.id)
      // It never stopped generating, and these pieces were said to nobody.
      held.said = 9
      yield* daemon.connect(first)
      yield* world.until("resumed", () => reading.events.length === 9)
      first.finish(held)
      yield* world.until("ended", () => reading.row !== null)
      assert.strictEqual(textOf(reading), answer)
      assert.deepStrictEqual([world.row(job.id).attempt, world.row(job.id).failures], [1, 0])
      assert.strictEqual(world.row(job.id).usage.outputTokens, 12)
    })
  )

  it.effect("comes back with the whole answer and its result", () =>
    Effect.gen(function* () {
      const { world, daemon, job, reading, first, answer } = yield* midStream(4)
      first.die()
      yield* world.pass(500)
      const held = first.of(job.id)
      held.said = held.script.length
      held.result = {}
      yield* daemon.connect(first)
      yield* world.untilOver(job.id)
      yield* world.rest
      assert.strictEqual(textOf(reading), answer)
      assert.strictEqual(world.row(job.id).state, "completed")
      assert.strictEqual(first.held.size, 0)
    })
  )

  it.effect("does not come back: another one goes on and the text is that of an uninterrupted answer", () =>
    Effect.gen(function* () {
      const { world, job, reading, first, second, answer } = yield* midStream(4)
      first.die()
      yield* world.until("handed over", () => second.assigned.length === 1)
      const { firstSeq, prefix, attempt, epoch } = second.assigned[0]!
      assert.deepStrictEqual([firstSeq, attempt, epoch], [5, 2, 2])
      assert.deepStrictEqual(prefix, [{ choice: 0, text: textOf(reading) }])
      second.finish(second.of(job.id))
      yield* world.until("ended", () => reading.row !== null)
      assert.strictEqual(textOf(reading), answer)
      assert.strictEqual(world.row(job.id).usage.outputTokens, 12)
      const { routing, output } = world.record(job.id)
      assert.strictEqual(output?.choices[0]?.text, answer)
      assert.deepStrictEqual(
        routing.attempts.map(({ state, cause, firstSeq: from }) => [state, cause, from]),
        [
          ["failed", "node_lost", 1],
          ["succeeded", null, 5]
        ]
      )
      assert.deepStrictEqual(
        routing.fallbacks.map(({ from, to, reason }) => [from, to, reason]),
        [[first.nodeId, second.nodeId, "node_lost"]]
      )
    })
  )

  it.effect("had finished one of two choices: another one goes on with the other only", () =>
    Effect.gen(function* () {
      const two = twoChoices()
      const [one, other] = answersTo(two) as [string, string]
      const firstChoice = one.split(" ").length + 1
      const { world, job, reading, first, second } = yield* midStream(firstChoice + 3, two)
      first.die()
      yield* world.until("handed over", () => second.assigned.length === 1)
      const said = reading.events.filter(({ choice }) => choice === 1).map(({ text }) => text)
      assert.deepStrictEqual(second.assigned[0]!.prefix, [
        { choice: 0, text: one, finished: true },
        { choice: 1, text: said.join("") }
      ])
      second.finish(second.of(job.id))
      yield* world.until("ended", () => reading.row !== null)
      assert.strictEqual(world.row(job.id).state, "completed")
      assert.deepStrictEqual(
        world.record(job.id).output?.choices.map(({ text }) => text),
        [one, other]
      )
    })
  )

  it.effect("is followed by one that speaks again of a finished choice: nobody is shown it, and it is at fault", () =>
    Effect.gen(function* () {
      const two = twoChoices({ deadlineMs: 60_000 })
      const firstChoice = answersTo(two)[0]!.split(" ").length + 1
      const { world, job, reading, first, second } = yield* midStream(firstChoice + 3, two)
      first.die()
      yield* world.until("handed over", () => second.assigned.length === 1)
      const { length } = reading.events
      const { attempt, epoch } = second.assigned[0]!
      const again = { seq: length + 1, choice: 0, text: "And" }
      second.send({ _tag: "Pieces", jobId: job.id, attempt, epoch, pieces: [again] })
      yield* world.pass(60_000)
      yield* world.untilOver(job.id)
      assert.strictEqual(reading.events.length, length)
      assert.isTrue(world.record(job.id).evaluation.failures.some(({ code }) => code === "finished_choice"))
    })
  )

  it.effect("comes back without what it kept: the job moves on at once, before the grace is over", () =>
    Effect.gen(function* () {
      const { world, daemon, job, reading, first, second, answer } = yield* midStream(
        4,
        {},
        { settings: { graceMs: 60_000 } }
      )
      first.die()
      yield* world.pass(100)
      first.forget()
      yield* daemon.connect(first)
      yield* world.until("handed over", () => second.assigned.length === 1, 3000)
      second.finish(second.of(job.id))
      yield* world.until("ended", () => reading.row !== null)
      assert.strictEqual(textOf(reading), answer)
    })
  )

  it.effect("comes back after its grace: what it kept is forgotten and changes nothing", () =>
    Effect.gen(function* () {
      const { world, daemon, job, reading, first, second, answer } = yield* midStream(4)
      first.die()
      yield* world.until("handed over", () => second.assigned.length === 1)
      first.of(job.id).said = 8
      yield* daemon.connect(first)
      yield* world.until("forgotten", () => first.held.size === 0)
      second.finish(second.of(job.id))
      yield* world.until("ended", () => reading.row !== null)
      assert.strictEqual(textOf(reading), answer)
      assert.strictEqual(world.row(job.id).nodeId, second.nodeId)
    })
  )

  it.effect("cannot be followed by a runtime that cannot continue: the job fails and says so", () =>
    Effect.gen(function* () {
      const models = [{ name: "stubborn", endpoints: ["chat" as const], canContinue: false, loaded: true }]
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      const one = yield* world.agent(daemon, { orders: "hold", profile: { models } })
      const caller = yield* world.caller(daemon)
      const { job } = yield* world.submit(daemon, caller, { model: "stubborn" })
      yield* world.until("assigned", () => one.assigned.length === 1)
      yield* world.agent(daemon, { orders: "answer", profile: { models } })
      one.say(one.of(job.id), 3)
      yield* world.rest
      one.die()
      yield* world.untilOver(job.id)
      const { state, errorCode, charged } = world.row(job.id)
      assert.deepStrictEqual([state, errorCode, charged], ["failed", "no_continuation", credits(0)])
    })
  )

  it.effect("ends a job that is not to be continued, and is charged for nothing", () =>
    Effect.gen(function* () {
      const { world, job, first, reading } = yield* midStream(4, { onNodeLoss: "restart" })
      first.die()
      yield* world.until("ended", () => reading.row !== null)
      assert.deepStrictEqual([reading.row?.state, reading.row?.errorCode], ["failed", "node_lost_mid_stream"])
      assert.strictEqual(world.row(job.id).charged, credits(0))
    })
  )

  it.effect("before its first piece is no different from one that never had the job", () =>
    Effect.gen(function* () {
      const { world, job, reading, first, second, answer } = yield* midStream(0, { onNodeLoss: "restart" })
      first.die()
      yield* world.until("handed over", () => second.assigned.length === 1)
      assert.deepStrictEqual([second.assigned[0]?.firstSeq, second.assigned[0]?.prefix], [1, []])
      second.finish(second.of(job.id))
      yield* world.until("ended", () => reading.row !== null)
      assert.strictEqual(textOf(reading), answer)
    })
  )

  // The join of an answer's pieces (schemas/OutputChoices) appends lists, vectors too.
  it.effect("amid an embeddings job is followed by one that starts it again: each input has one vector", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      const one = yield* world.agent(daemon, { orders: "hold" })
      const caller = yield* world.caller(daemon)
      const { job } = yield* world.submit(daemon, caller, anEmbedding(3))
      yield* world.until("assigned", () => one.assigned.length === 1)
      one.say(one.of(job.id), 2)
      yield* world.rest
      yield* world.agent(daemon)
      one.die()
      yield* world.untilOver(job.id)
      assert.strictEqual(world.row(job.id).state, "completed")
      assert.deepStrictEqual(
        world
          .record(job.id)
          .output?.choices.map(({ extra }) => ((extra ?? {})["embedding"] as ReadonlyArray<number>).length),
        [64, 64, 64]
      )
    })
  )
})

describe("a node that does not do its work", () => {
  it.effect("declines: the job goes elsewhere and nobody is at fault", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      const one = yield* world.agent(daemon, { orders: "reject" })
      const caller = yield* world.caller(daemon)
      const { job } = yield* world.submit(daemon, caller)
      yield* world.until("rejected", () => one.assigned.length === 1)
      yield* world.agent(daemon)
      yield* world.untilOver(job.id)
      assert.deepStrictEqual([world.row(job.id).state, world.row(job.id).failures], ["completed", 0])
      assert.strictEqual(world.record(job.id).routing.attempts[0]?.state, "rejected")
    })
  )

  const silence = (orders: "mute" | "hold", settings: WorldOptions["settings"]) =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: { failuresMax: 1, ...settings } })
      const daemon = yield* world.daemon()
      const agent = yield* world.agent(daemon, { orders })
      const caller = yield* world.caller(daemon)
      const { job } = yield* world.submit(daemon, caller)
      yield* world.until("assigned", () => agent.assigned.length === 1)
      yield* world.untilOver(job.id)
      yield* world.rest
      assert.strictEqual(agent.held.size, 0)
      return [world.row(job.id).state, world.row(job.id).errorCode]
    })

  it.effect("does not accept: its time to accept runs out", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* silence("mute", {}), ["timed_out", "accept_timeout"])
    })
  )

  it.effect("falls silent: its idle time runs out", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* silence("hold", { idleMs: 3000 }), ["timed_out", "idle_timeout"])
    })
  )

  it.effect("goes on for too long: its time to run is over", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* silence("hold", { executionMs: 3000 }), ["timed_out", "execution_timeout"])
    })
  )

  it.effect("speaks now and then: silence is counted from its last piece", () =>
    Effect.gen(function* () {
      const { world, job, reading, first, answer } = yield* midStream(1, {}, { settings: { idleMs: 1000 } })
      for (let piece = 0; piece < 6; piece++) {
        yield* world.pass(900)
        first.say(first.of(job.id), 1)
      }
      yield* world.rest
      first.finish(first.of(job.id))
      yield* world.until("ended", () => reading.row !== null)
      assert.strictEqual(textOf(reading), answer)
      assert.strictEqual(world.row(job.id).attempt, 1)
    })
  )

  it.effect("fails like another one before it: it was the job's fault, and both are forgiven", () =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: { cooldownFaults: 1, cooldownMs: 1, failuresMax: 5 } })
      const daemon = yield* world.daemon()
      const fails = (held: Parameters<MemoryAgent["fail"]>[0], agent: MemoryAgent) => agent.fail(held, "oom", "node")
      const agents = [yield* world.agent(daemon, { orders: fails }), yield* world.agent(daemon, { orders: fails })]
      const caller = yield* world.caller(daemon)
      const { job } = yield* world.submit(daemon, caller)
      yield* world.untilOver(job.id)
      assert.deepStrictEqual([world.row(job.id).state, world.row(job.id).errorCode], ["failed", "oom"])
      assert.deepStrictEqual(
        agents.map(({ assigned }) => assigned.length),
        [1, 1]
      )
      assert.strictEqual(world.record(job.id).evaluation.failures.length, 2)
    })
  )

  it.effect("says that the request is at fault: one more node is asked, then the job fails", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      const fails = (held: Parameters<MemoryAgent["fail"]>[0], agent: MemoryAgent) => agent.fail(held, "bad", "job")
      for (let count = 0; count < 3; count++) yield* world.agent(daemon, { orders: fails })
      const caller = yield* world.caller(daemon)
      const { job } = yield* world.submit(daemon, caller)
      yield* world.untilOver(job.id)
      assert.deepStrictEqual([world.row(job.id).errorCode, world.row(job.id).attempt], ["bad", 2])
    })
  )
})
