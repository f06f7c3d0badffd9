import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { World } from "../../support/World.ts"
import { answersTo, aRequest } from "../../support/worldFactories.ts"
import { textOf } from "../../support/WorldReader.ts"

/** A daemon whose one slot is taken, and a second job that waits for it. */
const begin = Effect.gen(function* () {
  const world = yield* World.make()
  const daemon = yield* world.daemon({ lanePrefetch: 1 })
  const agent = yield* world.agent(daemon, { orders: "hold", profile: { slots: 1 } })
  const caller = yield* world.caller(daemon)
  const requests = [aRequest(), aRequest(), aRequest()]
  const jobs = []
  for (const request of requests) jobs.push((yield* world.submit(daemon, caller, request)).job)
  yield* world.until("assigned", () => agent.assigned.length === 1)
  return { world, daemon, agent, requests, jobs }
})

/** What a job's road asks, from its delivery to its end. */
const ROAD = [
  "JobStore",
  "JobStore.get",
  "JobStore.claim",
  "JobStore.finish",
  "JobRecords",
  "JobRecords.get",
  "JobRecords.patch",
  "Traces",
  "Traces.append",
  "Logs",
  "Leases",
  "Leases.candidates",
  "Leases.take",
  "Leases.release",
  "LiveNodes",
  "NodeRegistry",
  "Namespaces",
  "Outbox",
  "Daemons",
  "SweeperStates",
  "Transport.publish"
]

describe("an outage", () => {
  for (const key of [...ROAD, "the broker", "everything"]) {
    it.effect(`of ${key}, while one job ends and others wait, is waited out and all ends right`, () =>
      Effect.gen(function* () {
        const { world, daemon, agent, requests, jobs } = yield* begin
        const [first] = jobs
        agent.say(agent.of(first!.id), 3)
        yield* world.rest
        if (key === "the broker") yield* world.shared.broker.outage(true)
        else daemon.faults.fail(...(key === "everything" ? ROAD : [key]))
        agent.finish(agent.of(first!.id))
        yield* world.pass(5000)
        yield* world.shared.broker.outage(false)
        daemon.faults.heal()
        agent.orders = "answer"
        const finishAll = () => {
          for (const held of agent.held.values()) if (held.result === null) agent.finish(held)
          return jobs.every(({ id }) => world.isOver(id))
        }
        yield* world.until("all over", finishAll, 40_000)
        yield* world.pass(6000)
        jobs.forEach(({ id }, at) => {
          assert.strictEqual(world.row(id).state, "completed")
          assert.strictEqual(world.record(id).completeness, "complete")
          assert.strictEqual(world.record(id).output?.choices[0]?.text, answersTo(requests[at]!)[0])
          assert.strictEqual(world.row(id).failures, 0)
        })
        assert.deepStrictEqual(yield* daemon.use(Effect.flatMap(CreditLedger, ({ audit }) => audit)), [])
        assert.strictEqual(world.presence(agent)?.leased, 0)
        assert.strictEqual(agent.held.size, 0)
        assert.strictEqual(world.shared.state.outbox.size, 0)
      })
    )
  }

  it.effect("of the traces does not keep pieces from readers", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, requests, jobs } = yield* begin
      const { id } = jobs[0]!
      const reading = yield* world.read(daemon, id)
      daemon.faults.fail("Traces")
      agent.say(agent.of(id), 4)
      yield* world.until("shown", () => reading.events.length === 4, 1000)
      agent.say(agent.of(id), 2)
      yield* world.rest
      assert.strictEqual(reading.events.length, 6)
      daemon.faults.heal()
      agent.finish(agent.of(id))
      yield* world.until("ended", () => reading.row !== null)
      assert.strictEqual(textOf(reading), answersTo(requests[0]!)[0])
      assert.strictEqual(world.shared.records.traces.get(id)?.events.length, 13)
    })
  )

  it.effect("of the records at a job's end: it settles after some patience, and the record is whole afterwards", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, requests, jobs } = yield* begin
      const { id } = jobs[0]!
      const reading = yield* world.read(daemon, id)
      daemon.faults.fail("JobRecords.patch", "Logs")
      agent.finish(agent.of(id))
      yield* world.pass(5000)
      assert.strictEqual(world.row(id).state, "active")
      yield* world.untilOver(id, 10_000)
      yield* world.rest
      assert.strictEqual(reading.row?.state, "completed")
      assert.strictEqual(world.record(id).completeness, "open")
      // The node keeps its result until the record is written.
      assert.isTrue([...agent.held.values()].some(({ assign }) => assign.jobId === id))
      yield* world.pass(20_000)
      assert.strictEqual(world.record(id).completeness, "open")
      daemon.faults.heal()
      yield* world.until("recorded", () => world.record(id).completeness === "complete")
      yield* world.rest
      assert.strictEqual(world.record(id).output?.choices[0]?.text, answersTo(requests[0]!)[0])
      assert.isFalse([...agent.held.values()].some(({ assign }) => assign.jobId === id))
    })
  )

  it.effect(
    "of the records and the death of the daemon after it settled: the record is made again from the pieces",
    () =>
      Effect.gen(function* () {
        const { world, daemon, agent, requests, jobs } = yield* begin
        const { id } = jobs[0]!
        daemon.faults.fail("JobRecords.patch", "Logs")
        agent.finish(agent.of(id))
        yield* world.untilOver(id, 20_000)
        yield* daemon.crash
        yield* world.daemon()
        yield* world.until("repaired", () => world.record(id).completeness !== "open", 11 * 60_000)
        assert.deepInclude(world.record(id), { state: "completed", completeness: "complete" })
        assert.strictEqual(world.record(id).output?.choices[0]?.text, answersTo(requests[0]!)[0])
      })
  )

  it.effect("of records and traces and the death of the daemon after it settled: the record says what is lost", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, jobs } = yield* begin
      const { id } = jobs[0]!
      daemon.faults.fail("JobRecords.patch", "Logs", "Traces")
      agent.finish(agent.of(id))
      yield* world.untilOver(id, 20_000)
      yield* daemon.crash
      yield* world.daemon()
      yield* world.until("repaired", () => world.record(id).completeness === "truncated", 11 * 60_000)
      assert.deepInclude(world.record(id), { state: "completed", truncatedReason: "record_lost" })
    })
  )
})

describe("a new job while nobody can say which models are served", () => {
  it.effect("is accepted when the model was served before, also just after the facts come back empty, and waits", () =>
    Effect.gen(function* () {
      const { world, daemon, caller, agent } = yield* idle
      yield* world.submit(daemon, caller, aRequest())
      daemon.faults.fail("LiveNodes", "Leases")
      const second = yield* world.submit(daemon, caller, aRequest())
      daemon.faults.heal()
      yield* world.shared.live.wipe
      const third = yield* world.submit(daemon, caller, aRequest())
      agent.orders = "answer"
      yield* world.until("over", () => [second, third].every(({ job }) => world.isOver(job.id)), 60_000)
      assert.strictEqual(world.row(third.job.id).state, "completed")
    })
  )

  it.effect("is refused as an outage when the daemon never knew", () =>
    Effect.gen(function* () {
      const { world, daemon, caller } = yield* idle
      daemon.faults.fail("LiveNodes")
      const exit = yield* Effect.exit(world.submit(daemon, caller, aRequest()))
      assert.include(String(exit), "Outage")
      assert.isTrue(Exit.isFailure(exit))
    })
  )
})

const idle = Effect.gen(function* () {
  const world = yield* World.make()
  const daemon = yield* world.daemon()
  const agent = yield* world.agent(daemon, { orders: "answer" })
  return { world, daemon, agent, caller: yield* world.caller(daemon) }
})
