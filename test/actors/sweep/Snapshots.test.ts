/** The sweeper that makes snapshots by itself: when, how often, and what cancelling or failing means. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { LongWork } from "../../../src/actors/LongWork.ts"
import * as SnapshotSweeper from "../../../src/actors/sweep/SnapshotSweeper.ts"
import { SweepSupervisor } from "../../../src/actors/sweep/SweepSupervisor.ts"
import { Settings } from "../../../src/layers/Settings.ts"
import { Snapshots } from "../../../src/snapshots/Snapshots.ts"
import { World, type WorldDaemon, type WorldOptions } from "../../support/World.ts"

const HOUR = 3_600_000
const MINUTE = 60_000

const numbers = (daemon: WorldDaemon) =>
  daemon.use(
    Effect.map(
      Effect.flatMap(Snapshots, ({ list }) => list(10)),
      (heads) => heads.map(({ number }) => number)
    )
  )

const standing = (daemon: WorldDaemon) =>
  daemon.use(
    Effect.map(
      Effect.flatMap(SweepSupervisor, ({ list }) => list),
      (all) => all.find(({ name }) => name === "snapshot")
    )
  )

const worldOf = (snapshotEveryMs: number, options: WorldOptions = {}) =>
  Effect.gen(function* () {
    const world = yield* World.make({ ...options, settings: { snapshotEveryMs } })
    return { world, daemon: yield* world.daemon() }
  })

describe("the snapshot sweeper", () => {
  it.effect("makes none while it is off", () =>
    Effect.gen(function* () {
      const { world, daemon } = yield* worldOf(0)
      yield* world.pass(5 * MINUTE)
      assert.deepStrictEqual(yield* numbers(daemon), [])
      assert.deepInclude(yield* standing(daemon), { lastError: null, everyMs: MINUTE })
    })
  )

  it.effect("S18: makes one at once and another whenever the last is old enough, as long work", () =>
    Effect.gen(function* () {
      const { world, daemon } = yield* worldOf(HOUR)
      yield* world.pass(2 * MINUTE)
      assert.deepStrictEqual(yield* numbers(daemon), [1])
      yield* world.pass(30 * MINUTE)
      assert.deepStrictEqual(yield* numbers(daemon), [1])
      yield* world.pass(31 * MINUTE)
      assert.deepStrictEqual(yield* numbers(daemon), [2, 1])
      const works = yield* daemon.use(Effect.flatMap(LongWork, ({ list }) => list))
      assert.deepStrictEqual(
        works.map(({ kind, by, state }) => [kind, by, state]),
        Array.from({ length: 2 }, () => ["snapshot.create", "sweeper/snapshot", "done"])
      )
    })
  )

  it.effect("counts one that was made by hand before its first, and says in a dry run when the next is due", () =>
    Effect.gen(function* () {
      const { world, daemon } = yield* worldOf(0)
      const [snapshots, settings] = [yield* daemon.use(Snapshots), yield* daemon.use(Settings)]
      const at = yield* Clock.currentTimeMillis
      yield* snapshots.create({ at, full: false }, () => Effect.void)
      const rules = { ...(yield* settings.current).settings, snapshotEveryMs: HOUR }
      yield* settings.publish({ settings: rules, by: "test", reason: "test", at })
      yield* world.pass(2 * MINUTE)
      assert.deepStrictEqual(yield* numbers(daemon), [1])
      const asked = yield* Effect.forkIn(
        daemon.use(Effect.flatMap(SweepSupervisor, ({ sweep }) => sweep("snapshot", true))),
        world.scope
      )
      yield* world.rest
      const { swept, detail } = yield* Fiber.join(asked)
      assert.strictEqual(swept, 0)
      assert.approximately(Number(detail["dueMs"]), HOUR - 2 * MINUTE, MINUTE)
    })
  )

  it.effect("lets the oldest go when there are more than the rules keep, whoever made them", () =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: { snapshotEveryMs: HOUR, snapshotsKept: 2 } })
      const daemon = yield* world.daemon()
      yield* world.pass(2 * HOUR + 2 * MINUTE)
      assert.deepStrictEqual(yield* numbers(daemon), [3, 2])
      const works = yield* daemon.use(Effect.flatMap(LongWork, ({ list }) => list))
      const pruning = works.filter(({ kind }) => kind === "snapshot.prune")
      assert.lengthOf(pruning, 1)
      assert.deepInclude(pruning[0], { by: "sweeper/snapshot", state: "done" })
      assert.deepInclude(pruning[0]?.result, { removed: 1, kept: 2, oldest: 2 })
      const [snapshots, settings] = [yield* daemon.use(Snapshots), yield* daemon.use(Settings)]
      const at = yield* Clock.currentTimeMillis
      const rules = { ...(yield* settings.current).settings, snapshotEveryMs: 0, snapshotsKept: 1 }
      yield* settings.publish({ settings: rules, by: "test", reason: "test", at })
      yield* snapshots.create({ at, full: false }, () => Effect.void)
      yield* world.pass(2 * MINUTE)
      assert.deepStrictEqual(yield* numbers(daemon), [4])
    })
  )

  it.effect("makes none without cold storage, and takes that for no failure", () =>
    Effect.gen(function* () {
      const { world, daemon } = yield* worldOf(HOUR)
      yield* world.pass(2 * MINUTE)
      const snapshots = { ...(yield* daemon.use(Snapshots)), isThere: false }
      const works = yield* daemon.use(LongWork)
      const before = yield* works.list
      const { sweepBatch } = SnapshotSweeper.make({ settings: yield* daemon.use(Settings), snapshots, works })
      assert.deepInclude(yield* sweepBatch(null, 2, false), { taken: 0, detail: { off: true } })
      assert.deepStrictEqual(yield* works.list, before)
    })
  )

  it.effect("tries again after a failure, which its work tells", () =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: { snapshotEveryMs: HOUR } })
      world.shared.records.refusesPut = (name) => name.startsWith("blocks/")
      const daemon = yield* world.daemon()
      yield* world.pass(2 * MINUTE)
      assert.deepStrictEqual(yield* numbers(daemon), [])
      const [work] = yield* daemon.use(Effect.flatMap(LongWork, ({ list }) => list))
      assert.deepInclude(work, { state: "failed", error: "Archive does not answer (put). Try again." })
      world.shared.records.refusesPut = () => false
      yield* world.pass(2 * MINUTE)
      assert.deepStrictEqual(yield* numbers(daemon), [1])
    })
  )
})
