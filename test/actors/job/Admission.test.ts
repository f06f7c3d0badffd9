import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { FreshJobs } from "../../../src/actors/job/FreshJobs.ts"
import { Admission, type JobRequest } from "../../../src/actors/job/Admission.ts"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import type { Caller } from "../../../src/schemas/Namespace.ts"
import { defaultRules } from "../../../src/schemas/Namespace.ts"
import { World, type WorldDaemon } from "../../support/World.ts"
import { aRequest, credits } from "../../support/worldFactories.ts"

const admit = (daemon: WorldDaemon, caller: Caller, request: JobRequest) =>
  daemon.use(Effect.flatMap(Admission, (gate) => gate.admit(caller, request)))

/** The refusal's code; an outage by its name. */
const refusal = (daemon: WorldDaemon, caller: Caller, request: JobRequest) =>
  Effect.flip(admit(daemon, caller, request)).pipe(
    Effect.map((failure) => (failure._tag === "Refusal" ? failure.code : failure._tag))
  )

const leavesNothing = (world: World, daemon: WorldDaemon, caller: Caller) =>
  Effect.gen(function* () {
    yield* world.rest
    assert.strictEqual(world.shared.records.records.size, 0)
    const balance = yield* daemon.use(Effect.flatMap(CreditLedger, (ledger) => ledger.balance(caller.namespace.id)))
    assert.strictEqual(balance.reserved, credits(0))
    assert.strictEqual(balance.spent, credits(0))
  })

const begin = (funds = 100_000) =>
  Effect.gen(function* () {
    const world = yield* World.make()
    const daemon = yield* world.daemon()
    const agent = yield* world.agent(daemon, { orders: "hold" })
    const caller = yield* world.caller(daemon, funds)
    return { world, daemon, agent, caller }
  })

describe("Admission: the gate", () => {
  it.effect("reserves the worst case, from the quote that holds now", () =>
    Effect.gen(function* () {
      const { world, daemon, caller } = yield* begin()
      const { job } = yield* world.submit(daemon, caller)
      assert.strictEqual(job.reserved, credits(job.promptTokensMax + 3 * 12))
      const balance = yield* daemon.use(Effect.flatMap(CreditLedger, (ledger) => ledger.balance(caller.namespace.id)))
      assert.strictEqual(balance.reserved, job.reserved)
    })
  )

  it.effect("refuses what the namespace cannot pay, and leaves nothing behind", () =>
    Effect.gen(function* () {
      const { world, daemon, caller } = yield* begin(10)
      assert.strictEqual(yield* refusal(daemon, caller, aRequest()), "insufficient_credits")
      yield* leavesNothing(world, daemon, caller)
    })
  )

  it.effect("tells a model that nobody knows from one that nobody serves now", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, caller } = yield* begin()
      assert.strictEqual(yield* refusal(daemon, caller, aRequest({ model: "gpt-none" })), "model_not_found")
      assert.strictEqual(yield* refusal(daemon, caller, aRequest({ model: "sim-embed" })), "invalid_request")
      agent.die()
      yield* world.pass(100)
      assert.strictEqual(yield* refusal(daemon, caller, aRequest()), "model_unavailable")
      yield* leavesNothing(world, daemon, caller)
    })
  )

  it.effect("takes a job for a model whose every slot is busy", () =>
    Effect.gen(function* () {
      const { world, daemon, caller } = yield* begin()
      for (let count = 0; count < 10; count++) yield* world.submit(daemon, caller)
      assert.strictEqual(world.shared.state.jobs.size, 10)
    })
  )

  it.effect("refuses rights that the namespace does not have", () =>
    Effect.gen(function* () {
      const { daemon, caller } = yield* begin()
      assert.strictEqual(yield* refusal(daemon, caller, aRequest({ priority: "urgent" })), "forbidden")
      assert.strictEqual(yield* refusal(daemon, caller, aRequest({ priority: "test" })), "forbidden")
      assert.strictEqual(yield* refusal(daemon, caller, aRequest({ constraints: { subcloud: "x" } })), "forbidden")
      assert.strictEqual(yield* refusal(daemon, caller, aRequest({ outputTokensMax: 40_000 })), "invalid_request")
    })
  )

  it.effect("refuses more open jobs than the namespace may have, until one ends", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      const agent = yield* world.agent(daemon, { orders: "hold" })
      const caller = yield* world.caller(daemon, 100_000, { rules: { ...defaultRules, openJobsMax: 2 } })
      const { job } = yield* world.submit(daemon, caller)
      yield* world.submit(daemon, caller)
      assert.strictEqual(yield* refusal(daemon, caller, aRequest()), "overloaded")
      yield* world.until("assigned", () => agent.assigned.length === 2)
      agent.finish(agent.of(job.id))
      yield* world.untilOver(job.id)
      yield* world.submit(daemon, caller)
    })
  )

  it.effect("closes while too many jobs wait in one lane, and opens again", () =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: { laneMax: 5 } })
      const daemon = yield* world.daemon({ lanePrefetch: 1 })
      const agent = yield* world.agent(daemon, { orders: "hold", profile: { slots: 1 } })
      const caller = yield* world.caller(daemon)
      for (let count = 0; count < 9; count++) yield* world.submit(daemon, caller)
      yield* world.pass(1100)
      assert.strictEqual(yield* refusal(daemon, caller, aRequest()), "overloaded")
      agent.orders = "answer"
      agent.finish(agent.held.values().next().value!)
      yield* world.until("all over", () =>
        [...world.shared.state.jobs.values()].every(({ row }) => row.finishedAt !== null)
      )
      yield* world.pass(1100)
      yield* world.submit(daemon, caller)
    })
  )

  it.effect("closes while too many messages wait for the broker", () =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: { outboxMax: 3 } })
      const daemon = yield* world.daemon()
      yield* world.agent(daemon)
      const caller = yield* world.caller(daemon)
      yield* world.shared.broker.outage(true)
      for (let count = 0; count < 5; count++) yield* world.submit(daemon, caller)
      yield* world.pass(1100)
      assert.strictEqual(yield* refusal(daemon, caller, aRequest()), "overloaded")
      yield* world.shared.broker.outage(false)
      yield* world.until(
        "all over",
        () => [...world.shared.state.jobs.values()].every(({ row }) => row.finishedAt !== null),
        40_000
      )
    })
  )

  it.effect("accepts while the broker is out, and runs what it took when it is back", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, caller } = yield* begin()
      agent.orders = "answer"
      yield* world.shared.broker.outage(true)
      const { job } = yield* world.submit(daemon, caller)
      yield* world.pass(4000)
      assert.strictEqual(world.row(job.id).state, "queued")
      yield* world.shared.broker.outage(false)
      yield* world.untilOver(job.id, 30_000)
      assert.strictEqual(world.row(job.id).state, "completed")
    })
  )
})

describe("Admission: the same request twice", () => {
  it.effect("with one idempotency key is one job, reserved once", () =>
    Effect.gen(function* () {
      const { world, daemon, caller } = yield* begin()
      const request = aRequest({ idempotencyKey: "once" })
      const first = yield* admit(daemon, caller, request)
      const second = yield* admit(daemon, caller, request)
      assert.deepStrictEqual([first.created, second.created], [true, false])
      assert.strictEqual(second.row.job.id, first.row.job.id)
      yield* world.rest
      assert.strictEqual(world.shared.records.records.size, 1)
      const balance = yield* daemon.use(Effect.flatMap(CreditLedger, (ledger) => ledger.balance(caller.namespace.id)))
      assert.strictEqual(balance.reserved, first.row.job.reserved)
    })
  )

  it.effect("with one key and another body is refused", () =>
    Effect.gen(function* () {
      const { daemon, caller } = yield* begin()
      yield* admit(daemon, caller, aRequest({ idempotencyKey: "once" }))
      assert.strictEqual(yield* refusal(daemon, caller, aRequest({ idempotencyKey: "once" })), "idempotency_mismatch")
    })
  )

  it.effect("with one key from two namespaces are two jobs", () =>
    Effect.gen(function* () {
      const { world, daemon, caller } = yield* begin()
      const other = yield* world.caller(daemon)
      const request = aRequest({ idempotencyKey: "once" })
      const rows = [yield* admit(daemon, caller, request), yield* admit(daemon, other, request)]
      assert.isTrue(rows.every(({ created }) => created))
    })
  )
})

it.effect("A repeat of a key gets its job also when nobody serves the model now; a new key is refused", () =>
  Effect.gen(function* () {
    const { world, daemon, agent, caller } = yield* begin()
    const request = aRequest({ idempotencyKey: "once" })
    const first = yield* admit(daemon, caller, request)
    agent.die()
    yield* world.pass(120_000)
    const again = yield* admit(daemon, caller, request)
    assert.deepStrictEqual([again.created, again.row.job.id], [false, first.row.job.id])
    const other = aRequest({ idempotencyKey: "another" })
    assert.strictEqual(yield* refusal(daemon, caller, other), "model_unavailable")
    const changed = aRequest({ idempotencyKey: "once" })
    assert.strictEqual(yield* refusal(daemon, caller, changed), "idempotency_mismatch")
  })
)

describe("Admission: a store that is out", () => {
  it.effect("before the row is written owes nothing", () =>
    Effect.gen(function* () {
      const { world, daemon, caller } = yield* begin()
      daemon.faults.fail("JobStore.admit")
      assert.strictEqual(yield* refusal(daemon, caller, aRequest()), "Outage")
      // Nobody can tell yet whether the row is there, so its document waits for the sweep.
      daemon.faults.heal()
      yield* world.pass(11 * 60_000)
      yield* leavesNothing(world, daemon, caller)
    })
  )

  it.effect("for the record: the row that was written is failed and refunded before the client hears of it", () =>
    Effect.gen(function* () {
      const { world, daemon, caller } = yield* begin()
      daemon.faults.fail("JobRecords.open")
      assert.strictEqual(yield* refusal(daemon, caller, aRequest()), "Outage")
      const [stored] = world.shared.state.jobs.values()
      assert.deepStrictEqual([stored?.row.state, stored?.row.errorCode], ["failed", "record_unavailable"])
      yield* leavesNothing(world, daemon, caller)
    })
  )

  it.effect(
    "for the record of a keyed request: whoever repeats it is refused until the job is withdrawn, then it is a new one",
    () =>
      Effect.gen(function* () {
        const { world, daemon, caller } = yield* begin()
        const request = aRequest({ idempotencyKey: "again" })
        daemon.faults.fail("JobRecords.open")
        assert.strictEqual(yield* refusal(daemon, caller, request), "Outage")
        const repeated = yield* Effect.forkChild(refusal(daemon, caller, request))
        yield* world.pass(2_000)
        assert.strictEqual(yield* Fiber.join(repeated), "Outage")
        const [first] = world.shared.state.jobs.values()
        assert.strictEqual(world.shared.state.jobs.size, 1)
        daemon.faults.heal()
        yield* world.untilOver(first!.row.job.id)
        assert.deepStrictEqual([first!.row.errorCode, first!.row.charged], ["record_unavailable", credits(0)])
        const record = world.shared.records.records.get(first!.row.job.id)?.record
        assert.deepStrictEqual([record?.state, record?.errorCode], ["failed", "record_unavailable"])
        const second = yield* admit(daemon, caller, request)
        assert.isTrue(second.created)
        assert.notStrictEqual(second.row.job.id, first!.row.job.id)
      })
  )

  it.effect("whose answer was lost: the row without its document is failed and refunded", () =>
    Effect.gen(function* () {
      const { world, daemon, caller } = yield* begin()
      const { job } = yield* world.submit(daemon, caller)
      world.shared.records.records.delete(job.id)
      // The daemon that knew it all is gone.
      yield* daemon.use(Effect.map(FreshJobs, (fresh) => fresh.take(job.id)))
      yield* world.untilOver(job.id)
      assert.deepStrictEqual([world.row(job.id).state, world.row(job.id).charged], ["failed", credits(0)])
    })
  )
})
