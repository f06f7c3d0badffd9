import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { NodeSupervisor } from "../../../src/actors/node/NodeSupervisor.ts"
import { Root } from "../../../src/actors/Root.ts"
import { nodeAddress } from "../../../src/schemas/Address.ts"
import { CLOSE } from "../../../src/schemas/AgentFrame.ts"
import { JobId } from "../../../src/schemas/Ids.ts"
import type { RestrictionKind } from "../../../src/schemas/NodeProfile.ts"
import { MemoryAgent, type Held } from "../../support/MemoryAgent.ts"
import { World, type WorldDaemon, type WorldOptions } from "../../support/World.ts"
import { answersTo, aRequest } from "../../support/worldFactories.ts"

const begin = (options: WorldOptions = {}) =>
  Effect.gen(function* () {
    const world = yield* World.make(options)
    const daemon = yield* world.daemon()
    const agent = yield* world.agent(daemon, { orders: "hold" })
    const caller = yield* world.caller(daemon)
    return { world, daemon, agent, caller }
  })

const running = (options: WorldOptions = {}) =>
  Effect.gen(function* () {
    const started = yield* begin(options)
    const { world, daemon, agent, caller } = started
    const request = aRequest()
    const { job } = yield* world.submit(daemon, caller, request)
    yield* world.until("assigned", () => agent.assigned.length === 1)
    return { ...started, job, held: agent.of(job.id), answer: answersTo(request)[0]! }
  })

const restrict = (daemon: WorldDaemon, agent: MemoryAgent, kind: RestrictionKind) =>
  daemon.use(
    Effect.gen(function* () {
      const since = yield* Clock.currentTimeMillis
      const restriction = { kind, reason: "test", by: "operator/test", since, until: null }
      yield* (yield* NodeSupervisor).restrict(agent.nodeId, restriction)
    })
  )
const lift = (daemon: WorldDaemon, agent: MemoryAgent, kind: RestrictionKind) =>
  daemon.use(Effect.flatMap(NodeSupervisor, (nodes) => nodes.lift(agent.nodeId, kind, "operator/test")))

const incidents = (world: World, type: string) =>
  [...world.shared.records.incidents.values()].filter((incident) => incident.type === type)

describe("a node's test", () => {
  it.effect("of each model comes before any job, and looks like any assignment", () =>
    Effect.gen(function* () {
      const { world, agent } = yield* begin()
      assert.deepStrictEqual(
        agent.tests.map(({ endpoint }) => endpoint),
        ["chat", "embeddings"]
      )
      assert.strictEqual(world.presence(agent)?.lifecycle, "active")
      assert.strictEqual(world.shared.state.nodes.get(agent.nodeId)?.row.lifecycle, "active")
    })
  )

  const failures: ReadonlyArray<readonly [string, (held: Held, agent: MemoryAgent) => void]> = [
    ["fails", (held, agent) => agent.fail(held, "oom", "node")],
    ["declines", (held, agent) => agent.reject(held, "busy")],
    ["answers nothing", (held, agent) => agent.result(held)],
    ["signs with another key", (held, agent) => agent.finish(held, { wrongSignature: true })],
    ["claims another hash", (held, agent) => agent.finish(held, { wrongHash: true })],
    ["claims more pieces than came", (held, agent) => agent.finish(held, { lastSeq: 99 })],
    [
      "leaves a gap",
      (held, agent) => {
        held.said = 1
        agent.finish(held)
      }
    ],
    ["is silent", () => undefined]
  ]
  for (const [what, testOrders] of failures) {
    it.effect(`that it ${what} at keeps every job from it`, () =>
      Effect.gen(function* () {
        const { world, daemon, agent: good, caller } = yield* begin()
        const bad = yield* world.agent(daemon, { testOrders })
        good.orders = "answer"
        const rows = yield* Effect.forEach(Array.from({ length: 9 }), () => world.submit(daemon, caller))
        yield* world.pass(what === "is silent" ? 61_000 : 2000)
        assert.isTrue(rows.every(({ job }) => world.row(job.id).nodeId === good.nodeId && world.isOver(job.id)))
        assert.strictEqual(bad.assigned.length, 0)
        assert.notStrictEqual(world.presence(bad)?.lifecycle, "active")
        assert.isAbove(incidents(world, "test_failed").length, 0)
        bad.testOrders = "answer"
        yield* world.until("tested again", () => world.presence(bad)?.lifecycle === "active", 70_000)
      })
    )
  }

  it.effect("is not repeated for a node that passed it with the same models, and is for other ones", () =>
    Effect.gen(function* () {
      const { world, daemon, agent } = yield* begin()
      agent.die()
      yield* world.pass(100)
      yield* daemon.connect(agent)
      yield* world.until("active again", () => world.presence(agent)?.lifecycle === "active")
      assert.strictEqual(agent.tests.length, 2)
      const models = [{ name: "another", endpoints: ["chat" as const], canContinue: true, loaded: true }]
      const changed = yield* MemoryAgent.make({ identity: agent.identity, profile: { models } })
      agent.die()
      yield* world.pass(100)
      yield* daemon.connect(changed)
      yield* world.until("tested", () => changed.tests.length > 0)
      yield* world.untilActive(changed)
      assert.strictEqual(changed.tests.length, 1)
    })
  )
})

describe("a node that lies", () => {
  const lies: ReadonlyArray<readonly [string, (held: Held, agent: MemoryAgent) => void, string]> = [
    ["with another key's signature", (held, agent) => agent.finish(held, { wrongSignature: true }), "bad_signature"],
    ["about the hash", (held, agent) => agent.finish(held, { wrongHash: true }), "result_mismatch"]
  ]
  for (const [what, act, code] of lies) {
    it.effect(`${what} loses the attempt, and the job ends elsewhere with the true answer`, () =>
      Effect.gen(function* () {
        const { world, daemon, agent, job, held, answer } = yield* running()
        const honest = yield* world.agent(daemon)
        act(held, agent)
        yield* world.untilOver(job.id)
        const { state, nodeId, failures } = world.row(job.id)
        assert.deepStrictEqual([state, nodeId, failures], ["completed", honest.nodeId, 1])
        assert.strictEqual(world.record(job.id).output?.choices[0]?.text, answer)
        assert.strictEqual(world.record(job.id).routing.attempts[0]?.cause, code)
        yield* world.rest
        assert.strictEqual(incidents(world, code).length, 1)
      })
    )
  }

  it.effect("about its counts is paid by the server's own, and noticed", () =>
    Effect.gen(function* () {
      const { world, agent, job, held } = yield* running()
      agent.finish(held, { outputTokens: 1_000_000, promptTokens: 1_000_000 })
      yield* world.untilOver(job.id)
      const { usage, state } = world.row(job.id)
      assert.strictEqual(state, "completed")
      assert.deepStrictEqual(usage, { promptTokens: job.promptTokensMax, outputTokens: 12 })
      yield* world.rest
      assert.strictEqual(incidents(world, "token_count_mismatch").length, 1)
    })
  )

  it.effect("about how many pieces there are gains nothing but time", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, job, held } = yield* running({ settings: { executionMs: 3000 } })
      yield* world.agent(daemon)
      agent.say(held, 2)
      agent.result(held, { lastSeq: 50 })
      yield* world.untilOver(job.id)
      assert.strictEqual(world.row(job.id).state, "completed")
      assert.notStrictEqual(world.row(job.id).nodeId, agent.nodeId)
      assert.strictEqual(world.record(job.id).routing.attempts[0]?.cause, "pieces_missing")
      assert.isBelow(agent.heard.filter(({ _tag }) => _tag === "Resume").length, 50)
    })
  )

  it.effect("speaks of attempts that are not its own: no job changes, and it is told to forget them", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, job, held } = yield* running()
      const thief = yield* world.agent(daemon, { orders: "hold" })
      const { row } = { row: world.row(job.id) }
      const foreign = { jobId: job.id, attempt: 1, epoch: 1 }
      thief.send({ _tag: "Pieces", ...foreign, pieces: [{ seq: 1, choice: 0, text: "stolen" }] })
      thief.send({ _tag: "Fail", ...foreign, code: "oom", fault: "job" })
      thief.send({ _tag: "Accept", ...foreign, jobId: JobId.make("job_nothing") })
      thief.finish({ ...held, script: [], said: 0 })
      yield* world.rest
      assert.deepStrictEqual(world.row(job.id), row)
      assert.isAbove(thief.heard.filter((frame) => frame._tag === "Settled" && frame.status === "stale").length, 0)
      assert.isAbove(incidents(world, "foreign_result").length, 0)
      agent.finish(held)
      yield* world.untilOver(job.id)
      assert.strictEqual(world.row(job.id).nodeId, agent.nodeId)
    })
  )

  it.effect("repeats pieces, or sends them ahead of their turn: each is taken once and in order", () =>
    Effect.gen(function* () {
      const { world, agent, job, held, answer } = yield* running()
      const ids = { jobId: job.id, attempt: 1, epoch: 1 }
      const pieces = held.script
      agent.send({ _tag: "Pieces", ...ids, pieces: pieces.slice(0, 4) })
      agent.send({ _tag: "Pieces", ...ids, pieces: pieces.slice(2, 6) })
      agent.send({ _tag: "Pieces", ...ids, pieces: pieces.slice(8, 10) })
      held.said = 10
      yield* world.rest
      agent.finish(held)
      yield* world.untilOver(job.id)
      assert.strictEqual(world.record(job.id).output?.choices[0]?.text, answer)
      // One actor did it all: a crash would have put the pieces right as well.
      assert.deepStrictEqual([world.row(job.id).epoch, world.row(job.id).crashes], [1, 0])
    })
  )
})

describe("a node that is held back", () => {
  it.effect("by a pause finishes what runs and gets nothing new, until it is lifted", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, caller, job, held } = yield* running()
      yield* restrict(daemon, agent, "paused")
      yield* world.rest
      const other = yield* world.agent(daemon, { orders: "hold", profile: { slots: 1 } })
      const rows = [yield* world.submit(daemon, caller), yield* world.submit(daemon, caller)]
      yield* world.pass(500)
      agent.finish(held)
      yield* world.untilOver(job.id)
      assert.strictEqual(world.row(job.id).nodeId, agent.nodeId)
      assert.deepStrictEqual([agent.assigned.length, other.assigned.length], [1, 1])
      agent.orders = "answer"
      yield* lift(daemon, agent, "paused")
      other.finish(other.held.values().next().value!)
      other.orders = "answer"
      yield* world.until("all over", () => rows.every((row) => world.isOver(row.job.id)))
    })
  )

  it.effect("by a freeze loses what runs: the job goes on elsewhere, nobody at fault", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, job, held, answer } = yield* running()
      agent.say(held, 5)
      yield* world.rest
      const other = yield* world.agent(daemon)
      yield* restrict(daemon, agent, "frozen")
      yield* world.untilOver(job.id)
      const { state, nodeId, failures } = world.row(job.id)
      assert.deepStrictEqual([state, nodeId, failures], ["completed", other.nodeId, 0])
      assert.strictEqual(world.record(job.id).output?.choices[0]?.text, answer)
      assert.strictEqual(agent.held.size, 0)
    })
  )

  it.effect("by its faults cools down, longer each time, and comes back by itself", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, caller } = yield* begin({
        settings: { cooldownFaults: 2, cooldownMs: 5000, failuresMax: 1, backoffMs: 1 }
      })
      agent.orders = (held, one) => one.fail(held, `code ${one.assigned.length}`, "node")
      for (let count = 0; count < 2; count++) {
        const { job } = yield* world.submit(daemon, caller)
        yield* world.untilOver(job.id)
      }
      yield* world.until("cools down", () => world.presence(agent)?.restrictions.includes("cooldown") === true)
      assert.strictEqual(incidents(world, "node_cooldown").length, 1)
      yield* world.pass(4000)
      assert.include(world.presence(agent)?.restrictions ?? [], "cooldown")
      yield* world.until("is back", () => world.presence(agent)?.restrictions.length === 0, 2000)
      agent.orders = "answer"
      const { job } = yield* world.submit(daemon, caller)
      yield* world.untilOver(job.id)
      assert.strictEqual(world.row(job.id).state, "completed")
    })
  )

  it.effect("D53: hears what holds it back, why and until when, but not of a shadow ban, nor what people wrote", () =>
    Effect.gen(function* () {
      const { world, daemon, agent } = yield* begin()
      const told = Effect.gen(function* () {
        agent.beat()
        yield* world.rest
        return agent.heard.findLast((frame) => frame._tag === "HeartbeatSeen")?.restrictions
      })
      assert.isUndefined(yield* told)
      yield* restrict(daemon, agent, "shadow_banned")
      assert.isUndefined(yield* told)
      yield* restrict(daemon, agent, "paused")
      yield* daemon.use(
        Effect.gen(function* () {
          const since = yield* Clock.currentTimeMillis
          const rest = { since, until: since + 60_000, by: "sweeper/detector", reason: "detector: lying_node" }
          yield* (yield* NodeSupervisor).restrict(agent.nodeId, { kind: "quarantined", ...rest })
        })
      )
      const heard = (yield* told)?.map(({ kind, reason, until }) => [kind, reason, until !== null])
      assert.deepStrictEqual(heard?.toSorted(), [
        ["paused", null, false],
        ["quarantined", "detector: lying_node", true]
      ])
    })
  )

  it.effect("stays so when it comes back, and when all that is live was lost", () =>
    Effect.gen(function* () {
      const { world, daemon, agent } = yield* begin()
      yield* restrict(daemon, agent, "quarantined")
      agent.die()
      yield* world.pass(100)
      yield* world.shared.live.wipe
      yield* daemon.connect(agent)
      yield* world.until("announced", () => world.presence(agent) !== null)
      assert.deepStrictEqual(world.presence(agent)?.restrictions, ["quarantined"])
    })
  )

  it.effect("by a drain finishes what runs and takes nothing new", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, caller, job, held } = yield* running()
      const other = yield* world.agent(daemon)
      yield* daemon.use(Effect.flatMap(NodeSupervisor, (nodes) => nodes.drain(agent.nodeId)))
      yield* world.rest
      assert.isTrue(agent.heard.some(({ _tag }) => _tag === "Drain"))
      const { job: next } = yield* world.submit(daemon, caller)
      yield* world.untilOver(next.id)
      assert.strictEqual(world.row(next.id).nodeId, other.nodeId)
      agent.finish(held)
      yield* world.untilOver(job.id)
      assert.strictEqual(world.row(job.id).nodeId, agent.nodeId)
    })
  )
})

describe("a node's session", () => {
  it.effect("is fenced by a newer one of the same node, and attempts go over to it", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, job, held, answer } = yield* running()
      agent.say(held, 4)
      yield* world.rest
      yield* daemon.connect(agent)
      yield* world.until("registered again", () => agent.registrations === 2)
      yield* world.until("the older one was closed", () => agent.closes.some(({ code }) => code === CLOSE.superseded))
      agent.finish(held)
      yield* world.untilOver(job.id)
      assert.strictEqual(world.record(job.id).output?.choices[0]?.text, answer)
      assert.strictEqual(world.row(job.id).attempt, 1)
    })
  )

  it.effect("that falls silent is given up, and its jobs move on", () =>
    Effect.gen(function* () {
      const { world, daemon, job, agent, held } = yield* running({ settings: { presenceMs: 3000, heartbeatMs: 1000 } })
      const other = yield* world.agent(daemon)
      agent.say(held, 2)
      // The path breaks so that neither side hears of it.
      agent.beat = () => undefined
      yield* world.untilOver(job.id, 20_000)
      assert.strictEqual(world.row(job.id).nodeId, other.nodeId)
      assert.strictEqual(world.presence(agent), null)
    })
  )

  it.effect("outlives a crash of its actor: the agent comes again and the job goes on where it was", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, job, held, answer } = yield* running()
      agent.say(held, 4)
      yield* world.rest
      yield* daemon.use(Effect.flatMap(Root, (root) => root.restartChild("nodes")))
      yield* world.until("hung up", () => agent.closes.length === 1)
      assert.strictEqual(agent.closes[0]?.code, CLOSE.draining)
      yield* daemon.connect(agent)
      yield* world.until("registered again", () => agent.registrations === 2)
      agent.finish(held)
      yield* world.untilOver(job.id)
      assert.strictEqual(world.record(job.id).output?.choices[0]?.text, answer)
      assert.strictEqual(world.row(job.id).attempt, 1)
      assert.strictEqual(nodeAddress(agent.nodeId), `node/${agent.nodeId}`)
    })
  )
})
