/** Blind trials, scores, quarantine and re-test over the whole world under a test clock, with the real sweepers and agents that lie. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { NodeSupervisor } from "../../../src/actors/node/NodeSupervisor.ts"
import { SweepSupervisor } from "../../../src/actors/sweep/SweepSupervisor.ts"
import { Audit } from "../../../src/layers/Audit.ts"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { NodeRegistry } from "../../../src/layers/NodeRegistry.ts"
import { systemNamespaceId } from "../../../src/schemas/Namespace.ts"
import type { MemoryAgent } from "../../support/MemoryAgent.ts"
import { aRequest, surely } from "../../support/worldFactories.ts"
import { World, type WorldDaemon } from "../../support/World.ts"
import { addSet, passing, saying, standingOf, trialsOf } from "./QualityWorld.ts"

const often = { blindPerHour: 3600, retestPerHour: 3600, quarantineSamples: 5 } as const
const SYSTEM = systemNamespaceId("testnet")

const restrictionsOf = (daemon: WorldDaemon, agent: MemoryAgent) =>
  Effect.gen(function* () {
    const registry = yield* NodeRegistry
    return (yield* registry.get(agent.nodeId, yield* Clock.currentTimeMillis))?.restrictions ?? []
  }).pipe(daemon.use, Effect.orDie)

const isQuarantined = (daemon: WorldDaemon, agent: MemoryAgent) =>
  Effect.map(restrictionsOf(daemon, agent), (found) => found.some(({ kind }) => kind === "quarantined"))

const ended = (daemon: WorldDaemon, agent: MemoryAgent, count = 1) =>
  Effect.map(
    trialsOf(daemon, agent),
    (trials) => trials.filter(({ state }) => state === "passed" || state === "failed").length >= count
  )

const auditOf = (daemon: WorldDaemon) =>
  daemon.use(Effect.flatMap(Audit, (audit) => audit.list(0, 1000))).pipe(Effect.orDie)

describe("quality", () => {
  it.effect(
    "S49: a blind job's expectation, answer, score and node are stored, and no customer's key reads its job",
    () =>
      Effect.gen(function* () {
        const world = yield* World.make({ settings: often })
        const daemon = yield* world.daemon()
        const agent = yield* world.agent(daemon)
        const set = yield* addSet(daemon)
        const customer = yield* world.caller(daemon)
        yield* passing(world, "a trial has ended", ended(daemon, agent))

        const trial = (yield* trialsOf(daemon, agent)).find(({ endedAt }) => endedAt !== null)!
        assert.strictEqual(trial.state, "passed")
        assert.strictEqual(trial.score, 1)
        // S50: by set and version.
        assert.deepStrictEqual([trial.setId, trial.setVersion], [set.id, 1])
        const asked = set.prompts.find(({ id }) => id === trial.promptId)!
        assert.deepStrictEqual(trial.expect, asked.expect)
        assert.isTrue(asked.expect[0]?.kind === "contains" && trial.answer!.includes(asked.expect[0].all[0]!))
        assert.match(trial.answerSha256!, /^[0-9a-f]{64}$/)
        assert.deepStrictEqual(trial.checks, [{ check: "contains", ok: true }])

        const read = (namespaceId: typeof SYSTEM) =>
          Effect.flatMap(JobRecords, (records) => records.get({ _tag: "Namespace", namespaceId }, trial.jobId!))
        assert.isNull(yield* daemon.use(read(customer.namespace.id)))
        assert.isNotNull(yield* daemon.use(read(SYSTEM)))
        // Paid like every other job, from a grant that stands in the audit.
        assert.isAbove(Number(world.row(trial.jobId!).charged), 0)
        const balance = yield* daemon.use(Effect.flatMap(CreditLedger, (ledger) => ledger.balance(SYSTEM)))
        assert.isAbove(Number(balance.spent), 0)
        assert.deepStrictEqual(yield* daemon.use(Effect.flatMap(CreditLedger, ({ audit }) => audit)), [])
        const made = (yield* auditOf(daemon)).filter(({ subject }) => subject === `namespace/${SYSTEM}`)
        assert.deepStrictEqual(
          made.map(({ action }) => action),
          ["namespace.create", "credits.grant"]
        )
      })
  )

  it.effect("nothing is asked while no set is there or no rate is set", () =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: { blindPerHour: 0 } })
      const daemon = yield* world.daemon()
      const agent = yield* world.agent(daemon)
      yield* addSet(daemon)
      yield* world.pass(120_000)
      assert.deepStrictEqual(agent.assigned, [])

      const other = yield* World.make({ settings: often })
      const there = yield* other.daemon()
      const idle = yield* other.agent(there)
      yield* other.pass(120_000)
      assert.deepStrictEqual(idle.assigned, [])
    })
  )

  it.effect("D216, C95: a node that answers wrong falls below the rule after enough samples, and is quarantined", () =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: often })
      const daemon = yield* world.daemon()
      const liar = yield* world.agent(daemon, { orders: saying("I do not know") })
      const good = yield* world.agent(daemon)
      yield* addSet(daemon)
      yield* passing(world, "the liar is quarantined", isQuarantined(daemon, liar))

      // Never by a single answer.
      const failed = (yield* trialsOf(daemon, liar, "blind")).filter(({ state }) => state === "failed")
      assert.isAtLeast(failed.length, 5)
      assert.isFalse(yield* isQuarantined(daemon, good))
      const score = (yield* standingOf(daemon, liar))!.score!
      assert.isBelow(score.trials!.high, 0.5)
      assert.strictEqual(score.trials!.rate, 0)
      const [restriction] = yield* restrictionsOf(daemon, liar)
      assert.match(restriction!.reason, /^trials of sim-small: at most [\d.]+ % of [\d.]+ samples, 50\.0 % are needed$/)
      const row = (yield* auditOf(daemon)).find(({ action }) => action === "node.quarantined")
      assert.strictEqual(row?.subject, `node/${liar.nodeId}`)
      const incidents = [...world.shared.records.incidents.values()].filter(({ type }) => type === "node_quarantined")
      assert.deepStrictEqual(
        incidents.map(({ nodeId }) => nodeId),
        [liar.nodeId]
      )

      // Customers' jobs go to the other one, whatever it is asked itself meanwhile.
      yield* world.pass(1_000)
      const customer = yield* world.caller(daemon)
      const before = liar.assigned.length
      const rows = yield* Effect.forEach([1, 2, 3, 4], () => world.submit(daemon, customer))
      yield* world.until("they are over", () => rows.every(({ job }) => world.isOver(job.id)))
      const theirs = new Set(rows.map(({ job }) => job.id as string))
      assert.isTrue(liar.assigned.slice(before).every(({ jobId }) => !theirs.has(jobId)))
    })
  )

  it.effect("D53: who answers right again passes its re-tests, and is let back in with nothing held against it", () =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: { ...often, retestPasses: 3 } })
      const daemon = yield* world.daemon()
      const agent = yield* world.agent(daemon, { orders: saying("I do not know") })
      yield* addSet(daemon)
      yield* passing(world, "it is quarantined", isQuarantined(daemon, agent))
      // Wrong as before: it stays where it is.
      yield* passing(
        world,
        "it failed re-tests",
        Effect.map(
          trialsOf(daemon, agent, "retest"),
          (found) => found.filter(({ state }) => state === "failed").length >= 3
        )
      )
      assert.isTrue(yield* isQuarantined(daemon, agent))
      agent.orders = "answer"
      yield* passing(
        world,
        "it is let in",
        Effect.map(isQuarantined(daemon, agent), (held) => !held)
      )

      const retests = yield* trialsOf(daemon, agent, "retest")
      assert.deepStrictEqual(
        retests
          .filter(({ endedAt }) => endedAt !== null)
          .slice(0, 3)
          .map(({ state }) => state),
        ["passed", "passed", "passed"]
      )
      const standing = yield* standingOf(daemon, agent)
      assert.notStrictEqual(standing?.score?.trials?.rate, 0)
      const actions = (yield* auditOf(daemon)).map(({ action }) => action)
      assert.deepStrictEqual(actions.slice(-2), ["node.quarantined", "node.reinstate"])

      const customer = yield* world.caller(daemon)
      const row = yield* world.submit(daemon, customer)
      yield* world.until("it is over", () => world.isOver(row.job.id))
      assert.strictEqual(world.row(row.job.id).nodeId, agent.nodeId)
    })
  )

  it.effect("what an operator held back no re-test lets in, and nobody asks it anything", () =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: often })
      const daemon = yield* world.daemon()
      const agent = yield* world.agent(daemon)
      yield* addSet(daemon)
      const at = yield* Clock.currentTimeMillis
      const held = { kind: "quarantined", reason: "seen", by: "operator/test", since: at, until: null } as const
      yield* daemon.use(Effect.flatMap(NodeSupervisor, (nodes) => nodes.restrict(agent.nodeId, held)))
      yield* world.pass(300_000)

      assert.isTrue(yield* isQuarantined(daemon, agent))
      assert.deepStrictEqual(yield* trialsOf(daemon, agent), [])
      assert.deepStrictEqual(agent.assigned, [])
    })
  )

  it.effect("a node of another daemon than the one that leads is asked, held back and let in as well", () =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: { ...often, retestPasses: 2 } })
      const leader = yield* world.daemon()
      yield* world.pass(1_000)
      const other = yield* world.daemon()
      const agent = yield* world.agent(other, { orders: saying("I do not know") })
      yield* addSet(leader)
      yield* passing(world, "it is quarantined", isQuarantined(leader, agent))
      yield* world.pass(1_000)
      assert.deepStrictEqual(world.presence(agent)?.restrictions, ["quarantined"])
      agent.orders = "answer"
      yield* passing(
        world,
        "it is let in",
        Effect.map(isQuarantined(leader, agent), (held) => !held)
      )
      yield* world.pass(1_000)
      assert.deepStrictEqual(world.presence(agent)?.restrictions, [])
      const sweepers = yield* Effect.orDie(leader.use(Effect.flatMap(SweepSupervisor, ({ list }) => list)))
      assert.isTrue(sweepers.find(({ name }) => name === "blind")?.leads)
    })
  )

  it.effect("a leader that dies leaves its trials to the next one, and each is judged and counted once", () =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: often })
      const first = yield* world.daemon()
      const agent = yield* world.agent(first, { orders: "hold" })
      yield* addSet(first)
      yield* passing(
        world,
        "trials run",
        Effect.map(trialsOf(first, agent), (trials) => trials.some(({ state }) => state === "running"))
      )
      yield* first.crash
      const second = yield* world.daemon()
      agent.orders = "answer"
      agent.forget()
      yield* second.connect(agent)
      yield* passing(world, "a trial has ended", ended(second, agent, 3))

      const trials = yield* trialsOf(second, agent)
      const counted = trials.filter(({ state }) => state === "passed" || state === "failed")
      const evidence = [...world.shared.records.evidence.values()].filter(({ source }) => source === "trials")
      assert.sameMembers(
        evidence.map(({ id }) => id),
        counted.map(({ id }) => id as string)
      )
      const jobs = trials.flatMap(({ jobId }) => jobId ?? [])
      assert.strictEqual(new Set(jobs).size, jobs.length)
      const ofSystem = [...world.shared.state.jobs.values()].filter(({ row }) => row.job.namespaceId === SYSTEM)
      assert.sameMembers(
        ofSystem.map(({ row }) => row.job.id),
        jobs
      )
    })
  )

  it.effect("D217: answers that are not the JSON that was asked for count against the node, without any text", () =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: { quarantineSamples: 5 } })
      const daemon = yield* world.daemon()
      const liar = yield* world.agent(daemon, { orders: saying("a secret that is no JSON") })
      const customer = yield* world.caller(daemon)
      const body = {
        model: "sim-small",
        messages: [{ role: "user", content: "as JSON" }],
        max_tokens: 12,
        response_format: { type: "json_object" }
      }
      for (let asked = 0; asked < 8; asked++) {
        const row = yield* world.submit(daemon, customer, aRequest({ body, request: body }))
        yield* world.until("it is over", () => world.isOver(row.job.id))
      }
      yield* passing(world, "it is quarantined", isQuarantined(daemon, liar))

      const score = (yield* standingOf(daemon, liar))!.score!
      assert.isNull(score.trials)
      assert.deepStrictEqual(score.faults, { structure: 8 })
      assert.notInclude(JSON.stringify([...world.shared.records.evidence.values()]), "secret")
    })
  )

  it.effect(
    "S65, D217: answers that their node is not sure of count against it; those of which it says nothing do not",
    () =>
      Effect.gen(function* () {
        const world = yield* World.make()
        const daemon = yield* world.daemon()
        const agent = yield* world.agent(daemon)
        const customer = yield* world.caller(daemon)
        for (const orders of ["answer", surely(-3), surely(-0.1), surely(-3)] as const) {
          agent.orders = orders
          const row = yield* world.submit(daemon, customer)
          yield* world.until("it is over", () => world.isOver(row.job.id))
        }
        yield* world.pass(90_000)
        const score = (yield* standingOf(daemon, agent))!.score!
        assert.deepStrictEqual(score.faults, { confidence: 2 })
        assert.approximately(score.checks!.samples, 4, 0.01)
      })
  )
})
