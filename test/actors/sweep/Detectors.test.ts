/** The detector over SQLite and a test clock: what goes wrong is one episode, whoever looks and whatever dies, and it ends when it is over. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { BY } from "../../../src/actors/sweep/DetectorSweeper.ts"
import { Incidents } from "../../../src/layers/Incidents.ts"
import { defaultDetectors } from "../../../src/schemas/DetectorRules.ts"
import { aRegistration } from "../../support/factories.ts"
import { anIncident, freshKey, freshNamespace, freshNode, only, operator } from "../../support/recordFactories.ts"
import { World } from "../../support/World.ts"
import { make, overSqlite, START } from "./DetectorHouse.ts"

const MINUTE = 60_000
const WINDOW = 5 * MINUTE

describe("the detector", () => {
  it.effect("S82: opens one episode of a spike, goes on with it, closes it, and begins another one later", () =>
    Effect.gen(function* () {
      const house = yield* make
      const { pass } = house.leader()
      yield* house.ends(19, { state: "failed" })
      yield* pass
      assert.deepStrictEqual(yield* house.open, [])
      yield* house.ends(1, { state: "failed" })
      for (let count = 0; count < 3; count++) {
        yield* pass
        yield* house.later(15_000)
      }
      assert.deepStrictEqual(yield* house.open, ["error_spike installation", "error_spike model/tiny"])
      yield* house.later(WINDOW)
      yield* house.ends(40, {})
      yield* pass
      assert.deepStrictEqual(yield* house.open, [])
      yield* house.later(WINDOW + MINUTE)
      yield* house.ends(40, { state: "timed_out" })
      yield* pass
      const all = (yield* house.episodes("error_spike")).filter(({ subject }) => subject === "model/tiny")
      assert.deepStrictEqual(
        all.map(({ episode }) => [episode?.number, episode?.sightings, episode?.closedFor]),
        [
          [2, 1, null],
          [1, 3, "recovered"]
        ]
      )
    }).pipe(overSqlite)
  )

  it.effect("S82: of two daemons that look at once, and of one that dies in the middle, makes one episode", () =>
    Effect.gen(function* () {
      const house = yield* make
      const [one, two] = [house.leader(), house.leader()]
      yield* house.ends(30, { state: "failed" })
      yield* house.ends(30, { state: "failed", model: "other" })
      assert.strictEqual((yield* Effect.flip(house.dying(1).pass))._tag, "Outage")
      assert.lengthOf(yield* house.open, 1)
      yield* Effect.all([one.pass, two.pass, one.pass, two.pass], { concurrency: "unbounded" })
      const subjects = ["installation", "model/other", "model/tiny"].map((subject) => `error_spike ${subject}`)
      assert.deepStrictEqual(yield* house.open, subjects)
      assert.lengthOf(yield* house.episodes("error_spike"), 3)

      yield* house.later(WINDOW + MINUTE)
      yield* house.ends(60, {})
      yield* house.ends(60, { model: "other" })
      yield* Effect.flip(house.dying(1).pass)
      assert.lengthOf(yield* house.open, 2)
      yield* Effect.all([one.pass, two.pass], { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* house.open, [])
      assert.lengthOf(yield* house.episodes("error_spike"), 3)
    }).pipe(overSqlite)
  )

  it.effect("S82: ends an episode of which nothing is heard any more as quiet", () =>
    Effect.gen(function* () {
      const house = yield* make
      const { pass } = house.leader()
      yield* house.ends(30, { state: "failed" })
      yield* pass
      yield* house.later(5 * WINDOW)
      yield* pass
      assert.lengthOf(yield* house.open, 2)
      yield* house.later(2 * WINDOW)
      yield* pass
      assert.deepStrictEqual(yield* house.open, [])
      assert.strictEqual((yield* house.episodes("error_spike"))[0]?.episode?.closedFor, "quiet")
    }).pipe(overSqlite)
  )

  it.effect("S81: raises one episode of a key that is refused again and again, and ends it when the key is calm", () =>
    Effect.gen(function* () {
      const house = yield* make
      const { pass } = house.leader()
      yield* house.rules({ abuse: { rejectionsMax: 10, throttlePerSecond: 2 } })
      const [keyId, namespaceId] = [freshKey(), freshNamespace()]
      const refused = (count: number, type: string) =>
        house.incidents.raise(
          Array.from({ length: count }, () => anIncident({ kind: "rejection", type, keyId, namespaceId, at: START }))
        )
      yield* refused(6, "request_too_large")
      yield* pass
      assert.deepStrictEqual(yield* house.open, [])
      yield* refused(5, "rate_limited")
      yield* pass
      yield* pass
      const [episode, ...more] = yield* house.episodes("abuse")
      assert.lengthOf(more, 0)
      assert.deepInclude(episode, { subject: `key/${keyId}`, keyId, namespaceId, severity: "medium" })
      assert.deepInclude(episode?.observed, { refused: 11, throttlePerSecond: 2 })
      yield* house.later(WINDOW + 1)
      yield* pass
      assert.deepStrictEqual(yield* house.open, [])
    }).pipe(overSqlite)
  )

  it.effect("S83: notices that a model on a node got slower, also under a new leader, and none from the start", () =>
    Effect.gen(function* () {
      const house = yield* make
      const [known, fresh] = [freshNode(), freshNode()]
      const first = house.leader()
      for (let count = 0; count < 4; count++) {
        yield* house.ends(20, { nodeId: known, totalMs: 1000 })
        yield* first.pass
        yield* house.later(WINDOW + 1)
      }
      const heir = house.leader()
      heir.inherit(first.watermark())
      yield* house.ends(20, { nodeId: known, totalMs: 5000 })
      yield* house.ends(20, { nodeId: fresh, totalMs: 50_000 })
      yield* heir.pass
      assert.deepStrictEqual(yield* house.open, [`latency_regression node/${known}/model/tiny`])
      yield* house.later(WINDOW + 1)
      yield* house.ends(20, { nodeId: known, totalMs: 1100 })
      yield* heir.pass
      assert.deepStrictEqual(yield* house.open, [])
    }).pipe(overSqlite)
  )

  it.effect(
    "C92, D52: a node whose results do not fit is an episode, and goes into quarantine where the rules say so",
    () =>
      Effect.gen(function* () {
        const house = yield* make
        const { pass } = house.leader()
        yield* house.rules({ restrictMs: 10 * MINUTE, lying: { restrict: "quarantined" } })
        const nodeId = freshNode()
        yield* house.nodes.register(aRegistration(START, { nodeId }))
        const mismatch = () =>
          anIncident({ type: "token_count_mismatch", subject: `node/${nodeId}`, nodeId, at: START })
        yield* house.incidents.raise([mismatch(), mismatch()])
        yield* pass
        assert.deepStrictEqual(yield* house.open, [])
        yield* house.incidents.raise([mismatch()])
        yield* pass
        yield* pass
        assert.deepStrictEqual(yield* house.open, [`lying_node node/${nodeId}`])
        const restrictions = (yield* house.nodes.get(nodeId, START))?.restrictions
        assert.deepStrictEqual(
          restrictions?.map(({ kind, by, until }) => ({ kind, by, until })),
          [{ kind: "quarantined", by: BY, until: START + 10 * MINUTE }]
        )
        assert.deepStrictEqual(house.told, [nodeId])
        yield* house.later(6 * MINUTE)
        yield* house.ends(5, { nodeId })
        yield* pass
        assert.deepStrictEqual(yield* house.open, [])
      }).pipe(overSqlite)
  )

  it.effect("a node that is no row of the registry is an episode all the same, and restricted by nobody", () =>
    Effect.gen(function* () {
      const house = yield* make
      yield* house.rules({ lying: { restrict: "cooldown", mismatchesMax: 1 } })
      const nodeId = freshNode()
      yield* house.incidents.raise([anIncident({ type: "result_mismatch", nodeId, at: START })])
      yield* house.leader().pass
      assert.deepStrictEqual(yield* house.open, [`lying_node node/${nodeId}`])
      assert.deepStrictEqual(house.told, [])
    }).pipe(overSqlite)
  )

  it.effect("S78: a broken promise is an episode, and a cooldown of the node where the target says so", () =>
    Effect.gen(function* () {
      const house = yield* make
      const { pass } = house.leader()
      const nodeId = freshNode()
      yield* house.nodes.register(aRegistration(START, { nodeId }))
      yield* house.rules({
        sla: {
          targets: { "node/*": { totalMs: 2000, restrict: "cooldown" }, "model/tiny": { availabilityPercent: 99 } }
        }
      })
      yield* house.ends(20, { nodeId, totalMs: 3000 })
      yield* house.ends(1, { state: "expired" })
      yield* pass
      assert.deepStrictEqual(yield* house.open, ["sla_breach model/tiny", `sla_breach node/${nodeId}`])
      const restricted = (yield* house.nodes.get(nodeId, START))?.restrictions.map(({ kind }) => kind)
      assert.deepStrictEqual(restricted, ["cooldown"])
      yield* house.later(61 * MINUTE)
      yield* house.ends(20, { nodeId, totalMs: 1000 })
      yield* pass
      assert.deepStrictEqual(yield* house.open, [])
    }).pipe(overSqlite)
  )

  it.effect("looks at the newest jobs of a crowd, page by page, each once", () =>
    Effect.gen(function* () {
      const house = yield* make
      yield* house.rules({ errorSpike: { volumeMin: 1250 } })
      yield* house.ends(1, {})
      yield* house.later(1)
      for (const [count, state] of [
        [600, "failed"],
        [650, "completed"]
      ] as const) {
        yield* house.ends(count, { state })
        yield* house.later(1)
      }
      yield* house.leader().pass
      const [episode] = yield* house.episodes("error_spike")
      // One millisecond has more than a page: what does not fit is left out, and nothing is counted twice.
      assert.strictEqual(episode, undefined)
      yield* house.rules({ errorSpike: { volumeMin: 1000 } })
      yield* house.leader().pass
      const [found] = yield* house.episodes("error_spike")
      assert.deepInclude(found?.observed, { failed: 500, jobs: 1001 })
    }).pipe(overSqlite)
  )

  it.effect("says of a model that is asked for and not served what it is, and what a dry run would find", () =>
    Effect.gen(function* () {
      const house = yield* make
      const observed = { status: 503, model: "tiny", environment: "testnet" }
      yield* house.incidents.raise([
        anIncident({ kind: "rejection", type: "model_unavailable", observed, at: START }),
        anIncident({ kind: "rejection", type: "model_unavailable", observed: { status: 503 }, at: START })
      ])
      const { pass, dryPass } = house.leader()
      assert.deepStrictEqual(yield* dryPass, { model_unavailable: 1 })
      assert.deepStrictEqual(yield* house.open, [])
      yield* pass
      const [episode] = yield* house.episodes("model_unavailable")
      assert.deepInclude(episode, { subject: "model/tiny", severity: "high" })
      assert.deepInclude(episode?.observed, { refused: 1, waiting: 0, nodes: 0 })
    }).pipe(overSqlite)
  )
})

describe("a daemon", () => {
  it.effect("S82: notices that its node fails, and that it is well again", () =>
    Effect.gen(function* () {
      const errorSpike = { ...defaultDetectors.errorSpike, volumeMin: 3 }
      const detectors = { ...defaultDetectors, errorSpike }
      const world = yield* World.make({ settings: { failuresMax: 1, cooldownFaults: 1000, detectors } })
      const daemon = yield* world.daemon()
      const spikes = daemon.use(
        Effect.flatMap(Incidents, ({ list }) => list(operator, { type: "error_spike", limit: 100 }))
      )
      let isBroken = true
      yield* world.agent(daemon, {
        orders: (held, agent) => {
          agent.accept(held)
          if (isBroken) agent.fail(held, "runtime_500", "node")
          else agent.finish(held)
        }
      })
      const caller = yield* world.caller(daemon, 100_000_000)
      const run = (count: number) =>
        Effect.forEach(Array.from({ length: count }), () =>
          Effect.flatMap(world.submit(daemon, caller), ({ job }) => world.untilOver(job.id))
        )
      yield* run(3)
      yield* world.pass(16_000)
      assert.lengthOf(yield* spikes, 2)
      assert.isTrue((yield* spikes).every(({ episode }) => episode?.closedAt === null))
      isBroken = false
      yield* world.pass(5 * MINUTE)
      yield* run(3)
      yield* world.pass(16_000)
      assert.deepStrictEqual((yield* spikes).map(({ subject, episode }) => [subject, episode?.closedFor]).toSorted(), [
        ["installation", "recovered"],
        ["model/sim-small", "recovered"]
      ])
    })
  )

  it.effect("S53: warns once of a job that completed slowly, and its namespace may see it", () =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: { slowJobMs: 1000 } })
      const daemon = yield* world.daemon()
      const agent = yield* world.agent(daemon, { orders: "hold" })
      const caller = yield* world.caller(daemon)
      for (const ms of [500, 2000]) {
        const { job } = yield* world.submit(daemon, caller)
        yield* world.pass(ms)
        agent.finish(agent.of(job.id))
        yield* world.untilOver(job.id)
        yield* world.rest
      }
      const warnings = yield* daemon.use(
        Effect.flatMap(Incidents, ({ list }) => list(only(caller.namespace.id), { type: "slow_job", limit: 9 }))
      )
      assert.deepStrictEqual(
        warnings.map(({ kind, severity, expected }) => ({ kind, severity, expected })),
        [{ kind: "warning", severity: "low", expected: { totalMsMost: 1000 } }]
      )
    })
  )
})
