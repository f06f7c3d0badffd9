import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { NodeSupervisor } from "../../src/actors/node/NodeSupervisor.ts"
import { SweepSupervisor } from "../../src/actors/sweep/SweepSupervisor.ts"
import { MemoryAgent } from "../support/MemoryAgent.ts"
import { World } from "../support/World.ts"
import { answersTo, aRequest } from "../support/worldFactories.ts"
import { textOf } from "../support/WorldReader.ts"

/** The only node is connected to `far`; clients are at `near`, which also takes the jobs off their lane. */
const begin = Effect.gen(function* () {
  const world = yield* World.make()
  const far = yield* world.daemon()
  const near = yield* world.daemon()
  far.faults.fail("Transport.consume(Lane)")
  const agent = yield* world.agent(far, { orders: "hold" })
  const caller = yield* world.caller(near)
  const request = aRequest()
  return { world, near, far, agent, caller, request, answer: answersTo(request)[0]! }
})

describe("a job whose node is at another daemon", () => {
  it.effect("goes there, and its reader stays where it is", () =>
    Effect.gen(function* () {
      const { world, near, far, agent, caller, request, answer } = yield* begin
      const { job } = yield* world.submit(near, caller, request)
      const reading = yield* world.read(near, job.id)
      yield* world.until("assigned", () => agent.assigned.length === 1)
      assert.strictEqual(world.row(job.id).owner, far.id)
      agent.say(agent.of(job.id), 4)
      yield* world.until("read", () => reading.events.length === 4, 500)
      agent.finish(agent.of(job.id))
      yield* world.until("ended", () => reading.row !== null, 1000)
      assert.strictEqual(textOf(reading), answer)
      assert.deepStrictEqual([world.row(job.id).attempt, world.row(job.id).crashes], [1, 0])
      assert.strictEqual(world.presence(agent)?.leased, 0)
    })
  )

  it.effect("is read from the beginning by one that comes late, and while no store has the pieces", () =>
    Effect.gen(function* () {
      const { world, near, far, agent, caller, request, answer } = yield* begin
      const { job } = yield* world.submit(near, caller, request)
      const early = yield* world.read(near, job.id)
      yield* world.until("assigned", () => agent.assigned.length === 1)
      agent.say(agent.of(job.id), 3)
      yield* world.until("read", () => early.events.length === 3)
      far.faults.fail("Traces", "JobRecords")
      near.faults.fail("Traces")
      agent.say(agent.of(job.id), 3)
      yield* world.until("read although the traces are out", () => early.events.length === 6, 3000)
      far.faults.heal()
      near.faults.heal()
      const late = yield* world.read(near, job.id, 2)
      agent.finish(agent.of(job.id))
      yield* world.until("ended", () => early.row !== null && late.row !== null)
      assert.strictEqual(textOf(early), answer)
      assert.strictEqual(late.events[0]?.seq, 3)
      assert.strictEqual(late.events.length, early.events.length - 2)
    })
  )

  it.effect("is read through the traces alone, when the relay is out", () =>
    Effect.gen(function* () {
      const { world, near, far, agent, caller, request, answer } = yield* begin
      near.faults.fail("Relay")
      far.faults.fail("Relay")
      const { job } = yield* world.submit(near, caller, request)
      const reading = yield* world.read(near, job.id)
      yield* world.until("assigned", () => agent.assigned.length === 1)
      agent.say(agent.of(job.id), 4)
      yield* world.until("read", () => reading.events.length === 4, 3000)
      agent.finish(agent.of(job.id))
      yield* world.until("ended", () => reading.row !== null)
      assert.strictEqual(textOf(reading), answer)
    })
  )

  it.effect("is cancelled from where its client is", () =>
    Effect.gen(function* () {
      const { world, near, agent, caller, request } = yield* begin
      const { job } = yield* world.submit(near, caller, request)
      yield* world.until("assigned", () => agent.assigned.length === 1)
      agent.say(agent.of(job.id), 4)
      yield* world.rest
      const cancelling = yield* Effect.forkIn(world.cancel(near, job.id), world.scope)
      yield* world.until("cancelled", () => cancelling.pollUnsafe() !== undefined, 2000)
      assert.strictEqual(world.row(job.id).state, "cancelled")
      assert.isTrue(agent.heard.some((frame) => frame._tag === "Cancel" && frame.jobId === job.id))
    })
  )

  it.effect("comes back to its lane's daemon and finds another node, when the word of it is lost", () =>
    Effect.gen(function* () {
      const { world, near, far, agent, caller, request, answer } = yield* begin
      far.faults.fail("Transport.consume")
      near.faults.fail("Transport.publish(Inbox)")
      const { job } = yield* world.submit(near, caller, request)
      yield* world.pass(1000)
      assert.strictEqual(world.row(job.id).state, "queued")
      const own = yield* world.agent(near, { orders: "answer" })
      yield* world.untilOver(job.id)
      assert.deepStrictEqual([own.assigned.length, agent.assigned.length], [1, 0])
      assert.strictEqual(world.record(job.id).output?.choices[0]?.text, answer)
      assert.strictEqual(world.presence(agent)?.leased, 0)
    })
  )

  it.effect("goes on where its node is gone for good, with what was said so far", () =>
    Effect.gen(function* () {
      const { world, near, far, agent, caller, request, answer } = yield* begin
      const { job } = yield* world.submit(near, caller, request)
      const reading = yield* world.read(near, job.id)
      yield* world.until("assigned", () => agent.assigned.length === 1)
      agent.say(agent.of(job.id), 5)
      yield* world.until("read", () => reading.events.length === 5)
      const other = yield* world.agent(near, { orders: "answer" })
      agent.die()
      yield* world.until("ended", () => reading.row !== null)
      assert.strictEqual(textOf(reading), answer)
      assert.deepStrictEqual([other.assigned.length, other.assigned[0]?.firstSeq], [1, 6])
      const { routing, evaluation, completeness } = world.record(job.id)
      assert.deepStrictEqual(
        routing.attempts.map(({ nodeId, state }) => [nodeId, state]),
        [
          [agent.nodeId, "failed"],
          [other.nodeId, "succeeded"]
        ]
      )
      assert.strictEqual(evaluation.failures.length, 1)
      assert.strictEqual(completeness, "complete")
      assert.strictEqual(world.row(job.id).owner, null)
      void far
    })
  )

  it.effect("ends after as many failures as it may have, wherever they happen", () =>
    Effect.gen(function* () {
      const { world, near, far, agent, caller } = yield* begin
      const fails = (held: { readonly assign: { readonly jobId: unknown } }, of: MemoryAgent) =>
        of.fail(held as never, "runtime_error", "node")
      agent.orders = fails as never
      yield* world.agent(near, { orders: fails as never })
      yield* world.agent(far, { orders: fails as never })
      yield* world.agent(near, { orders: fails as never })
      const { job } = yield* world.submit(near, caller)
      yield* world.untilOver(job.id, 60_000)
      assert.strictEqual(world.row(job.id).state, "failed")
      assert.isAtMost(world.row(job.id).attempt, job.failuresMax)
    })
  )
})

describe("a node that comes back to another daemon", () => {
  it.effect("takes its job along from a daemon that lives, and the reader there reads on", () =>
    Effect.gen(function* () {
      const { world, near, far, agent, caller, request, answer } = yield* begin
      const { job } = yield* world.submit(near, caller, request)
      const reading = yield* world.read(far, job.id)
      yield* world.until("assigned", () => agent.assigned.length === 1)
      agent.say(agent.of(job.id), 4)
      yield* world.until("read", () => reading.events.length === 4)
      yield* near.connect(agent)
      yield* world.until("taken along", () => world.row(job.id).owner === near.id, 2000)
      agent.finish(agent.of(job.id))
      yield* world.until("ended", () => reading.row !== null, 5000)
      assert.strictEqual(textOf(reading), answer)
      assert.deepStrictEqual([world.row(job.id).attempt, agent.assigned.length], [1, 1])
    })
  )

  it.effect("takes its job along at once from a daemon that died, before anybody declared it dead", () =>
    Effect.gen(function* () {
      const { world, near, far, agent, caller, request, answer } = yield* begin
      const { job } = yield* world.submit(near, caller, request)
      const reading = yield* world.read(near, job.id)
      yield* world.until("assigned", () => agent.assigned.length === 1)
      agent.say(agent.of(job.id), 4)
      yield* world.until("read", () => reading.events.length === 4)
      yield* far.crash
      yield* near.connect(agent)
      yield* world.until("taken along", () => world.row(job.id).owner === near.id, 1000)
      agent.finish(agent.of(job.id))
      yield* world.until("ended", () => reading.row !== null, 5000)
      assert.strictEqual(textOf(reading), answer)
    })
  )

  it.effect("ends its older session there, and is announced once", () =>
    Effect.gen(function* () {
      const { world, near, far, agent } = yield* begin
      const first = agent.open()
      yield* Effect.forkIn(far.use(Effect.flatMap(NodeSupervisor, (nodes) => nodes.serve(first))), world.scope)
      yield* world.rest
      const generation = world.presence(agent)?.generation ?? 0
      yield* near.connect(agent)
      yield* world.until("announced", () => world.presence(agent)?.daemonId === near.id)
      yield* world.pass(30_000)
      assert.strictEqual(world.presence(agent)?.daemonId, near.id)
      assert.isAbove(world.presence(agent)?.generation ?? 0, generation)
      assert.isTrue(agent.isConnected)
    })
  )
})

describe("a call of an operator", () => {
  it.effect("holds a node back wherever it is connected", () =>
    Effect.gen(function* () {
      const { world, near, agent } = yield* begin
      const restriction = { kind: "paused", reason: "test", by: "operator/test", since: 0, until: null } as const
      yield* near.use(Effect.flatMap(NodeSupervisor, (nodes) => nodes.restrict(agent.nodeId, restriction)))
      yield* world.until("held back", () => world.presence(agent)?.restrictions.includes("paused") === true, 500)
    })
  )

  it.effect("drains a node wherever it is connected, and says so when it is nowhere", () =>
    Effect.gen(function* () {
      const { world, near, agent } = yield* begin
      const drain = (id: typeof agent.nodeId) => near.use(Effect.flatMap(NodeSupervisor, (nodes) => nodes.drain(id)))
      const draining = yield* Effect.forkIn(drain(agent.nodeId), world.scope)
      yield* world.until("told", () => agent.heard.some(({ _tag }) => _tag === "Drain"), 500)
      yield* world.until("answered", () => draining.pollUnsafe() !== undefined, 500)
      const nobody = yield* MemoryAgent.make()
      assert.deepInclude({ ...(yield* Effect.flip(drain(nobody.nodeId))) }, { code: "not_found" })
    })
  )

  it.effect("sweeps where the sweeper's leader is", () =>
    Effect.gen(function* () {
      const { world, near } = yield* begin
      yield* world.pass(1000)
      const sweep = near.use(Effect.flatMap(SweepSupervisor, (sweepers) => sweepers.sweep("expiry", false)))
      const sweeping = yield* Effect.forkIn(sweep, world.scope)
      yield* world.until("swept", () => sweeping.pollUnsafe() !== undefined, 2000)
      assert.deepInclude(yield* sweep, { name: "expiry", dryRun: false })
    })
  )
})
