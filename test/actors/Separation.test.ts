/** What is quick asks nothing that is slow: nodes are chosen and kept in sight without the deciding store and without the records. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { Leases } from "../../src/layers/Leases.ts"
import { World, type WorldDaemon } from "../support/World.ts"
import { aRequest } from "../support/worldFactories.ts"

const DECIDING = ["JobStore", "JobSurvey", "CreditLedger", "NodeRegistry", "Outbox"] as const
const REMEMBERING = ["JobRecords", "Traces", "Logs", "Incidents"] as const
const BEAT = 10_000

/** Calls of these contracts by method, as one job's life changed them. */
const callsOf = (daemon: WorldDaemon, contracts: ReadonlyArray<string>, before: ReadonlyMap<string, number>) =>
  Object.fromEntries(
    [...daemon.faults.calls].flatMap(([key, count]) => {
      const more = count - (before.get(key) ?? 0)
      return more > 0 && contracts.includes(key.split(".")[0] ?? "") ? [[key, more]] : []
    })
  )

/** One job of so many tokens from its admission to its end. */
const oneJob = (tokens: number) =>
  Effect.gen(function* () {
    const world = yield* World.make()
    const daemon = yield* world.daemon()
    const agent = yield* world.agent(daemon, { orders: "hold" })
    const caller = yield* world.caller(daemon, 1_000_000)
    yield* world.rest
    const before = new Map(daemon.faults.calls)
    const body = { ...aRequest().body, max_tokens: tokens }
    const { job } = yield* world.submit(daemon, caller, aRequest({ body, outputTokensMax: tokens }))
    yield* world.until("assigned", () => agent.assigned.length === 1)
    for (let said = 0; said < tokens; said += 10) {
      agent.say(agent.of(job.id), 10)
      yield* world.pass(1)
    }
    agent.finish(agent.of(job.id))
    yield* world.untilOver(job.id)
    yield* world.rest
    return callsOf(daemon, DECIDING, before)
  })

describe("one job", () => {
  it.effect("S59: asks the deciding store the same for a thousand tokens as for ten", () =>
    Effect.gen(function* () {
      const short = yield* oneJob(10)
      assert.deepInclude(short, { "JobStore.admit": 1, "JobStore.claim": 1, "JobStore.finish": 1 })
      assert.deepStrictEqual(yield* oneJob(1000), short)
      const beyond = Object.keys(short).filter((key) => !key.startsWith("JobStore.") && !key.startsWith("Outbox."))
      assert.deepStrictEqual(beyond, [])
    })
  )

  it.effect("S5: gets its node without a question to the deciding store or the records", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      const agent = yield* world.agent(daemon, { orders: "hold", profile: { slots: 1 } })
      const caller = yield* world.caller(daemon)
      const first = yield* world.submit(daemon, caller)
      yield* world.until("assigned", () => agent.assigned.length === 1)
      yield* world.submit(daemon, caller)
      yield* world.rest
      const chosen = daemon.faults.hold("JobStore.claim", "before")
      const before = new Map(daemon.faults.calls)
      agent.finish(agent.of(first.job.id))
      yield* world.until("chosen", () => chosen.isReached())
      yield* world.untilOver(first.job.id)
      assert.strictEqual(world.presence(agent)?.leased, 1)
      // The end of the one and the claim of the other, and nothing that was read.
      const { "Outbox.sent": _, ...deciding } = callsOf(daemon, DECIDING, before)
      assert.deepStrictEqual(deciding, { "JobStore.finish": 1, "JobStore.claim": 1 })
      const remembering = Object.keys(callsOf(daemon, REMEMBERING, before))
      assert.deepStrictEqual(
        remembering.filter((key) => !["JobRecords.patch", "Traces.append", "Logs.append"].includes(key)),
        []
      )
      yield* chosen.release
    })
  )
})

describe("a node", () => {
  it.effect("S20: stays in sight, and is chosen, while the deciding store and the records answer nothing", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      const agent = yield* world.agent(daemon)
      yield* world.rest
      daemon.faults.fail(...DECIDING, ...REMEMBERING)
      for (let beats = 0; beats < 12; beats++) {
        yield* world.pass(BEAT)
        const presence = world.presence(agent)
        const now = yield* Clock.currentTimeMillis
        assert.isNotNull(presence)
        assert.isAtMost(now - (presence?.lastSeenAt ?? 0), BEAT + 1000)
      }
      assert.deepStrictEqual(yield* freeNodes(daemon), [agent.nodeId])
    })
  )

  it.effect("S5, S21: that goes is no candidate any more within a second", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      const [stays, goes] = [yield* world.agent(daemon), yield* world.agent(daemon)]
      assert.sameMembers([...(yield* freeNodes(daemon))], [stays.nodeId, goes.nodeId])
      goes.die()
      yield* world.pass(999)
      assert.deepStrictEqual(yield* freeNodes(daemon), [stays.nodeId])
    })
  )
})

const freeNodes = (daemon: WorldDaemon) =>
  daemon.use(
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const query = {
        environment: "testnet" as const,
        model: "sim-small",
        sampleMax: 16,
        except: new Set<never>(),
        now
      }
      return (yield* (yield* Leases).candidates(query)).nodes.map(({ nodeId }) => nodeId)
    })
  )
