import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { isLegal } from "../../../src/schemas/JobState.ts"
import { World, type WorldDaemon } from "../../support/World.ts"
import { aRequest, credits } from "../../support/worldFactories.ts"
import type { JobId } from "../../../src/schemas/Ids.ts"

/** One ending, legal moves only, credits conserved, no slot held. */
const endsWell = (world: World, daemon: WorldDaemon, jobId: JobId) =>
  Effect.gen(function* () {
    const events = world.shared.state.jobs.get(jobId)?.events ?? []
    events.forEach(({ seq, from, to }, at) => {
      assert.strictEqual(seq, at + 1)
      if (from !== null) assert.isTrue(isLegal(from, to), `${from} to ${to}`)
    })
    assert.strictEqual(events.filter(({ kind }) => kind === "finished").length, 1)
    assert.deepStrictEqual(yield* daemon.use(Effect.flatMap(CreditLedger, ({ audit }) => audit)), [])
    const leased = yield* world.shared.live.step("test", "list", (state) => state.list(0))
    assert.isTrue(leased.every((node) => node.leased === 0))
  })

const begin = Effect.gen(function* () {
  const world = yield* World.make()
  const daemon = yield* world.daemon()
  const agent = yield* world.agent(daemon, { orders: "hold", profile: { slots: 1 } })
  const caller = yield* world.caller(daemon)
  return { world, daemon, agent, caller }
})

/** Waits for a slot that the first job has. */
const waiting = Effect.gen(function* () {
  const started = yield* begin
  const { world, daemon, agent, caller } = started
  const { job: busy } = yield* world.submit(daemon, caller)
  yield* world.until("busy", () => agent.assigned.length === 1)
  return { ...started, busy }
})

describe("cancelling a job", () => {
  const cancelAt = (world: World, daemon: WorldDaemon, jobId: JobId) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(world.cancel(daemon, jobId))
      yield* world.untilOver(jobId)
      yield* world.until("answered", () => fiber.pollUnsafe() !== undefined)
      const row = yield* Fiber.join(fiber)
      yield* world.rest
      assert.strictEqual(row.state, "cancelled")
      yield* endsWell(world, daemon, jobId)
      return row
    })

  it.effect("that waits for a slot ends it where it waits, for nothing", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, caller, busy } = yield* waiting
      const { job } = yield* world.submit(daemon, caller)
      yield* world.rest
      const fiber = yield* Effect.forkChild(world.cancel(daemon, job.id))
      yield* world.until("answered", () => fiber.pollUnsafe() !== undefined)
      assert.strictEqual((yield* Fiber.join(fiber)).charged, credits(0))
      agent.finish(agent.of(busy.id))
      yield* world.untilOver(busy.id)
      yield* world.rest
      assert.strictEqual(agent.assigned.length, 1)
      yield* endsWell(world, daemon, job.id)
    })
  )

  it.effect("that waits with the broker, where no daemon has it, ends it there", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon({ lanePrefetch: 1 })
      const agent = yield* world.agent(daemon, { orders: "hold", profile: { slots: 1 } })
      const caller = yield* world.caller(daemon)
      const rows = yield* Effect.forEach(Array.from({ length: 4 }), () => world.submit(daemon, caller))
      yield* world.until("busy", () => agent.assigned.length === 1)
      const last = rows[3]!.job.id
      const fiber = yield* Effect.forkChild(world.cancel(daemon, last))
      yield* world.until("answered", () => fiber.pollUnsafe() !== undefined)
      assert.strictEqual((yield* Fiber.join(fiber)).state, "cancelled")
      assert.strictEqual(world.record(last).truncatedReason, "client")
      agent.orders = "answer"
      agent.finish(agent.of(rows[0]!.job.id))
      yield* world.until("all over", () => rows.every(({ job }) => world.isOver(job.id)))
      assert.deepStrictEqual(
        rows.map(({ job }) => world.row(job.id).state),
        ["completed", "completed", "completed", "cancelled"]
      )
    })
  )

  it.effect("while it is being claimed ends it, and no node hears of it", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, caller } = yield* begin
      const hold = daemon.faults.hold("JobStore.claim", "after")
      const { job } = yield* world.submit(daemon, caller)
      yield* world.until("claiming", hold.isReached)
      const fiber = yield* Effect.forkChild(world.cancel(daemon, job.id))
      yield* world.rest
      yield* hold.release
      yield* world.until("answered", () => fiber.pollUnsafe() !== undefined)
      assert.strictEqual((yield* Fiber.join(fiber)).state, "cancelled")
      yield* world.rest
      assert.strictEqual(agent.assigned.length, 0)
      yield* endsWell(world, daemon, job.id)
    })
  )

  it.effect("before its node accepted, while it speaks, and while it is gone: each time the node is told to stop", () =>
    Effect.gen(function* () {
      for (const phase of ["assigned", "running", "grace"] as const) {
        const { world, daemon, agent, caller } = yield* begin
        agent.orders = phase === "assigned" ? "mute" : "hold"
        const { job } = yield* world.submit(daemon, caller)
        yield* world.until("assigned", () => agent.assigned.length === 1)
        if (phase !== "assigned") agent.say(agent.of(job.id), 4)
        yield* world.rest
        if (phase === "grace") {
          agent.die()
          yield* world.pass(200)
        }
        const row = yield* cancelAt(world, daemon, job.id)
        const said = phase === "assigned" ? 0 : 4
        assert.deepStrictEqual(row.usage, { promptTokens: 0, outputTokens: said })
        assert.strictEqual(row.charged, credits(3 * said))
        if (phase === "grace") yield* daemon.connect(agent)
        yield* world.until("forgotten", () => agent.held.size === 0)
        assert.strictEqual(world.record(job.id).completeness, "truncated")
      }
    })
  )

  it.effect("between two attempts ends it there", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, caller } = yield* begin
      agent.orders = (held, one) => one.fail(held, "oom", "node")
      const { job } = yield* world.submit(daemon, caller)
      yield* world.until("failed once", () => world.row(job.id).attempt === 1 && agent.held.size === 0)
      yield* world.rest
      yield* cancelAt(world, daemon, job.id)
    })
  )

  it.effect("while its end is being written comes too late, and says so", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, caller } = yield* begin
      const { job } = yield* world.submit(daemon, caller)
      yield* world.until("assigned", () => agent.assigned.length === 1)
      const hold = daemon.faults.hold("JobStore.finish", "before")
      agent.finish(agent.of(job.id))
      yield* world.until("settling", hold.isReached)
      const fiber = yield* Effect.forkChild(Effect.flip(world.cancel(daemon, job.id)))
      yield* world.rest
      yield* hold.release
      yield* world.until("answered", () => fiber.pollUnsafe() !== undefined)
      const refusal = yield* Fiber.join(fiber)
      assert.deepInclude({ ...refusal }, { _tag: "Refusal", code: "conflict" })
      assert.strictEqual(world.row(job.id).state, "completed")
      yield* endsWell(world, daemon, job.id)
    })
  )

  it.effect("that was cancelled already is the same answer again", () =>
    Effect.gen(function* () {
      const { world, daemon, caller } = yield* waiting
      const { job } = yield* world.submit(daemon, caller)
      yield* cancelAt(world, daemon, job.id).pipe(Effect.catchCause(() => Effect.void))
      yield* world.untilOver(job.id)
      const again = yield* world.cancel(daemon, job.id)
      assert.strictEqual(again.state, "cancelled")
    })
  )
})

describe("a deadline", () => {
  it.effect("that passes in the waiting room ends the job within a second, behind whatever else", () =>
    Effect.gen(function* () {
      const { world, daemon, caller } = yield* waiting
      for (let count = 0; count < 20; count++) yield* world.submit(daemon, caller)
      const { job } = yield* world.submit(daemon, caller, { deadlineMs: 3000 })
      yield* world.untilOver(job.id, 5000)
      const { state, errorCode, charged, finishedAt } = world.row(job.id)
      assert.deepStrictEqual([state, errorCode, charged], ["expired", "deadline", credits(0)])
      assert.isAtMost(finishedAt! - job.deadlineAt, 1000)
    })
  )

  it.effect("that passes while the job waits with the broker ends it within a second", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon({ lanePrefetch: 1 })
      yield* world.agent(daemon, { orders: "hold", profile: { slots: 1 } })
      const caller = yield* world.caller(daemon)
      for (let count = 0; count < 5; count++) yield* world.submit(daemon, caller)
      const { job } = yield* world.submit(daemon, caller, { deadlineMs: 3000 })
      yield* world.untilOver(job.id, 5000)
      const { state, finishedAt } = world.row(job.id)
      assert.strictEqual(state, "expired")
      assert.isAtMost(finishedAt! - job.deadlineAt, 1000)
      assert.strictEqual(world.record(job.id).state, "expired")
    })
  )

  it.effect("that passes in a lane that nobody serves any more ends the job within a second", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, caller } = yield* waiting
      const { job } = yield* world.submit(daemon, caller, { deadlineMs: 3000 })
      agent.die()
      yield* world.untilOver(job.id, 5000)
      assert.strictEqual(world.row(job.id).state, "expired")
      assert.isAtMost(world.row(job.id).finishedAt! - job.deadlineAt, 1000)
    })
  )

  it.effect("that passes while a node works stops it, and the job timed out", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, caller } = yield* begin
      const { job } = yield* world.submit(daemon, caller, { deadlineMs: 3000 })
      yield* world.until("assigned", () => agent.assigned.length === 1)
      agent.say(agent.of(job.id), 3)
      yield* world.untilOver(job.id, 5000)
      yield* world.rest
      const { state, errorCode, charged } = world.row(job.id)
      assert.deepStrictEqual([state, errorCode, charged], ["timed_out", "deadline", credits(0)])
      assert.deepStrictEqual(world.row(job.id).usage, { promptTokens: 0, outputTokens: 0 })
      assert.strictEqual(agent.held.size, 0)
      yield* endsWell(world, daemon, job.id)
    })
  )

  it.effect("is told to the node as what is left of it", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, caller } = yield* waiting
      const { job } = yield* world.submit(daemon, caller, aRequest({ deadlineMs: 10_000 }))
      yield* world.pass(4000)
      agent.finish(agent.held.values().next().value!)
      yield* world.until("assigned", () => agent.assigned.length === 2)
      const { deadlineMs, jobId } = agent.assigned[1]!
      assert.strictEqual(jobId, job.id)
      assert.isBelow(deadlineMs, 6001)
      assert.isAbove(deadlineMs, 5000)
    })
  )
})
