/** The rollup sweeper in a whole world: hours close by themselves once they are over, and neither a dry run nor a death in the middle counts anything twice. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as RollupSweeper from "../../../src/actors/sweep/RollupSweeper.ts"
import { SweepSupervisor } from "../../../src/actors/sweep/SweepSupervisor.ts"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { Rollups } from "../../../src/layers/Rollups.ts"
import { type CreditRollup, HOUR_MS, hourOf, type JobRollup } from "../../../src/schemas/Rollup.ts"
import { defaultRules } from "../../../src/schemas/Namespace.ts"
import { credits, fundedNamespace, MINUTE, unique } from "../../support/factories.ts"
import { World, type WorldDaemon } from "../../support/World.ts"
import { assertFolded, assertInvoiced, rowsOf } from "../../layers/contracts/RollupHistory.ts"

const sweep = (world: World, daemon: WorldDaemon, dryRun = false) =>
  Effect.gen(function* () {
    const asked = daemon.use(Effect.flatMap(SweepSupervisor, (sweepers) => sweepers.sweep("rollup", dryRun)))
    const fiber = yield* Effect.forkIn(Effect.exit(asked), world.scope)
    yield* world.until("swept", () => fiber.pollUnsafe() !== undefined)
    return yield* Effect.flatten(fiber.pollUnsafe()!)
  })

/** A world that begins shortly before the end of an hour. */
const lateInTheHour = Effect.gen(function* () {
  const world = yield* World.make()
  yield* TestClock.setTime((yield* Clock.currentTimeMillis) + 55 * MINUTE)
  return world
})

/** Some jobs that run to their ends. */
const work = (world: World, daemon: WorldDaemon, jobs: number) =>
  Effect.gen(function* () {
    const caller = yield* world.caller(daemon)
    for (let n = 0; n < jobs; n++) yield* world.untilOver((yield* world.submit(daemon, caller)).job.id)
    return caller.namespace.id
  })

describe("the rollup sweeper", () => {
  it.effect("S8: closes an hour by itself once it is over, and its sums are those of the jobs", () =>
    Effect.gen(function* () {
      const world = yield* lateInTheHour
      const daemon = yield* world.daemon()
      yield* world.agent(daemon)
      const id = yield* work(world, daemon, 3)
      const hour = hourOf(yield* Clock.currentTimeMillis)
      const closed = () => world.shared.state.rollups.closedUntil.accounts > hour
      yield* world.pass(9 * MINUTE)
      assert.isFalse(closed())
      yield* world.until("closed", closed, 3 * MINUTE)
      yield* daemon.use(
        Effect.gen(function* () {
          yield* assertFolded(id)
          const [row] = yield* rowsOf<JobRollup>("jobs", id)
          assert.deepInclude(row, { jobs: 3, state: "completed", model: "sim-small", outputTokens: 36, started: 3 })
          assert.isFalse((yield* assertInvoiced(id, hour, hour + HOUR_MS)).preliminary)
        })
      )
    })
  )

  it.effect(
    "a dry run tells how many entries wait and takes none; a pass by hand takes them; another one has nothing to do",
    () =>
      Effect.gen(function* () {
        const world = yield* World.make()
        const daemon = yield* world.daemon()
        yield* world.pass(100)
        yield* world.caller(daemon)
        yield* world.caller(daemon)
        assert.deepInclude(yield* sweep(world, daemon, true), { swept: 2, detail: { credits: 2, jobs: 0 } })
        assert.deepInclude(yield* sweep(world, daemon, true), { swept: 2 })
        // Taken by credits, then by jobs.
        assert.deepInclude(yield* sweep(world, daemon), { dryRun: false, swept: 4 })
        assert.deepInclude(yield* sweep(world, daemon), { swept: 0 })
      })
  )

  it.effect(
    "S24: a leader that dies in the middle of a pass leaves the rest to the next one, and nothing counts twice",
    () =>
      Effect.gen(function* () {
        const world = yield* World.make()
        const [first, second] = [yield* world.daemon(), yield* world.daemon()]
        yield* world.agent(second)
        const id = yield* work(world, second, 2)
        const hold = first.faults.hold("Rollups.book", "after")
        yield* world.until("booked", hold.isReached, 2 * MINUTE)
        yield* first.crash
        const more = yield* work(world, second, 2)
        yield* world.pass(3 * MINUTE)
        yield* second.use(Effect.andThen(assertFolded(id), assertFolded(more)))
        const rows = yield* second.use(rowsOf<JobRollup>("jobs", null))
        assert.strictEqual(
          rows.reduce((sum, { jobs }) => sum + jobs, 0),
          4
        )
      })
  )

  it.effect("an outage ends the pass; the next one goes on where it was", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      yield* world.pass(100)
      const { namespace } = yield* world.caller(daemon)
      daemon.faults.fail("Rollups.close")
      assert.strictEqual((yield* Effect.flip(sweep(world, daemon)))._tag, "Outage")
      daemon.faults.heal()
      yield* world.pass(2 * MINUTE)
      yield* daemon.use(assertFolded(namespace.id))
    })
  )

  it.effect("S28: what jobs used and cost is invoiced the same after retention took their records", () =>
    Effect.gen(function* () {
      const world = yield* lateInTheHour
      const daemon = yield* world.daemon()
      yield* world.agent(daemon)
      const caller = yield* world.caller(daemon, 1_000_000, { rules: { ...defaultRules, retentionDays: 0 } })
      const id = caller.namespace.id
      const hour = hourOf(yield* Clock.currentTimeMillis)
      for (let n = 0; n < 3; n++) yield* world.untilOver((yield* world.submit(daemon, caller)).job.id)
      yield* world.until("pruned", () => world.shared.records.records.size === 0, 3 * MINUTE)
      assert.isAbove(world.shared.records.blobs.size, 0)
      yield* world.until("closed", () => world.shared.state.rollups.closedUntil.jobs > hour, 12 * MINUTE)
      const [charge] = (yield* daemon.use(assertInvoiced(id, hour, hour + HOUR_MS))).models
      assert.deepInclude(charge, { jobs: 3, outputTokens: 36 })
      const [row] = yield* daemon.use(rowsOf<JobRollup>("jobs", id))
      assert.deepInclude(row, { jobs: 3, started: 3 })
    })
  )

  it.effect("takes no more than a batch at a time, and a batch that is full is followed by the next at once", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      yield* daemon.use(
        Effect.gen(function* () {
          const ledger = yield* CreditLedger
          const rollups = yield* Rollups
          const { sweepBatch } = RollupSweeper.make(rollups)
          const { id: namespaceId } = yield* fundedNamespace(0)
          const at = yield* Clock.currentTimeMillis
          for (let n = 0; n < 7; n++) yield* ledger.grant({ namespaceId, amount: credits(n), reference: unique(), at })
          const first = yield* sweepBatch(null, 3, false)
          assert.deepInclude(first, { taken: 3, watermark: { stage: "credits", from: namespaceId, since: at } })
          assert.strictEqual((yield* rollups.waiting).credits, 4)
          let [batches, batch] = [1, first]
          while (batch.taken === 3) [batches, batch] = [batches + 1, yield* sweepBatch(batch.watermark, 3, false)]
          assert.deepInclude(batch, { watermark: null })
          assert.isAtLeast(batches, 5)
          yield* assertFolded(namespaceId)
          assert.lengthOf(yield* rowsOf<CreditRollup>("credits", namespaceId), 1)
        })
      )
    })
  )
})
