import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { fromPrivateKey } from "../../src/agent/Identity.ts"
import { seeded } from "../../src/agent/SimulatedAnswer.ts"
import { CreditLedger } from "../../src/layers/CreditLedger.ts"
import { isLegal } from "../../src/schemas/JobState.ts"
import type { JobRequest } from "../../src/actors/job/Admission.ts"
import type { JobId } from "../../src/schemas/Ids.ts"
import type { Caller } from "../../src/schemas/Namespace.ts"
import type { MemoryAgent, Orders } from "../support/MemoryAgent.ts"
import { World, type WorldDaemon } from "../support/World.ts"
import { aCompletion, anEmbedding, answersTo, aRequest } from "../support/worldFactories.ts"
import { type Reading, textOf } from "../support/WorldReader.ts"

/** Worlds of trouble, each from its seed; a failure names the seed that repeats it. */
const SEEDS = Array.from({ length: 24 }, (_, at) => at + 1)
const STEPS = 70
const CONTRACTS = [
  "JobStore",
  "JobRecords",
  "Traces",
  "Logs",
  "Leases",
  "LiveNodes",
  "NodeRegistry",
  "Outbox",
  "Incidents"
]

interface Trouble {
  readonly world: World
  readonly draw: () => number
  daemon: WorldDaemon
  readonly agents: Array<MemoryAgent>
  readonly caller: Caller
  readonly jobs: Map<JobId, JobRequest>
  readonly readings: Map<JobId, Reading>
}

const pickOf = <A>({ draw }: Trouble, all: ReadonlyArray<A>): A => all[Math.floor(draw() * all.length)] as A

const begin = (seed: number) =>
  Effect.gen(function* () {
    const world = yield* World.make({ settings: { failuresMax: 10, crashesMax: 100, cooldownFaults: 1000 } })
    const daemon = yield* world.daemon({ lanePrefetch: 4 })
    const agents: Array<MemoryAgent> = []
    for (let count = 1; count <= 3; count++) {
      const identity = fromPrivateKey(new Uint8Array(32).fill(count))
      agents.push(yield* world.agent(daemon, { identity, profile: { slots: 2 } }))
    }
    const caller = yield* world.caller(daemon, 100_000_000)
    const trouble: Trouble = {
      world,
      draw: seeded(seed),
      daemon,
      agents,
      caller,
      jobs: new Map(),
      readings: new Map()
    }
    return trouble
  })

const submit = (trouble: Trouble) =>
  Effect.gen(function* () {
    const { world, daemon, caller } = trouble
    const make = pickOf(trouble, [aRequest, aRequest, aCompletion, () => anEmbedding(1)])
    const request = make({ deadlineMs: 3_600_000 } as never)
    const row = yield* world.submit(daemon, caller, request).pipe(Effect.catchCause(() => Effect.succeed(null)))
    if (row === null) return
    trouble.jobs.set(row.job.id, request)
    if (trouble.draw() < 0.5) trouble.readings.set(row.job.id, yield* world.read(daemon, row.job.id))
  })

const agentDoes = (trouble: Trouble) =>
  Effect.gen(function* () {
    const agent = pickOf(trouble, trouble.agents)
    const held = pickOf(trouble, [...agent.held.values()])
    const what = pickOf(trouble, ["orders", "say", "say", "finish", "fail", "reject", "die", "die", "back", "back"])
    if (what === "orders") agent.orders = pickOf<Orders>(trouble, ["answer", "answer", "hold", "reject", "mute"])
    if (what === "die") agent.die()
    if (what === "back" && !agent.isConnected) {
      if (trouble.draw() < 0.3) agent.forget()
      yield* trouble.daemon.connect(agent)
    }
    if (held === undefined || held.result !== null) return
    if (what === "say") agent.say(held, 1 + Math.floor(trouble.draw() * 5))
    if (what === "finish") agent.finish(held)
    if (what === "fail") agent.fail(held, `code ${agent.assigned.length}`, "node")
    if (what === "reject" && held.said === 0) agent.reject(held, "busy")
  })

const misfortune = (trouble: Trouble) =>
  Effect.gen(function* () {
    const { world } = trouble
    const what = pickOf(trouble, [
      "crash",
      "stop",
      "outage",
      "outage",
      "outage",
      "broker",
      "wipe",
      "live",
      "cancel",
      "heal"
    ])
    switch (what) {
      case "crash":
      case "stop":
        yield* what === "crash" ? trouble.daemon.crash : trouble.daemon.stop
        trouble.daemon = yield* world.daemon({ lanePrefetch: 4 })
        return
      case "outage":
        return trouble.daemon.faults.fail(pickOf(trouble, CONTRACTS))
      case "broker":
        return yield* world.shared.broker.outage(trouble.draw() < 0.5)
      case "wipe":
        return yield* world.shared.broker.wipe
      case "live":
        return yield* world.shared.live.wipe
      case "cancel": {
        const id = pickOf(trouble, [...trouble.jobs.keys()])
        if (id !== undefined) yield* Effect.forkIn(Effect.exit(world.cancel(trouble.daemon, id)), world.scope)
        return
      }
      case "heal":
        return trouble.daemon.faults.heal()
    }
  })

/** Peace: all that is out comes back, and every node answers what it is given. */
const heal = (trouble: Trouble) =>
  Effect.gen(function* () {
    const { world, agents } = trouble
    trouble.daemon.faults.heal()
    yield* world.shared.broker.outage(false)
    for (const agent of agents) agent.orders = "answer"
    for (let waited = 0; waited < 180_000; waited += 500) {
      for (const agent of agents) {
        if (!agent.isConnected) yield* trouble.daemon.connect(agent)
        for (const held of agent.held.values()) if (held.result === null && agent.isConnected) agent.finish(held)
      }
      yield* world.pass(500)
      if ([...trouble.jobs.keys()].every((id) => world.isOver(id))) return
    }
  })

const endsWell = (trouble: Trouble, where: string) =>
  Effect.gen(function* () {
    const { world, daemon, jobs, readings, agents } = trouble
    for (const [id, request] of jobs) {
      const stored = world.shared.state.jobs.get(id)!
      assert.isTrue(world.isOver(id), `${id} is ${stored.row.state} ${where}`)
      assert.strictEqual(stored.events.filter(({ kind }) => kind === "finished").length, 1, where)
      stored.events.forEach(({ seq, from, to }, at) => {
        assert.strictEqual(seq, at + 1, where)
        if (from !== null) assert.isTrue(isLegal(from, to), where)
      })
      assert.include(["completed", "cancelled"], stored.row.state, `${id} ${stored.row.errorCode} ${where}`)
      if (stored.row.state !== "completed") continue
      const record = world.record(id)
      // Only a job that had to settle without its record, and then lost its writer and its traces, may say that it is lost.
      if (record.truncatedReason === "record_lost") continue
      assert.strictEqual(record.completeness, "complete", `${id} ${where}`)
      const texts = record.output?.choices.map(({ text }) => text)
      if (request.endpoint !== "embeddings") assert.deepStrictEqual(texts, answersTo(request), `${id} ${where}`)
      const reading = readings.get(id)
      if (reading !== undefined && request.endpoint !== "embeddings") {
        assert.isTrue(answersTo(request)[0]?.startsWith(textOf(reading)), `${id} ${where}`)
      }
    }
    assert.deepStrictEqual(yield* daemon.use(Effect.flatMap(CreditLedger, ({ audit }) => audit)), [], where)
    for (const agent of agents) {
      assert.strictEqual(world.presence(agent)?.leased, 0, `slots ${where}`)
      assert.strictEqual(agent.held.size, 0, `kept attempts ${where}`)
    }
    assert.strictEqual(world.shared.state.outbox.size, 0, where)
  })

describe("whatever goes wrong", () => {
  for (const seed of SEEDS) {
    it.effect(`every job ends once, with its whole answer and its credits right, in the world of seed ${seed}`, () =>
      Effect.gen(function* () {
        const trouble = yield* begin(seed)
        for (let step = 0; step < STEPS; step++) {
          const luck = trouble.draw()
          if (luck < 0.25) yield* submit(trouble)
          else if (luck < 0.75) yield* agentDoes(trouble)
          else if (luck < 0.88) yield* misfortune(trouble)
          yield* trouble.world.pass(Math.floor(trouble.draw() * 400))
        }
        yield* heal(trouble)
        yield* trouble.world.pass(140_000)
        // A record whose writer died after the settlement is made again only when it is old enough.
        const isOpen = (id: JobId) => trouble.world.record(id).completeness === "open"
        if ([...trouble.jobs.keys()].some(isOpen)) yield* trouble.world.pass(11 * 60_000)
        yield* endsWell(trouble, `in the world of seed ${seed}`)
      }).pipe(Random.withSeed(seed))
    )
  }
})
