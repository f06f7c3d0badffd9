import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { Leases } from "../../../src/layers/Leases.ts"
import { type JobId, leaseTokenOf } from "../../../src/schemas/Ids.ts"
import type { MemoryAgent } from "../../support/MemoryAgent.ts"
import { World, type WorldDaemon } from "../../support/World.ts"

/** Heartbeats are 10 s apart, and a lease that is not released runs out after more than two minutes. */
const BEAT = 10_000

/** One node with one slot, connected to the first of two daemons. */
const begin = Effect.gen(function* () {
  const world = yield* World.make()
  const [first, second] = [yield* world.daemon(), yield* world.daemon()]
  const agent = yield* world.agent(first, { orders: "hold", profile: { slots: 1 } })
  const caller = yield* world.caller(first)
  const leased = () => world.presence(agent)?.leased
  return { world, first, second, agent, caller, leased }
})

const running = Effect.gen(function* () {
  const { world, first, caller, agent, ...rest } = yield* begin
  const { job } = yield* world.submit(first, caller)
  yield* world.until("assigned", () => agent.assigned.length === 1)
  return { ...rest, world, first, caller, agent, job }
})

/** A slot of this node, taken by hand. */
const take = (daemon: WorldDaemon, { nodeId }: MemoryAgent, jobId: JobId, attempt: number) =>
  daemon.use(
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const lease = { token: leaseTokenOf(jobId, attempt), nodeId, jobId, expiresAt: now + 40 * BEAT }
      assert.isTrue(yield* (yield* Leases).take(lease, now))
    })
  )

describe("a slot whose attempt is over", () => {
  it.effect("is free within a heartbeat, although its release never gets through", () =>
    Effect.gen(function* () {
      const { world, first, agent, job, leased } = yield* running
      first.faults.fail("Leases.release")
      agent.finish(agent.of(job.id))
      yield* world.untilOver(job.id)
      yield* world.pass(100)
      assert.strictEqual(leased(), 1)
      yield* world.until("free", () => leased() === 0, BEAT + 100)
    })
  )

  it.effect(
    "is free within a heartbeat of the node's next session, when its daemon died before it could be released",
    () =>
      Effect.gen(function* () {
        const { world, first, second, agent, job, leased } = yield* running
        first.faults.fail("Leases", "LiveNodes")
        agent.finish(agent.of(job.id))
        yield* world.untilOver(job.id)
        yield* first.crash
        yield* second.connect(agent)
        yield* world.untilActive(agent)
        assert.strictEqual(leased(), 1)
        yield* world.until("free", () => leased() === 0, BEAT + 100)
      })
  )

  it.effect("is free within a heartbeat after Redis is back", () =>
    Effect.gen(function* () {
      const { world, first, agent, job, caller, leased } = yield* running
      const next = yield* world.submit(first, caller)
      yield* world.shared.live.outage(true)
      agent.finish(agent.of(job.id))
      yield* world.untilOver(job.id)
      yield* world.pass(4 * BEAT)
      yield* world.shared.live.outage(false)
      yield* world.until("assigned", () => agent.assigned.length === 2, BEAT + 100)
      agent.finish(agent.of(next.job.id))
      yield* world.untilOver(next.job.id)
      yield* world.rest
      assert.strictEqual(leased(), 0)
    })
  )
})

describe("a slot that was taken in vain", () => {
  it.effect("is free within a few heartbeats, when the daemon died before the claim, and its job goes on with it", () =>
    Effect.gen(function* () {
      const { world, first, second, agent, caller, leased } = yield* begin
      const claim = first.faults.hold("JobStore.claim", "before")
      const { job } = yield* world.submit(first, caller)
      yield* world.until("leased", () => claim.isReached())
      yield* first.crash
      agent.orders = "answer"
      yield* second.connect(agent)
      yield* world.untilActive(agent)
      assert.strictEqual(leased(), 1)
      yield* world.untilOver(job.id, 4 * BEAT)
      yield* world.rest
      assert.strictEqual(world.row(job.id).state, "completed")
      assert.strictEqual(leased(), 0)
    })
  )

  it.effect("is used at once, when only the answer was lost", () =>
    Effect.gen(function* () {
      const { world, first, agent, caller, leased } = yield* begin
      first.faults.loseReplies("Leases.take")
      const { job } = yield* world.submit(first, caller)
      yield* world.until("taken", () => leased() === 1)
      first.faults.heal()
      yield* world.until("assigned", () => agent.assigned.length === 1, 1000)
      assert.strictEqual(leased(), 1)
      agent.finish(agent.of(job.id))
      yield* world.untilOver(job.id)
      yield* world.rest
      assert.strictEqual(leased(), 0)
    })
  )

  it.effect("is given back, when only the answer was lost and the job was cancelled meanwhile", () =>
    Effect.gen(function* () {
      const { world, first, agent, caller, leased } = yield* begin
      first.faults.loseReplies("Leases.take")
      const { job } = yield* world.submit(first, caller)
      yield* world.until("taken", () => leased() === 1)
      const cancelling = yield* Effect.forkIn(world.cancel(first, job.id), world.scope)
      yield* world.until("cancelled", () => cancelling.pollUnsafe() !== undefined, 2000)
      yield* world.until("free", () => leased() === 0, 1000)
      assert.strictEqual(agent.assigned.length, 0)
    })
  )

  it.effect("is free within a few heartbeats, when its job runs elsewhere", () =>
    Effect.gen(function* () {
      const { world, first, second, job } = yield* running
      const others: Array<MemoryAgent> = []
      for (const daemon of [first, second]) {
        for (const attempt of [1, 2]) {
          const other = yield* world.agent(daemon, { orders: "hold", profile: { slots: 1 } })
          yield* take(daemon, other, job.id, attempt)
          others.push(other)
        }
      }
      yield* world.until("free", () => others.every((other) => world.presence(other)?.leased === 0), 4 * BEAT)
    })
  )
})

describe("a slot that is used", () => {
  it.effect("stays taken for as long as the attempt runs, whatever is out", () =>
    Effect.gen(function* () {
      const { world, first, agent, job, leased } = yield* running
      const holds = (ms: number) =>
        Effect.gen(function* () {
          for (let gone = 0; gone < ms; gone += 500) {
            agent.say(agent.of(job.id), gone % 10_000 === 0 ? 1 : 0)
            yield* world.pass(500)
            assert.strictEqual(leased(), 1)
          }
        })
      yield* holds(2.5 * BEAT)
      first.faults.fail("JobStore")
      yield* holds(2.5 * BEAT)
      first.faults.heal()
      agent.finish(agent.of(job.id))
      yield* world.untilOver(job.id)
      yield* world.rest
      assert.strictEqual(leased(), 0)
      assert.strictEqual(first.faults.calls.get("Leases.releaseUnchanged"), undefined)
    })
  )

  it.effect("stays taken while its attempt cannot be claimed yet", () =>
    Effect.gen(function* () {
      const { world, first, agent, caller, leased } = yield* begin
      first.faults.fail("JobStore.claim")
      yield* world.submit(first, caller)
      for (let gone = 0; gone < 6 * BEAT; gone += 500) {
        yield* world.pass(500)
        assert.strictEqual(leased(), 1)
      }
      first.faults.heal()
      yield* world.until("assigned", () => agent.assigned.length === 1)
      assert.strictEqual(leased(), 1)
      assert.strictEqual(first.faults.calls.get("Leases.releaseUnchanged"), undefined)
    })
  )

  it.effect("stays taken when a daemon that leased it for the same attempt comes too late to claim it", () =>
    Effect.gen(function* () {
      const { world, first, second, agent, caller, leased } = yield* begin
      const claim = first.faults.hold("JobStore.claim", "before")
      const { job } = yield* world.submit(first, caller)
      yield* world.until("leased", () => claim.isReached())
      const stored = world.shared.state.jobs.get(job.id)!
      const { nodeId } = agent
      stored.row = { ...stored.row, state: "active", owner: second.id, epoch: 1, attempt: 1, nodeId }
      yield* claim.release
      yield* world.pass(3 * BEAT)
      assert.strictEqual(leased(), 1)
    })
  )

  it.effect("stays taken when a release that was waited for comes after it was taken again", () =>
    Effect.gen(function* () {
      const { world, first, second, agent, caller, leased } = yield* begin
      second.faults.fail("Transport.consume", "Transport.publish")
      const claim = first.faults.hold("JobStore.claim", "before")
      const { job } = yield* world.submit(first, caller)
      yield* world.until("leased", () => claim.isReached())
      first.faults.fail("Leases.release")
      const stored = world.shared.state.jobs.get(job.id)!
      const before = stored.row
      stored.row = { ...before, state: "active", owner: second.id, epoch: 1, attempt: 1, nodeId: null }
      yield* claim.release
      yield* world.rest
      yield* take(second, agent, job.id, 1)
      stored.row = { ...stored.row, nodeId: agent.nodeId }
      first.faults.heal()
      yield* world.pass(3 * BEAT)
      assert.strictEqual(leased(), 1)
    })
  )

  it.effect("stays taken when the attempt goes on at another daemon", () =>
    Effect.gen(function* () {
      const { world, first, second, agent, job, leased } = yield* running
      agent.say(agent.of(job.id), 2)
      yield* world.rest
      yield* first.crash
      yield* second.connect(agent)
      yield* world.untilActive(agent)
      for (let gone = 0; gone < 3 * BEAT; gone += 500) {
        if (gone % 10_000 === 0) agent.say(agent.of(job.id), 1)
        yield* world.pass(500)
        assert.strictEqual(leased(), 1)
      }
      agent.finish(agent.of(job.id))
      yield* world.untilOver(job.id)
      yield* world.rest
      assert.strictEqual(leased(), 0)
      assert.deepStrictEqual([world.row(job.id).state, world.row(job.id).attempt], ["completed", 1])
    })
  )

  it.effect("is taken again within a heartbeat after everything live was wiped", () =>
    Effect.gen(function* () {
      const { world, first, agent, caller, job, leased } = yield* running
      yield* world.shared.live.wipe
      yield* world.until("leased again", () => leased() === 1, BEAT + 100)
      const next = yield* world.submit(first, caller)
      yield* world.pass(BEAT)
      assert.strictEqual(agent.assigned.length, 1)
      agent.finish(agent.of(job.id))
      yield* world.until("assigned", () => agent.assigned.length === 2, BEAT)
      agent.finish(agent.of(next.job.id))
      yield* world.untilOver(next.job.id)
      yield* world.rest
      assert.strictEqual(leased(), 0)
    })
  )
})
