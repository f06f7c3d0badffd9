import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import type { JobId } from "../../../src/schemas/Ids.ts"
import type { MemoryAgent } from "../../support/MemoryAgent.ts"
import { World, type WorldDaemon } from "../../support/World.ts"
import { answersTo, aRequest } from "../../support/worldFactories.ts"
import { textOf } from "../../support/WorldReader.ts"

const begin = Effect.gen(function* () {
  const world = yield* World.make()
  const [first, second] = [yield* world.daemon(), yield* world.daemon()]
  const agent = yield* world.agent(first, { orders: "hold" })
  const caller = yield* world.caller(first)
  const request = aRequest()
  return { world, first, second, agent, caller, request, answer: answersTo(request)[0]! }
})

/** One settlement, the books balance, and what is recorded is the whole answer. */
const endsOnce = (world: World, daemon: WorldDaemon, jobId: JobId, answer: string) =>
  Effect.gen(function* () {
    yield* world.rest
    const { state, usage } = world.row(jobId)
    assert.deepStrictEqual([state, usage.outputTokens], ["completed", 12])
    const stored = world.shared.state.jobs.get(jobId)!
    assert.strictEqual(stored.events.filter(({ kind }) => kind === "finished").length, 1)
    assert.deepStrictEqual(
      stored.account.entries.filter((entry) => entry.jobId === jobId).map(({ kind }) => kind),
      ["reserve", "settle", "refund"]
    )
    assert.deepStrictEqual(yield* daemon.use(Effect.flatMap(CreditLedger, ({ audit }) => audit)), [])
    assert.strictEqual(world.record(jobId).output?.choices[0]?.text, answer)
    assert.strictEqual(world.record(jobId).completeness, "complete")
  })

/** Finishes whatever the agent is given from now on, resumed attempts as well. */
const finishes = (world: World, agent: MemoryAgent, jobId: JobId) =>
  world.until(
    "finished",
    () => {
      if (world.isOver(jobId)) return true
      for (const held of agent.held.values()) {
        if (held.assign.jobId === jobId && held.result === null && agent.isConnected) agent.finish(held)
      }
      return false
    },
    40_000
  )

describe("a daemon that dies", () => {
  it.effect("while the job waits: the broker gives it to another one at once", () =>
    Effect.gen(function* () {
      const { world, first, second, agent, caller, request, answer } = yield* begin
      const hold = first.faults.hold("Leases.candidates", "before")
      second.faults.fail("Leases")
      const { job } = yield* world.submit(first, caller, request)
      yield* world.rest
      void hold
      yield* first.crash
      second.faults.heal()
      yield* second.connect(agent)
      yield* finishes(world, agent, job.id)
      yield* endsOnce(world, second, job.id, answer)
      assert.strictEqual(world.row(job.id).crashes, 0)
    })
  )

  const STEPS = [
    ["before its claim", "JobStore.claim", "before"],
    ["after its claim, before the acknowledgement", "JobStore.claim", "after"],
    ["before the record is written", "JobRecords.patch", "before"],
    ["after the record was written", "JobRecords.patch", "after"],
    ["before the settlement", "JobStore.finish", "before"],
    ["after the settlement", "JobStore.finish", "after"]
  ] as const

  for (const keeps of [true, false]) {
    for (const [when, key, side] of STEPS) {
      it.effect(`${when}, with a node that ${keeps ? "keeps" : "loses"} its attempt: one settlement`, () =>
        Effect.gen(function* () {
          const { world, first, second, agent, caller, request, answer } = yield* begin
          // Only the first daemon has nodes, so the second one's dispatcher can do nothing before the crash.
          const early = key === "JobStore.claim"
          const holdEarly = early ? first.faults.hold(key, side) : null
          const { job } = yield* world.submit(first, caller, request)
          if (holdEarly === null) {
            yield* world.until("assigned", () => agent.assigned.length === 1)
            agent.say(agent.of(job.id), 4)
            yield* world.rest
            const hold = first.faults.hold(key, side)
            agent.finish(agent.of(job.id))
            yield* world.until("held up", hold.isReached)
          } else yield* world.until("held up", holdEarly.isReached)
          yield* first.crash
          if (!keeps) agent.forget()
          yield* second.connect(agent)
          yield* finishes(world, agent, job.id)
          yield* endsOnce(world, second, job.id, answer)
          yield* world.until("forgotten", () => agent.held.size === 0)
        })
      )
    }
  }

  it.effect("mid-stream: a reader at another daemon sees no gap and no repeat, and the node never stopped", () =>
    Effect.gen(function* () {
      const { world, first, second, agent, caller, request, answer } = yield* begin
      const { job } = yield* world.submit(first, caller, request)
      yield* world.until("assigned", () => agent.assigned.length === 1)
      const held = agent.of(job.id)
      agent.say(held, 5)
      yield* world.rest
      yield* first.crash
      held.said = 9
      yield* second.connect(agent)
      const reading = yield* world.read(second, job.id)
      yield* world.until("adopted", () => reading.events.length === 9, 15_000)
      agent.finish(held)
      yield* world.until("ended", () => reading.row !== null)
      assert.strictEqual(textOf(reading), answer)
      assert.strictEqual(agent.assigned.length, 1)
      assert.deepStrictEqual([world.row(job.id).attempt, world.row(job.id).crashes], [1, 1])
      yield* endsOnce(world, second, job.id, answer)
    })
  )

  it.effect("mid-stream, with pieces that readers saw and no store had: they stay as they were shown", () =>
    Effect.gen(function* () {
      const { world, first, second, agent, caller, request, answer } = yield* begin
      const { job } = yield* world.submit(first, caller, request)
      yield* world.until("assigned", () => agent.assigned.length === 1)
      const reading = yield* world.read(first, job.id)
      agent.say(agent.of(job.id), 2)
      yield* world.rest
      first.faults.fail("Traces")
      agent.say(agent.of(job.id), 3)
      yield* world.until("shown all the same", () => reading.events.length === 5)
      yield* first.crash
      yield* second.connect(agent)
      // The client comes back with the number of the last piece it saw.
      const rest = yield* world.read(second, job.id, 5)
      yield* finishes(world, agent, job.id)
      yield* world.until("ended", () => rest.row !== null)
      assert.strictEqual(textOf(reading) + textOf(rest), answer)
      yield* endsOnce(world, second, job.id, answer)
    })
  )

  for (const key of ["Traces.append", "JobStore.finish"]) {
    it.effect(`and wakes up again at ${key} changes nothing that its successor did`, () =>
      Effect.gen(function* () {
        const { world, first: second, second: first, agent, caller, request, answer } = yield* begin
        // The one that stays alive came first, so it is the one that leads the reaper.
        agent.die()
        yield* first.connect(agent)
        yield* world.untilActive(agent)
        second.faults.fail("Transport.consume")
        const { job } = yield* world.submit(first, caller, request)
        yield* world.until("assigned", () => agent.assigned.length === 1)
        agent.say(agent.of(job.id), 4)
        yield* world.rest
        // It hangs there while others declare it dead and act for the job.
        const hold = first.faults.hold(key, "before")
        agent.finish(agent.of(job.id))
        yield* world.until("hangs", hold.isReached)
        first.faults.fail("Daemons")
        second.faults.heal()
        agent.die()
        yield* second.connect(agent)
        yield* world.untilOver(job.id, 30_000)
        yield* endsOnce(world, second, job.id, answer)
        const before = structuredClone(world.shared.state.jobs.get(job.id)!.events)
        const recordBefore = world.record(job.id)
        yield* hold.release
        yield* world.pass(1000)
        assert.deepStrictEqual(world.shared.state.jobs.get(job.id)!.events, before)
        assert.deepStrictEqual(world.record(job.id), recordBefore)
      })
    )
  }

  it.effect("in an orderly way hands on what waits and leaves what runs to be adopted", () =>
    Effect.gen(function* () {
      const { world, first, second, agent, caller, request, answer } = yield* begin
      const { job } = yield* world.submit(first, caller, request)
      yield* world.until("assigned", () => agent.assigned.length === 1)
      agent.say(agent.of(job.id), 4)
      yield* world.rest
      yield* first.stop
      yield* second.connect(agent)
      yield* finishes(world, agent, job.id)
      yield* endsOnce(world, second, job.id, answer)
      assert.strictEqual(world.row(job.id).attempt, 1)
    })
  )

  it.effect("one after the other, three times: the job ends once all the same", () =>
    Effect.gen(function* () {
      const { world, first, second, agent, caller, request, answer } = yield* begin
      const { job } = yield* world.submit(first, caller, request)
      yield* world.until("assigned", () => agent.assigned.length === 1)
      let dying = first
      let next = second
      for (let count = 0; count < 3; count++) {
        agent.say(agent.of(job.id), 2)
        yield* world.rest
        const { epoch } = world.row(job.id)
        yield* dying.crash
        yield* next.connect(agent)
        yield* world.until("adopted", () => world.row(job.id).epoch > epoch, 20_000)
        yield* world.rest
        dying = next
        next = yield* world.daemon()
      }
      yield* finishes(world, agent, job.id)
      yield* endsOnce(world, dying, job.id, answer)
      assert.strictEqual(world.row(job.id).attempt, 1)
    })
  )

  it.effect("again and again with the same job: the job is taken for poison, and refunded", () =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: { crashesMax: 2 } })
      let daemon = yield* world.daemon()
      const agent = yield* world.agent(daemon, { orders: "hold" })
      const caller = yield* world.caller(daemon)
      const { job } = yield* world.submit(daemon, caller)
      for (let count = 0; count < 4 && !world.isOver(job.id); count++) {
        const { epoch } = world.row(job.id)
        yield* world.until(
          "claimed",
          () => world.isOver(job.id) || world.row(job.id).epoch > (count === 0 ? 0 : epoch),
          20_000
        )
        yield* world.rest
        if (world.isOver(job.id)) break
        yield* daemon.crash
        daemon = yield* world.daemon()
        yield* daemon.connect(agent)
      }
      yield* world.untilOver(job.id)
      assert.deepStrictEqual([world.row(job.id).state, world.row(job.id).errorCode], ["failed", "poison"])
      assert.strictEqual(world.row(job.id).charged, 0n)
    })
  )
})
