import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Root } from "../../../src/actors/Root.ts"
import { jobAddress } from "../../../src/schemas/Address.ts"
import { World, type WorldDaemon } from "../../support/World.ts"
import { answersTo, aRequest } from "../../support/worldFactories.ts"

/** A job that settled before its record, four of its pieces stored; its node keeps the answer that nobody else has. */
const begin = Effect.gen(function* () {
  const world = yield* World.make()
  const [first, second] = [yield* world.daemon(), yield* world.daemon()]
  const agent = yield* world.agent(first, { orders: "hold" })
  const request = aRequest()
  const { job } = yield* world.submit(first, yield* world.caller(first), request)
  yield* world.until("assigned", () => agent.assigned.length === 1)
  agent.say(agent.of(job.id), 4)
  yield* world.rest
  first.faults.fail("JobRecords.patch", "Logs", "Traces")
  agent.finish(agent.of(job.id))
  yield* world.untilOver(job.id, 20_000)
  assert.strictEqual(world.record(job.id).completeness, "open")
  const statuses = () =>
    agent.heard.flatMap((frame) => (frame._tag === "Settled" && frame.jobId === job.id ? [frame.status] : []))
  return { world, first, second, agent, jobId: job.id, answer: answersTo(request)[0]!, statuses }
})

type Begun = Effect.Success<typeof begin>

const isWhole = ({ world, agent, jobId, answer, statuses }: Begun) =>
  Effect.gen(function* () {
    yield* world.until("forgotten by its node", () => agent.held.size === 0)
    const { charged, finishedAt, usage } = world.row(jobId)
    const { state, completeness, truncatedReason, output, cost, finishedAt: closedAt } = world.record(jobId)
    assert.deepStrictEqual([state, completeness, truncatedReason], ["completed", "complete", null])
    assert.strictEqual(output?.choices[0]?.text, answer)
    assert.strictEqual(output?.tokens.completion, usage.outputTokens)
    assert.deepStrictEqual([cost, closedAt], [charged, finishedAt])
    assert.strictEqual(world.shared.records.traces.get(jobId)?.events.length, 13)
    assert.deepStrictEqual(statuses(), ["accepted"])
  })

const crashAll = (...daemons: ReadonlyArray<WorldDaemon>) => Effect.forEach(daemons, ({ crash }) => crash)

describe("a node that holds the whole answer of a job that settled without its record", () => {
  it.effect("gives it to the daemon that it comes to when the one that settled died", () =>
    Effect.gen(function* () {
      const begun = yield* begin
      yield* begun.first.crash
      yield* begun.second.connect(begun.agent)
      yield* isWhole(begun)
    })
  )

  for (const key of ["JobStore.get", "JobRecords.get", "JobRecords.patch", "Traces.fence", "Traces.append"]) {
    it.effect(`keeps it while ${key} is out, and is asked for it afterwards`, () =>
      Effect.gen(function* () {
        const begun = yield* begin
        const { world, first, second, agent, jobId } = begun
        yield* first.crash
        second.faults.fail(key)
        yield* second.connect(agent)
        yield* world.pass(30_000)
        assert.strictEqual(agent.of(jobId).assign.jobId, jobId)
        second.faults.heal()
        yield* isWhole(begun)
      })
    )
  }

  it.effect("is asked again when it went away in the middle, and by the next daemon when that one dies as well", () =>
    Effect.gen(function* () {
      const begun = yield* begin
      const { world, first, second, agent } = begun
      yield* first.crash
      const fence = second.faults.hold("Traces.fence", "after")
      yield* second.connect(agent)
      yield* world.until("looked at", fence.isReached)
      agent.die()
      yield* world.rest
      yield* fence.release
      yield* world.pass(1000)
      second.faults.fail("JobRecords.patch")
      yield* second.connect(agent)
      yield* world.until("stored", () => world.shared.records.traces.get(begun.jobId)?.events.length === 13)
      const third = yield* world.daemon()
      yield* second.crash
      yield* third.connect(agent)
      yield* isWhole(begun)
    })
  )

  it.effect("may give it to another daemon while the one that settled still waits for its stores", () =>
    Effect.gen(function* () {
      const begun = yield* begin
      const { world, first, second, agent } = begun
      agent.die()
      yield* second.connect(agent)
      yield* isWhole(begun)
      first.faults.heal()
      yield* world.pass(10_000)
      const { completeness, output } = world.record(begun.jobId)
      assert.deepStrictEqual([completeness, output?.choices[0]?.text], ["complete", begun.answer])
    })
  )

  it.effect("gives it to the job's next actor when the one that settled is restarted", () =>
    Effect.gen(function* () {
      const begun = yield* begin
      const { world, first, jobId } = begun
      const restarted = yield* first.use(Effect.flatMap(Root, (root) => root.restartChild(jobAddress(jobId))))
      assert.isTrue(restarted)
      yield* world.pass(1000)
      first.faults.heal()
      yield* isWhole(begun)
    })
  )

  it.effect("comes in time while the record says nothing worse than that it was lost", () =>
    Effect.gen(function* () {
      const begun = yield* begin
      const { world, first, second, agent, jobId } = begun
      yield* first.crash
      agent.die()
      yield* world.until("given up", () => world.record(jobId).truncatedReason === "record_lost", 11 * 60_000)
      yield* second.connect(agent)
      yield* isWhole(begun)
    })
  )

  it.effect("is told to forget it when its result is not what it says", () =>
    Effect.gen(function* () {
      const { world, first, second, agent, jobId, statuses } = yield* begin
      yield* first.crash
      agent.of(jobId).result = { wrongHash: true }
      yield* second.connect(agent)
      yield* world.until("forgotten", () => agent.held.size === 0)
      assert.deepStrictEqual(statuses(), ["refused"])
      assert.strictEqual(world.record(jobId).completeness, "open")
    })
  )

  it.effect("is let go at once when another node said the beginning, which died with the daemon", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const [first, second] = [yield* world.daemon(), yield* world.daemon()]
      const former = yield* world.agent(first, { orders: "hold" })
      const { job } = yield* world.submit(first, yield* world.caller(first), aRequest())
      yield* world.until("assigned", () => former.assigned.length === 1)
      first.faults.fail("JobRecords.patch", "Logs", "Traces")
      former.say(former.of(job.id), 4)
      yield* world.rest
      const latter = yield* world.agent(first, { orders: "hold" })
      former.fail(former.of(job.id), "runtime_error", "node")
      yield* world.until("assigned again", () => latter.assigned.length === 1)
      assert.strictEqual(latter.assigned[0]?.firstSeq, 5)
      latter.finish(latter.of(job.id))
      yield* world.untilOver(job.id, 20_000)
      yield* first.crash
      yield* second.connect(latter)
      yield* world.until("forgotten", () => latter.held.size === 0)
      assert.strictEqual(latter.heard.findLast((frame) => frame._tag === "Settled")?.status, "stale")
      assert.strictEqual(world.record(job.id).completeness, "open")
    })
  )

  it.effect("is let go when it never says its result, after ten minutes", () =>
    Effect.gen(function* () {
      const { world, first, second, agent, jobId, statuses } = yield* begin
      yield* first.crash
      agent.of(jobId).result = null
      yield* second.connect(agent)
      yield* world.pass(5 * 60_000)
      assert.deepStrictEqual(statuses(), [])
      yield* world.until("forgotten", () => agent.held.size === 0, 6 * 60_000)
      assert.deepStrictEqual(statuses(), ["stale"])
    })
  )

  it.effect("is let go by the daemon that waits for it once the one that settled has closed the record", () =>
    Effect.gen(function* () {
      const { world, first, second, agent, jobId, statuses } = yield* begin
      agent.die()
      agent.of(jobId).result = null
      yield* second.connect(agent)
      yield* world.pass(15_000)
      assert.deepStrictEqual(statuses(), [])
      first.faults.heal()
      yield* world.until("forgotten", () => agent.held.size === 0, 60_000)
      assert.deepStrictEqual([statuses(), world.record(jobId).completeness], [["stale"], "complete"])
    })
  )

  it.effect("is told to forget it once the record is whole, whoever is asked", () =>
    Effect.gen(function* () {
      const begun = yield* begin
      const { world, first, second, agent, jobId, statuses } = begun
      agent.die()
      yield* world.rest
      first.faults.heal()
      yield* world.until("recorded", () => world.record(jobId).completeness === "complete")
      const before = world.record(jobId)
      yield* crashAll(first)
      yield* second.connect(agent)
      yield* world.until("forgotten", () => agent.held.size === 0)
      assert.deepStrictEqual([statuses(), world.record(jobId)], [["stale"], before])
    })
  )
})
