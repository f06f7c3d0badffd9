import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Root } from "../../../src/actors/Root.ts"
import type { DispatchMessage } from "../../../src/actors/dispatch/DispatchMessages.ts"
import { Registry } from "../../../src/kernel/Registry.ts"
import { DISPATCHER, jobAddress } from "../../../src/schemas/Address.ts"
import { JobId, type NodeId } from "../../../src/schemas/Ids.ts"
import { defaultRules } from "../../../src/schemas/Namespace.ts"
import type { MemoryAgent } from "../../support/MemoryAgent.ts"
import { World } from "../../support/World.ts"
import { aRequest } from "../../support/worldFactories.ts"

/** One slot, taken; so what is submitted now waits. */
const full = Effect.gen(function* () {
  const world = yield* World.make()
  const daemon = yield* world.daemon({ lanePrefetch: 100 })
  const agent = yield* world.agent(daemon, { orders: "hold", profile: { slots: 1 } })
  const caller = yield* world.caller(daemon, 10_000_000, { rules: { ...defaultRules, urgent: true } })
  yield* world.submit(daemon, caller)
  yield* world.until("busy", () => agent.assigned.length === 1)
  return { world, daemon, agent, caller }
})

/** Frees the slot again and again; the order in which jobs got it. */
const orderOf = (world: World, agent: MemoryAgent, count: number) =>
  Effect.gen(function* () {
    for (let served = 1; served <= count; served++) {
      agent.finish(agent.held.values().next().value!)
      yield* world.until("next", () => agent.assigned.length === served + 1)
    }
    return agent.assigned.slice(1).map(({ jobId }) => jobId)
  })

describe("Dispatcher", () => {
  it.effect("serves the stronger priority first, and the older within it", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, caller } = yield* full
      const ids: Record<string, JobId> = {}
      for (const [name, priority] of [
        ["bulk", "bulk"],
        ["normal", "normal"],
        ["later", "normal"],
        ["urgent", "urgent"]
      ] as const) {
        ids[name] = (yield* world.submit(daemon, caller, { priority, deadlineMs: 60_000 })).job.id
        yield* world.pass(20)
      }
      assert.deepStrictEqual(yield* orderOf(world, agent, 4), [ids["urgent"], ids["normal"], ids["later"], ids["bulk"]])
    })
  )

  it.effect("gives namespaces their turns, however much one of them has waiting", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, caller } = yield* full
      const small = yield* world.caller(daemon)
      for (let count = 0; count < 6; count++) yield* world.submit(daemon, caller)
      yield* world.pass(20)
      const theirs = new Set<string>()
      for (let count = 0; count < 2; count++) theirs.add((yield* world.submit(daemon, small)).job.id)
      yield* world.pass(20)
      const order = yield* orderOf(world, agent, 6)
      // Who joins, joins for the next round; from then on it has every second turn.
      assert.deepStrictEqual(
        order.map((id) => theirs.has(id)),
        [false, false, true, false, true, false]
      )
    })
  )

  it.effect("that crashes asks its waiting jobs again, and each gets its slot", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, caller } = yield* full
      const rows = yield* Effect.forEach(Array.from({ length: 5 }), () => world.submit(daemon, caller))
      yield* world.rest
      assert.isTrue(yield* daemon.use(Effect.flatMap(Root, (root) => root.restartChild(DISPATCHER))))
      yield* world.rest
      agent.orders = "answer"
      agent.finish(agent.held.values().next().value!)
      yield* world.until("all over", () => rows.every(({ job }) => world.isOver(job.id)))
      assert.isTrue(rows.every(({ job }) => world.row(job.id).state === "completed"))
    })
  )

  it.effect("never gives more slots than a node has", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon({ lanePrefetch: 50 })
      const agent = yield* world.agent(daemon, { orders: "hold", profile: { slots: 3 } })
      const caller = yield* world.caller(daemon)
      const rows = yield* Effect.forEach(Array.from({ length: 20 }), () => world.submit(daemon, caller))
      yield* world.pass(500)
      assert.strictEqual(agent.assigned.length, 3)
      let most = 0
      yield* world.until("all over", () => {
        most = Math.max(most, agent.held.size)
        const [held] = agent.held.values()
        if (held !== undefined && held.result === null) agent.finish(held)
        return rows.every(({ job }) => world.isOver(job.id))
      })
      assert.isAtMost(most, 4)
      assert.isTrue(rows.every(({ job }) => world.row(job.id).attempt === 1))
    })
  )

  it.effect("does not let a job that nobody can serve hold up one that somebody can", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      yield* world.agent(daemon)
      const caller = yield* world.caller(daemon)
      const { job: stuck } = yield* world.submit(daemon, caller, { constraints: { region: "nowhere" } })
      const { job } = yield* world.submit(daemon, caller)
      yield* world.untilOver(job.id, 1000)
      assert.strictEqual(world.row(stuck.id).state, "queued")
    })
  )

  it.effect("wakes when a node comes that can serve what waits", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      yield* world.agent(daemon)
      const caller = yield* world.caller(daemon)
      const { job } = yield* world.submit(daemon, caller, { constraints: { region: "eu" } })
      yield* world.pass(500)
      const agent = yield* world.agent(daemon, { profile: { region: "eu" } })
      yield* world.untilOver(job.id, 500)
      assert.strictEqual(world.row(job.id).nodeId, agent.nodeId)
    })
  )

  it.effect("goes on after all that is live was lost: nodes are announced again within a heartbeat", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, caller } = yield* full
      yield* world.shared.live.wipe
      const waits = aRequest()
      agent.orders = "answer"
      agent.finish(agent.held.values().next().value!)
      yield* world.until("announced again", () => world.presence(agent) !== null, 11_000)
      const { job } = yield* world.submit(daemon, caller, waits)
      yield* world.untilOver(job.id, 2000)
      assert.strictEqual(world.row(job.id).state, "completed")
    })
  )

  it.effect("takes a slot back, when its job stopped wanting it while the answer was on its way", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      const agent = yield* world.agent(daemon)
      const caller = yield* world.caller(daemon)
      const { job: like } = yield* world.submit(daemon, caller)
      yield* world.untilOver(like.id, 2000)
      const job = { ...like, id: JobId.make("job_deaf") }
      const wanting = {
        job,
        namespaceId: job.namespaceId,
        weight: 1,
        attempt: 1,
        mustContinue: false,
        tried: new Set<NodeId>(),
        leaseMs: 60_000
      }
      const dispatcher = yield* daemon.use(
        Effect.gen(function* () {
          yield* (yield* Root).start({
            address: jobAddress(job.id),
            kind: "deaf",
            behavior: { init: () => Effect.never, receive: () => Effect.void },
            restart: "temporary"
          })
          return (yield* Registry).find<DispatchMessage>(DISPATCHER)
        })
      )
      assert.strictEqual(dispatcher._tag, "Some")
      const tell = (message: DispatchMessage) => dispatcher._tag === "Some" && dispatcher.value.tellUnsafe(message)

      tell({ _tag: "Want", wanting })
      yield* world.until("leased", () => world.presence(agent)?.leased === 1)
      tell({ _tag: "Forget", jobId: job.id })
      yield* world.until("given back", () => world.presence(agent)?.leased === 0)
    })
  )
})
