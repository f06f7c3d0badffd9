/** Jobs that are done once more by another node, and what it says of the two when their answers differ. */
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type * as Schema from "effect/Schema"
import { Quality } from "../../../src/layers/Quality.ts"
import { Traces } from "../../../src/layers/Traces.ts"
import type { JobId } from "../../../src/schemas/Ids.ts"
import { defaultRules, isSystemNamespace } from "../../../src/schemas/Namespace.ts"
import type { Trial } from "../../../src/schemas/Quality.ts"
import type { MemoryAgent } from "../../support/MemoryAgent.ts"
import { aRequest } from "../../support/worldFactories.ts"
import { World, type WorldDaemon } from "../../support/World.ts"
import { addSet, passing, saying, trialsOf } from "./QualityWorld.ts"

const allowed = { rules: { ...defaultRules, replicate: true } }

const asking = (temperature: number) => {
  const body: Schema.JsonObject = {
    model: "sim-small",
    messages: [{ role: "user", content: "a customer's words" }],
    max_tokens: 12,
    temperature
  }
  return aRequest({ body, request: body })
}

const replicas = (daemon: WorldDaemon, ...agents: ReadonlyArray<MemoryAgent>) =>
  Effect.map(
    Effect.forEach(agents, (agent) => trialsOf(daemon, agent, "replica")),
    (found): ReadonlyArray<Trial> => found.flat()
  )

const hasEnded = (daemon: WorldDaemon, ...agents: ReadonlyArray<MemoryAgent>) =>
  Effect.map(replicas(daemon, ...agents), (found) => found.some(({ endedAt }) => endedAt !== null))

const evidenceOf = (daemon: WorldDaemon, agent: MemoryAgent) =>
  Effect.map(
    Effect.orDie(
      daemon.use(Effect.flatMap(Quality, (quality) => quality.evidence(agent.nodeId, "sim-small", "trials", 100)))
    ),
    (found) => found.map(({ passed, failed }) => [passed, failed])
  )

/** A job of this customer, done by this node because nobody else is there yet. */
const doneBy = (world: World, daemon: WorldDaemon, rules: Parameters<World["caller"]>[2], temperature: number) =>
  Effect.gen(function* () {
    const customer = yield* world.caller(daemon, 1_000_000, rules)
    // The sweeper has looked once, so that what ends from here on is new.
    yield* world.pass(6_000)
    const row = yield* world.submit(daemon, customer, asking(temperature))
    yield* world.until("it is over", () => world.isOver(row.job.id))
    return row
  })

const traceOf = (daemon: WorldDaemon, jobId: JobId) =>
  Effect.orDie(
    daemon.use(Effect.flatMap(Traces, (traces) => traces.read({ _tag: "Operator", by: "test" }, jobId, 0, 9)))
  )

describe("replicas", () => {
  it.effect(
    "D219: a repeatable job of a namespace that allows it is repeated elsewhere, as it was asked, and agrees",
    () =>
      Effect.gen(function* () {
        const world = yield* World.make({ settings: { replicaShare: 1 } })
        const daemon = yield* world.daemon()
        const first = yield* world.agent(daemon)
        const row = yield* doneBy(world, daemon, allowed, 0)
        const second = yield* world.agent(daemon)
        yield* passing(world, "the replica has ended", hasEnded(daemon, second))

        const [replica, ...more] = yield* replicas(daemon, first, second)
        assert.deepStrictEqual(more, [])
        assert.deepInclude(replica!, { state: "passed", score: 1, nodeId: second.nodeId, setId: null })
        assert.deepStrictEqual(replica!.replicaOf, { jobId: row.job.id, nodeId: first.nodeId })
        assert.deepStrictEqual(second.assigned.at(-1)?.body, first.assigned.at(-1)?.body)
        // Neither the customer's words nor the answer to them stand here, nor with the replica's own job.
        assert.isNull(replica!.answer)
        assert.isNull(replica!.order)
        const record = world.record(replica!.jobId!)
        assert.isTrue(isSystemNamespace(record.namespaceId))
        assert.isNull(record.input.request)
        assert.deepStrictEqual(record.output?.choices, [])
        assert.deepStrictEqual(yield* traceOf(daemon, replica!.jobId!), [])
        assert.isNotEmpty(yield* traceOf(daemon, row.job.id))
        assert.deepStrictEqual(yield* evidenceOf(daemon, first), [[1, 0]])
        assert.deepStrictEqual(yield* evidenceOf(daemon, second), [[1, 0]])
      })
  )

  it.effect("D219: when the answers differ nobody knows who is right, and each bears half of it", () =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: { replicaShare: 1 } })
      const daemon = yield* world.daemon()
      const first = yield* world.agent(daemon)
      yield* doneBy(world, daemon, allowed, 0)
      const second = yield* world.agent(daemon, { orders: saying("something else altogether") })
      yield* passing(world, "the replica has ended", hasEnded(daemon, second))

      const [replica] = yield* replicas(daemon, second)
      assert.deepInclude(replica!, { state: "failed", checks: [{ check: "likeness", ok: false }] })
      assert.deepStrictEqual(yield* evidenceOf(daemon, first), [[0, 0.5]])
      assert.deepStrictEqual(yield* evidenceOf(daemon, second), [[0, 0.5]])
    })
  )

  it.effect("nothing of a customer's words stays with a replica that failed", () =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: { replicaShare: 1 } })
      const daemon = yield* world.daemon()
      yield* world.agent(daemon)
      yield* doneBy(world, daemon, allowed, 0)
      const second = yield* world.agent(daemon, {
        orders: (held, agent) => {
          agent.accept(held)
          agent.say(held, 3)
          agent.fail(held, "bad_request", "job")
        }
      })
      yield* passing(world, "the replica has ended", hasEnded(daemon, second))

      const [replica] = yield* replicas(daemon, second)
      assert.strictEqual(replica!.state, "void")
      const record = world.record(replica!.jobId!)
      assert.isNull(record.input.request)
      assert.notInclude(inspect(record, { depth: null }), "customer's words")
      assert.deepStrictEqual(yield* traceOf(daemon, replica!.jobId!), [])
      assert.deepStrictEqual(yield* evidenceOf(daemon, second), [])
    })
  )

  for (const [why, rules, temperature, share] of [
    ["its namespace does not say so", {}, 0, 1],
    ["its namespace keeps no payloads", { rules: { ...allowed.rules, persistPayloads: false } }, 0, 1],
    ["it is not repeatable", allowed, 0.7, 1],
    ["the settings do not ask for it", allowed, 0, 0]
  ] as const) {
    it.effect(`nothing of a customer is repeated when ${why}`, () =>
      Effect.gen(function* () {
        const world = yield* World.make({ settings: { replicaShare: share } })
        const daemon = yield* world.daemon()
        const first = yield* world.agent(daemon)
        yield* doneBy(world, daemon, rules, temperature)
        const second = yield* world.agent(daemon)
        yield* world.pass(60_000)

        assert.deepStrictEqual(yield* replicas(daemon, first, second), [])
        assert.deepStrictEqual(second.assigned, [])
      })
    )
  }

  it.effect("a blind trial that is repeatable is repeated elsewhere, and compared with what the first node said", () =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: { replicaShare: 1, blindPerHour: 3600 } })
      const daemon = yield* world.daemon()
      const first = yield* world.agent(daemon)
      // Trials look like this from here on.
      const customer = yield* world.caller(daemon)
      const row = yield* world.submit(daemon, customer, asking(0))
      yield* world.until("it is over", () => world.isOver(row.job.id))
      const second = yield* world.agent(daemon)
      yield* addSet(daemon)
      yield* passing(world, "a replica has ended", hasEnded(daemon, first, second))

      const replica = (yield* replicas(daemon, first, second)).find(({ endedAt }) => endedAt !== null)!
      assert.strictEqual(replica.state, "passed")
      assert.notStrictEqual(replica.replicaOf?.nodeId, replica.nodeId)
      assert.isNotNull(replica.setId)
      assert.isNotNull(replica.answer)
    })
  )
})
