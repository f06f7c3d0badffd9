/** Receipts of jobs as they really end: with one node, with several, without any; made once, and the same for whoever asks. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ReceiptDesk } from "../../src/actors/ReceiptDesk.ts"
import { SweepSupervisor } from "../../src/actors/sweep/SweepSupervisor.ts"
import { Archive } from "../../src/layers/Archive.ts"
import { JobStore } from "../../src/layers/JobStore.ts"
import type { JobId } from "../../src/schemas/Ids.ts"
import { defaultRules } from "../../src/schemas/Namespace.ts"
import type { Receipt } from "../../src/schemas/Receipt.ts"
import type { AgentOptions, Held, MemoryAgent } from "../support/MemoryAgent.ts"
import { bytesOf, faultsOf, saidOf, withoutNodes } from "../support/receipts.ts"
import { World, type WorldDaemon } from "../support/World.ts"

const SCOPE = { _tag: "Operator", by: "tester" } as const

const fileOf = (daemon: WorldDaemon, jobId: JobId) =>
  daemon.use(
    Effect.gen(function* () {
      const row = yield* (yield* JobStore).get(jobId)
      return yield* (yield* ReceiptDesk).file(SCOPE, row!)
    })
  )

const begin = Effect.fnUntraced(function* (...orders: ReadonlyArray<AgentOptions>) {
  const world = yield* World.make()
  const daemon = yield* world.daemon()
  const agents = yield* Effect.forEach(orders, (each) => world.agent(daemon, each))
  return { world, daemon, agents, caller: yield* world.caller(daemon) }
})

describe("the receipt of a job", () => {
  it.effect("S56: that completed holds the node's own signature, and is the same bytes from every daemon", () =>
    Effect.gen(function* () {
      const { world, daemon, agents, caller } = yield* begin({})
      const { job } = yield* world.submit(daemon, caller)
      yield* world.untilOver(job.id)
      yield* world.pass(50)
      const file = yield* fileOf(daemon, job.id)
      assert.deepStrictEqual(faultsOf(bytesOf(file)), [])
      assert.include(saidOf(file, "identity"), agents[0]!.nodeId)
      const { result, usage, output, outcome, request } = file.parts
      assert.deepInclude(result!.claim, { jobId: job.id, model: job.model, firstSeq: 1, attempt: 1 })
      assert.deepStrictEqual([outcome.state, outcome.record, usage.outputTokens], ["completed", "complete", 12])
      assert.isTrue(request.sha256 !== null && output.sha256 !== null)
      assert.isNull(file.inclusion)

      const other = yield* world.daemon()
      assert.isTrue(bytesOf(yield* fileOf(other, job.id)).equals(bytesOf(file)))
    })
  )

  it.effect("D21: that a customer gets names no node and no daemon, and holds all the same", () =>
    Effect.gen(function* () {
      const { world, daemon, agents, caller } = yield* begin({})
      const { job } = yield* world.submit(daemon, caller)
      yield* world.untilOver(job.id)
      yield* world.pass(50)
      const text = bytesOf(withoutNodes(yield* fileOf(daemon, job.id)))
      assert.deepStrictEqual(faultsOf(text), [])
      assert.notInclude(text.toString(), agents[0]!.nodeId)
      assert.notMatch(text.toString(), /0x[0-9a-f]{40}|daemon_|ns_|key_/)
    })
  )

  it.effect("C88: of which a node signed another request goes to another node, whose signature it holds", () =>
    Effect.gen(function* () {
      const { world, daemon, agents, caller } = yield* begin({
        orders: (held: Held, agent: MemoryAgent) => {
          agent.accept(held)
          agent.finish(held, { wrongRequest: true })
        }
      })
      const { job } = yield* world.submit(daemon, caller)
      yield* world.until("refused", () => agents[0]!.assigned.length > 0)
      const honest = yield* world.agent(daemon)
      yield* world.untilOver(job.id)
      yield* world.pass(50)
      const file = yield* fileOf(daemon, job.id)
      assert.deepStrictEqual(faultsOf(bytesOf(file)), [])
      assert.strictEqual(file.parts.attempts[0]!.cause, "result_mismatch")
      assert.strictEqual(file.parts.identity?.session?.claim.nodeId, honest.nodeId)
      assert.isAbove(file.parts.attempts.length, 1)
    })
  )

  it.effect("that went on at another node says which pieces the last one signed", () =>
    Effect.gen(function* () {
      const { world, daemon, agents, caller } = yield* begin({
        orders: (held: Held, agent: MemoryAgent) => {
          agent.accept(held)
          agent.say(held, 5)
        }
      })
      const { job } = yield* world.submit(daemon, caller)
      yield* world.until("half said", () => (agents[0]!.assigned.length === 1 && agents[0]!.of(job.id).said) === 5)
      yield* world.pass(100)
      yield* world.agent(daemon)
      agents[0]!.die()
      yield* world.untilOver(job.id)
      yield* world.pass(50)
      const file = yield* fileOf(daemon, job.id)
      assert.deepStrictEqual(faultsOf(bytesOf(file)), [])
      assert.deepStrictEqual(
        file.parts.attempts.map(({ node, firstSeq }) => [node, firstSeq]),
        [
          ["node-1", 1],
          ["node-2", 6]
        ]
      )
      assert.strictEqual(file.parts.result!.claim.firstSeq, 6)
    })
  )

  it.effect("that was cancelled has no node's signature, and says what was charged", () =>
    Effect.gen(function* () {
      const { world, daemon, caller } = yield* begin({ orders: "hold" })
      const { job } = yield* world.submit(daemon, caller)
      yield* world.pass(200)
      const early = yield* Effect.flip(fileOf(daemon, job.id))
      assert.deepInclude({ ...early }, { code: "conflict" })
      yield* world.cancel(daemon, job.id)
      yield* world.untilOver(job.id)
      yield* world.pass(50)
      const file = yield* fileOf(daemon, job.id)
      assert.deepStrictEqual(faultsOf(bytesOf(file)), [])
      assert.deepStrictEqual([file.parts.result, file.parts.outcome.state], [null, "cancelled"])
      assert.strictEqual(file.parts.usage.charged, "0")
      assert.strictEqual(saidOf(file, "result"), "no node signed a result")
    })
  )

  it.effect("leaves with its record, also when nobody had asked for it, and holds in the archive's line", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      yield* world.agent(daemon)
      const caller = yield* world.caller(daemon, 100_000, { rules: { ...defaultRules, retentionDays: 0 } })
      const { job } = yield* world.submit(daemon, caller)
      yield* world.untilOver(job.id)
      yield* world.pass(50)
      const early = yield* fileOf(daemon, job.id)
      const other = (yield* world.submit(daemon, caller)).job.id
      yield* world.untilOver(other)
      yield* world.pass(50)
      yield* daemon.use(Effect.flatMap(SweepSupervisor, ({ sweep }) => sweep("retention", false)))
      const lines = yield* daemon.use(
        Effect.gen(function* () {
          const archive = yield* Archive
          const segments = yield* archive.list
          return (yield* Effect.forEach(segments, ({ id }) => archive.lines(id))).flat()
        })
      )
      const kept = lines.map((line) => JSON.parse(line).record.receipt as Receipt)
      assert.deepStrictEqual(kept.map(({ parts }) => parts.job.id).toSorted(), [job.id, other].toSorted())
      for (const receipt of kept) assert.deepStrictEqual(faultsOf(bytesOf({ ...receipt, inclusion: null })), [])
      assert.strictEqual(kept.find(({ parts }) => parts.job.id === job.id)?.hash, early.hash)
      assert.deepInclude({ ...(yield* Effect.flip(fileOf(daemon, job.id))) }, { code: "archived" })
    })
  )
})
