import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { SweepSupervisor } from "../../../src/actors/sweep/SweepSupervisor.ts"
import { Archive } from "../../../src/layers/Archive.ts"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { RecordRetention } from "../../../src/layers/RecordRetention.ts"
import { flipByte } from "../../../src/layers/memory/MemoryArchive.ts"
import type { JobId } from "../../../src/schemas/Ids.ts"
import { defaultRules } from "../../../src/schemas/Namespace.ts"
import { aFinishedRecord } from "../../support/recordFactories.ts"
import { World, type WorldDaemon } from "../../support/World.ts"
import { aRequest } from "../../support/worldFactories.ts"

const sweep = (daemon: WorldDaemon, name: string, dryRun = false) =>
  daemon.use(Effect.flatMap(SweepSupervisor, (sweepers) => sweepers.sweep(name, dryRun)))

/** Asks for a pass and lets the world go on until it is through. */
const pass = (world: World, daemon: WorldDaemon, name: string, dryRun = false) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkIn(Effect.exit(sweep(daemon, name, dryRun)), world.scope)
    yield* world.until("swept", () => fiber.pollUnsafe() !== undefined)
    const exit = fiber.pollUnsafe()!
    return yield* Effect.flatten(exit)
  })

const sweepersOf = (daemon: WorldDaemon) => daemon.use(Effect.flatMap(SweepSupervisor, ({ list }) => list))

const leadersOf = (daemon: WorldDaemon) =>
  daemon
    .use(Effect.flatMap(SweepSupervisor, ({ list }) => list))
    .pipe(Effect.map((all) => all.filter(({ leads }) => leads).map(({ name }) => name)))

describe("leading", () => {
  it.effect("is one daemon's at a time, and the next one's when it is gone", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const [first, second] = [yield* world.daemon(), yield* world.daemon()]
      yield* world.pass(100)
      assert.strictEqual((yield* leadersOf(first)).length, (yield* sweepersOf(first)).length)
      assert.strictEqual((yield* leadersOf(second)).length, 0)
      const epochs = new Map([...world.shared.state.sweepers].map(([name, { epoch }]) => [name, epoch]))
      yield* first.crash
      yield* world.pass(1500)
      assert.strictEqual((yield* leadersOf(second)).length, (yield* sweepersOf(second)).length)
      for (const [name, { epoch, leader }] of world.shared.state.sweepers) {
        if (!epochs.has(name)) continue
        assert.isAbove(epoch, epochs.get(name)!)
        assert.strictEqual(leader, second.id)
      }
    })
  )

  it.effect("is taken up again after the broker lost everything", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const [first, second] = [yield* world.daemon(), yield* world.daemon()]
      yield* world.pass(100)
      yield* world.shared.broker.wipe
      yield* first.crash
      yield* world.pass(16_000)
      assert.strictEqual((yield* leadersOf(second)).length, (yield* sweepersOf(second)).length)
    })
  )

  it.effect("of who was overtaken ends when it saves, and its watermark is not written", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const [first, second] = [yield* world.daemon(), yield* world.daemon()]
      yield* world.pass(100)
      const hold = first.faults.hold("SweeperStates.save", "before")
      yield* world.until("about to save", hold.isReached, 12_000)
      // The channel of the paused leader breaks, so the other one leads.
      yield* world.shared.broker.cutConsumers(({ connection }) => connection === first.id)
      yield* world.pass(500)
      const leading = yield* leadersOf(second)
      assert.isAbove(leading.length, 0)
      const before = new Map(world.shared.state.sweepers)
      yield* hold.release
      yield* world.rest
      const saved = [...world.shared.state.sweepers].filter(([name, state]) => state !== before.get(name))
      assert.isTrue(saved.every(([, { leader }]) => leader === second.id))
    })
  )

  it.effect("does not fill its queue, however often candidates come and go", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      yield* world.daemon()
      for (let count = 0; count < 5; count++) {
        const passing = yield* world.daemon()
        yield* world.pass(100)
        yield* passing.crash
      }
      yield* world.pass(60_000)
      const last = yield* world.daemon()
      yield* world.pass(100)
      assert.strictEqual((yield* leadersOf(last)).length, 0)
    })
  )

  it.effect("a pass by hand is done by the leader, a dry one where it is asked, and an unknown name is refused", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const [, second] = [yield* world.daemon(), yield* world.daemon()]
      yield* world.pass(100)
      assert.deepInclude(yield* pass(world, second, "expiry", false), { name: "expiry", dryRun: false, swept: 0 })
      assert.deepInclude(yield* pass(world, second, "expiry", true), { name: "expiry", dryRun: true, swept: 0 })
      assert.deepInclude({ ...(yield* Effect.flip(sweep(second, "nothing"))) }, { code: "not_found" })
    })
  )
})

describe("the outbox relay", () => {
  it.effect("publishes what nobody published, and takes it out once the broker has it", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      yield* world.agent(daemon)
      const caller = yield* world.caller(daemon)
      yield* world.submit(daemon, caller)
      yield* world.rest
      yield* world.shared.broker.loseNextPublish
      const { job } = yield* world.submit(daemon, caller)
      yield* world.pass(500)
      assert.strictEqual(world.row(job.id).state, "queued")
      assert.strictEqual(world.shared.state.outbox.size, 1)
      yield* world.untilOver(job.id, 5000)
      yield* world.pass(4000)
      assert.strictEqual(world.shared.state.outbox.size, 0)
    })
  )

  it.effect("publishes twice what was not confirmed, and the job runs once", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      const agent = yield* world.agent(daemon)
      const caller = yield* world.caller(daemon)
      yield* world.submit(daemon, caller)
      yield* world.rest
      yield* world.shared.broker.failNextConfirm
      const { job } = yield* world.submit(daemon, caller)
      yield* world.untilOver(job.id)
      yield* world.pass(5000)
      assert.strictEqual(world.shared.state.outbox.size, 0)
      assert.strictEqual(agent.assigned.length, 2)
      assert.strictEqual(world.row(job.id).attempt, 1)
    })
  )
})

describe("the reaper", () => {
  it.effect("publishes again what waits when the broker lost everything", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon({ lanePrefetch: 2 })
      const agent = yield* world.agent(daemon, { orders: "hold", profile: { slots: 1 } })
      const caller = yield* world.caller(daemon)
      const rows = yield* Effect.forEach(Array.from({ length: 12 }), () => world.submit(daemon, caller))
      yield* world.until("busy", () => agent.assigned.length === 1)
      yield* world.shared.broker.wipe
      agent.orders = "answer"
      agent.finish(agent.held.values().next().value!)
      yield* world.until("all over", () => rows.every(({ job }) => world.isOver(job.id)), 60_000)
      assert.isTrue(rows.every(({ job }) => world.row(job.id).state === "completed"))
      assert.strictEqual(agent.assigned.length, 12)
    })
  )

  it.effect("changes nothing in a dry run", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const first = yield* world.daemon()
      const agent = yield* world.agent(first, { orders: "hold" })
      const caller = yield* world.caller(first)
      const { job } = yield* world.submit(first, caller)
      yield* world.until("assigned", () => agent.assigned.length === 1)
      yield* first.crash
      const second = yield* world.daemon()
      yield* pass(world, second, "owner-reaper", true)
      assert.strictEqual(world.shared.state.daemons.get(first.id)?.state, "live")
      assert.strictEqual(world.row(job.id).owner, first.id)
    })
  )
})

/** Some finished jobs of one namespace, whose retention is over. */
const finished = (count: number) =>
  Effect.gen(function* () {
    const world = yield* World.make()
    const daemon = yield* world.daemon()
    const agent = yield* world.agent(daemon)
    const caller = yield* world.caller(daemon, 1_000_000, { rules: { ...defaultRules, retentionDays: 0 } })
    const ids: Array<JobId> = []
    for (let made = 0; made < count; made++) ids.push((yield* world.submit(daemon, caller)).job.id)
    yield* world.until("all over", () => ids.every((id) => world.isOver(id)))
    // A minute's pass may not come before the test's own.
    daemon.faults.fail("RecordRetention")
    yield* world.pass(1000)
    return { world, daemon, agent, caller, ids }
  })

const archivedIds = (daemon: WorldDaemon) =>
  daemon.use(
    Effect.gen(function* () {
      const archive = yield* Archive
      const segments = yield* archive.list
      const lines = yield* Effect.forEach(segments, ({ id }) => archive.lines(id))
      return lines.flat().map((line) => (JSON.parse(line) as { record: { jobId: JobId } }).record.jobId)
    })
  )

describe("retention", () => {
  it.effect("archives, verifies, prunes: what was live is in cold storage, whole", () =>
    Effect.gen(function* () {
      const { world, daemon, ids } = yield* finished(5)
      daemon.faults.heal()
      assert.deepInclude(yield* pass(world, daemon, "retention", true), { swept: 5, dryRun: true })
      assert.strictEqual(world.shared.records.records.size, 5)
      yield* pass(world, daemon, "retention")
      assert.strictEqual(world.shared.records.records.size, 0)
      assert.deepStrictEqual((yield* archivedIds(daemon)).toSorted(), ids.toSorted())
      assert.strictEqual(world.shared.records.traces.size, 0)
    })
  )

  /** A watched pass over three batches of 500, held up in the first one. */
  const heldUp = Effect.gen(function* () {
    const { world, daemon, caller } = yield* finished(1)
    const { open } = yield* daemon.use(JobRecords)
    for (let n = 0; n < 1_199; n++) yield* open(aFinishedRecord(1_000 + n, { namespaceId: caller.namespace.id }))
    daemon.faults.heal()
    const hold = daemon.faults.hold("Archive.write", "before")
    const told: Array<number> = []
    const watched = daemon.use(
      Effect.flatMap(SweepSupervisor, ({ sweepWatched }) =>
        sweepWatched("retention", (swept) => Effect.sync(() => void told.push(swept)))
      )
    )
    const fiber = yield* Effect.forkIn(Effect.exit(watched), world.scope)
    yield* world.until("held up", hold.isReached)
    return { world, daemon, hold, told, fiber }
  })

  it.effect("tells whoever looks on how far it is, after each batch", () =>
    Effect.gen(function* () {
      const { world, hold, told, fiber } = yield* heldUp
      assert.deepStrictEqual(told, [])
      yield* hold.release
      yield* world.until("swept", () => fiber.pollUnsafe() !== undefined)
      assert.deepInclude(yield* Effect.flatten(fiber.pollUnsafe()!), { name: "retention", dryRun: false, swept: 1_200 })
      assert.deepStrictEqual(told, [500, 1_000, 1_200])
    })
  )

  it.effect("ends with its batch when whoever looked on is gone, and the next pass takes the rest", () =>
    Effect.gen(function* () {
      const { world, daemon, hold, fiber } = yield* heldUp
      yield* Fiber.interrupt(fiber)
      yield* hold.release
      yield* world.pass(1_000)
      assert.strictEqual(world.shared.records.records.size, 700)
      assert.deepInclude(yield* pass(world, daemon, "retention"), { swept: 700 })
      assert.strictEqual((yield* archivedIds(daemon)).length, 1_200)
    })
  )

  it.effect("touches neither what is unfinished nor what is held", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, caller, ids } = yield* finished(3)
      daemon.faults.heal()
      agent.orders = "hold"
      const { job } = yield* world.submit(daemon, caller)
      yield* daemon.use(Effect.flatMap(RecordRetention, (retention) => retention.hold(ids[1]!, true)))
      yield* world.rest
      yield* pass(world, daemon, "retention")
      assert.sameMembers([...world.shared.records.records.keys()], [job.id, ids[1]!])
    })
  )

  it.effect("deletes nothing when cold storage is full, and catches up when it is not", () =>
    Effect.gen(function* () {
      const { world, daemon } = yield* finished(3)
      daemon.faults.heal()
      world.shared.records.refusesPut = () => true
      yield* pass(world, daemon, "retention").pipe(
        Effect.flip,
        Effect.catch(() => Effect.void)
      )
      assert.strictEqual(world.shared.records.records.size, 3)
      world.shared.records.refusesPut = () => false
      yield* world.until("caught up", () => world.shared.records.records.size === 0, 130_000)
      assert.strictEqual((yield* archivedIds(daemon)).length, 3)
    })
  )

  it.effect("deletes nothing on the strength of a broken archive, and warns", () =>
    Effect.gen(function* () {
      const { world, daemon } = yield* finished(3)
      daemon.faults.heal()
      const hold = daemon.faults.hold("Archive.verify", "before")
      const fiber = yield* Effect.forkIn(Effect.exit(sweep(daemon, "retention")), world.scope)
      yield* world.until("about to verify", hold.isReached)
      const name = [...world.shared.records.blobs.keys()].find((blob) => blob.endsWith(".gz"))
      assert.isTrue(flipByte(world.shared.records, name!, 20))
      yield* hold.release
      yield* world.until("swept", () => fiber.pollUnsafe() !== undefined)
      assert.strictEqual(world.shared.records.records.size, 3)
      assert.isTrue([...world.shared.records.incidents.values()].some(({ type }) => type === "archive_broken"))
      // The next pass writes the segment again.
      yield* world.until("caught up", () => world.shared.records.records.size === 0, 130_000)
      assert.strictEqual((yield* archivedIds(daemon)).length, 3)
    })
  )

  for (const [key, side] of [
    ["RecordRetention.mark", "after"],
    ["Archive.write", "before"],
    ["Archive.write", "after"],
    ["Archive.verify", "after"],
    ["RecordRetention.prune", "before"],
    ["RecordRetention.prune", "after"]
  ] as const) {
    it.effect(`loses and doubles nothing when its daemon dies ${side} ${key}`, () =>
      Effect.gen(function* () {
        const { world, daemon, ids } = yield* finished(4)
        daemon.faults.heal()
        const hold = daemon.faults.hold(key, side)
        yield* Effect.forkIn(Effect.exit(sweep(daemon, "retention")), world.scope)
        yield* world.until("held up", hold.isReached)
        yield* daemon.crash
        const next = yield* world.daemon()
        yield* world.until("pruned", () => world.shared.records.records.size === 0, 130_000)
        assert.deepStrictEqual((yield* archivedIds(next)).toSorted(), ids.toSorted())
        assert.strictEqual(world.shared.records.pruned, 4)
      })
    )
  }

  // S93: kill the sweeper between export and delete; the next run verifies again and deletes, without a second copy.
  for (const [key, side] of [
    ["Archive.verify", "after"],
    ["RecordRetention.prune", "before"]
  ] as const) {
    it.effect(`S93: verifies again and deletes without a second copy, when its daemon died ${side} ${key}`, () =>
      Effect.gen(function* () {
        const { world, daemon, ids } = yield* finished(4)
        daemon.faults.heal()
        const hold = daemon.faults.hold(key, side)
        yield* Effect.forkIn(Effect.exit(sweep(daemon, "retention")), world.scope)
        yield* world.until("archived", hold.isReached)
        yield* daemon.crash
        const { records } = world.shared
        assert.strictEqual(records.records.size, 4)
        const exported = new Map([...records.blobs].map(([name, bytes]) => [name, Buffer.from(bytes).toString("hex")]))
        assert.lengthOf([...exported.keys()], 2, "a segment and its manifest")
        const puts: Array<string> = []
        records.refusesPut = (name) => puts.push(name) < 0

        const next = yield* world.daemon()
        yield* world.until("deleted", () => records.records.size === 0, 130_000)

        assert.isAtLeast(next.faults.calls.get("Archive.verify") ?? 0, 1)
        assert.deepStrictEqual(puts, [])
        assert.deepStrictEqual(
          new Map([...records.blobs].map(([name, bytes]) => [name, Buffer.from(bytes).toString("hex")])),
          exported
        )
        assert.deepStrictEqual((yield* archivedIds(next)).toSorted(), ids.toSorted())
        assert.strictEqual(records.pruned, 4)
      })
    )
  }
})

describe("the expiry sweep", () => {
  it.effect("counts and changes nothing in a dry run, and ends what is due otherwise", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon({ lanePrefetch: 1 })
      yield* world.agent(daemon, { orders: "hold", profile: { slots: 1 } })
      const caller = yield* world.caller(daemon)
      yield* Effect.forEach(Array.from({ length: 3 }), () => world.submit(daemon, caller))
      const { job } = yield* world.submit(daemon, caller, aRequest({ deadlineMs: 1000 }))
      daemon.faults.fail("JobSurvey")
      yield* world.pass(2000)
      daemon.faults.heal()
      assert.deepInclude(yield* pass(world, daemon, "expiry", true), { swept: 1 })
      assert.strictEqual(world.row(job.id).state, "queued")
      yield* world.untilOver(job.id, 2000)
      assert.strictEqual(world.row(job.id).state, "expired")
    })
  )
})
