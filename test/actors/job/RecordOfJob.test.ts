/** What the one document of a job and its log say, row by row of the requirements: while it waits, while it runs, and however it ended. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { canonicalJson } from "../../../src/schemas/CanonicalJson.ts"
import type { JobId } from "../../../src/schemas/Ids.ts"
import type { LogEntry } from "../../../src/schemas/JobRecord.ts"
import { World } from "../../support/World.ts"
import { anEmbedding, answersTo, aRequest } from "../../support/worldFactories.ts"

/** One daemon, two nodes that do what they are told, and a job of the customer's. */
const begin = (over: Parameters<typeof aRequest>[0] = {}) =>
  Effect.gen(function* () {
    const world = yield* World.make({ settings: { idleMs: IDLE_MS } })
    const daemon = yield* world.daemon()
    const nodes = [
      yield* world.agent(daemon, { orders: "hold" }),
      yield* world.agent(daemon, { orders: "hold" })
    ] as const
    const caller = yield* world.caller(daemon, 1_000_000)
    const request = aRequest(over)
    const { job } = yield* world.submit(daemon, caller, request)
    const assigned = world.until("assigned", () => nodes.some((node) => node.assigned.length === 1))
    const [first, second] = nodes
    const order = () => (first.assigned.length > 0 ? ([first, second] as const) : ([second, first] as const))
    return { world, daemon, caller, request, job, assigned, order }
  })

/** A job that failed on its first node and went well on the second. */
const failedOver = Effect.gen(function* () {
  const { world, job, assigned, order } = yield* begin()
  yield* assigned
  const [first, second] = order()
  first.fail(first.of(job.id), "runtime_error", "node")
  yield* world.until("moved", () => second.assigned.length === 1)
  second.finish(second.of(job.id))
  yield* world.untilOver(job.id)
  yield* world.rest
  return { world, job, first, second }
})

const IDLE_MS = 12_000

const logsOf = (world: World, jobId: JobId, code: string): ReadonlyArray<LogEntry> =>
  world.shared.records.logs.map(({ entry }) => entry).filter((entry) => entry.jobId === jobId && entry.code === code)

const plain = ({ type, nodeId, data }: LogEntry): Readonly<Record<string, unknown>> => ({ type, nodeId, ...data })

describe("the document of a job", () => {
  it.effect("S41, S61: holds the whole request from the beginning, also what no router reads", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      yield* world.agent(daemon, { orders: "hold", profile: { slots: 1 } })
      const caller = yield* world.caller(daemon)
      const sent = {
        model: "sim-small",
        messages: [{ role: "user", content: [{ type: "text", text: "deep", nested: { more: [1, [2, null]] } }] }],
        max_tokens: 12,
        unheard_of: { by: "anybody" }
      }
      const { job } = yield* world.submit(daemon, caller, aRequest({ request: sent }))
      const { input, namespaceId, state, output } = world.record(job.id)
      assert.strictEqual(canonicalJson(input.request), canonicalJson(sent))
      assert.deepInclude(input, { model: "sim-small", requestedModel: "sim-small", mode: "stream", endpoint: "chat" })
      assert.strictEqual(namespaceId, caller.namespace.id)
      assert.deepStrictEqual([state, output], ["queued", null])
    })
  )

  it.effect("S70: has its routing and no output, while the job runs", () =>
    Effect.gen(function* () {
      const { world, job, assigned, order } = yield* begin()
      yield* assigned
      const [node] = order()
      node.say(node.of(job.id), 4)
      yield* world.pass(1000)
      const { routing, output, state, finishedAt, completeness } = world.record(job.id)
      assert.deepStrictEqual([state, finishedAt, completeness, output], ["active", null, "open", null])
      assert.strictEqual(routing.nodeId, node.nodeId)
      assert.isNotNull(routing.assignedAt)
    })
  )

  it.effect("S42, S63: holds the answer as it was given, its kind, its tokens and how long it took", () =>
    Effect.gen(function* () {
      const { world, job, request, assigned, order } = yield* begin()
      yield* assigned
      const [node] = order()
      yield* world.pass(300)
      node.finish(node.of(job.id))
      yield* world.untilOver(job.id)
      yield* world.rest
      const { output } = world.record(job.id)
      assert.strictEqual(output?.kind, "text")
      assert.deepStrictEqual(
        output?.choices.map(({ text }) => text),
        answersTo(request)
      )
      assert.strictEqual(output?.tokens.total, (output?.tokens.prompt ?? 0) + (output?.tokens.completion ?? 0))
      assert.strictEqual(output?.tokens.completion, 12)
      assert.isAtLeast(output?.latencyMs ?? 0, 300)
    })
  )

  it.effect("S63: of embeddings has the kind of vectors", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      yield* world.agent(daemon)
      const { job } = yield* world.submit(daemon, yield* world.caller(daemon), anEmbedding(2))
      yield* world.untilOver(job.id)
      yield* world.rest
      assert.strictEqual(world.record(job.id).output?.kind, "vector")
    })
  )

  it.effect("S62, S64, S69: names the last node, each fallback and each failure, though the job succeeded", () =>
    Effect.gen(function* () {
      const { world, job, first, second } = yield* failedOver
      const { state, routing, evaluation, system } = world.record(job.id)
      assert.strictEqual(state, "completed")
      assert.strictEqual(routing.nodeId, second.nodeId)
      assert.deepStrictEqual(
        routing.fallbacks.map(({ from, to, reason, attempt }) => [from, to, reason, attempt]),
        [[first.nodeId, second.nodeId, "runtime_error", 2]]
      )
      assert.deepStrictEqual(evaluation.failures, [{ attempt: 1, nodeId: first.nodeId, code: "runtime_error" }])
      assert.isTrue(evaluation.failure)
      assert.strictEqual(system.retries, 1)
    })
  )

  it.effect("S45, S67, S68: holds times that agree with each other, and the state of the GPU", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      const node = yield* world.agent(daemon, { orders: "hold", profile: { slots: 1 } })
      const caller = yield* world.caller(daemon, 1_000_000)
      const before = yield* world.submit(daemon, caller)
      yield* world.until("assigned", () => node.assigned.length === 1)
      const { job } = yield* world.submit(daemon, caller)
      yield* world.pass(700)
      node.finish(node.of(before.job.id))
      yield* world.until("assigned", () => node.assigned.length === 2)
      yield* world.pass(200)
      node.say(node.of(job.id), 3)
      yield* world.pass(400)
      const busy = { name: "RTX 4090", vramMiB: 24_576, usedMiB: 20_000, utilisation: 0.97 }
      node.finish(node.of(job.id), { gpu: busy })
      yield* world.untilOver(job.id)
      yield* world.rest
      const { queueMs, dispatchMs, firstTokenMs, totalMs, gpu } = world.record(job.id).system
      assert.isAtLeast(queueMs ?? -1, 700)
      assert.isAtLeast(firstTokenMs ?? -1, (queueMs ?? 0) + (dispatchMs ?? 0) + 200)
      assert.isAtLeast(totalMs ?? -1, (firstTokenMs ?? 0) + 400)
      assert.deepStrictEqual(gpu, busy)
    })
  )

  it.effect("S60: is one for each job, also for those that failed, expired or were cancelled", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      const node = yield* world.agent(daemon, { orders: "hold", profile: { slots: 1 } })
      const caller = yield* world.caller(daemon, 1_000_000)
      const failed = yield* world.submit(daemon, caller, aRequest({ onNodeLoss: "fail" }))
      yield* world.until("assigned", () => node.assigned.length === 1)
      const expired = yield* world.submit(daemon, caller, aRequest({ deadlineMs: 500 }))
      const cancelled = yield* world.submit(daemon, caller)
      yield* world.pass(2000)
      yield* world.cancel(daemon, cancelled.job.id)
      node.say(node.of(failed.job.id), 2)
      yield* world.rest
      node.fail(node.of(failed.job.id), "runtime_error", "node")
      for (const { job } of [failed, expired, cancelled]) yield* world.untilOver(job.id)
      yield* world.rest
      assert.deepStrictEqual(
        [failed, expired, cancelled].map(({ job }) => world.record(job.id).state),
        ["failed", "expired", "cancelled"]
      )
      const documents = [...world.shared.records.records.values()].map(({ record }) => record.jobId)
      assert.sameMembers(documents, [failed.job.id, expired.job.id, cancelled.job.id])
    })
  )
})

describe("the log of a job", () => {
  it.effect("S44, S47, S48: tells each retry with cause and delay and each fallback with from and to", () =>
    Effect.gen(function* () {
      const { world, job, first, second } = yield* failedOver
      const [retry, ...others] = logsOf(world, job.id, "retry")
      assert.deepStrictEqual(others, [])
      assert.deepInclude(retry?.data, { attempt: 1, cause: "runtime_error", failures: 1 })
      assert.isAbove(Number(retry?.data["delayMs"]), 0)
      assert.deepStrictEqual(logsOf(world, job.id, "fallback").map(plain), [
        {
          type: "routing",
          nodeId: second.nodeId,
          from: first.nodeId,
          to: second.nodeId,
          reason: "runtime_error",
          attempt: 2
        }
      ])
      assert.deepStrictEqual(
        logsOf(world, job.id, "assigned").map(({ nodeId }) => nodeId),
        [first.nodeId, second.nodeId]
      )
    })
  )

  it.effect("S46: tells which time ran out and what its limit was", () =>
    Effect.gen(function* () {
      const { world, job, assigned, order } = yield* begin({ deadlineMs: 120_000 })
      yield* assigned
      const [first, second] = order()
      first.accept(first.of(job.id))
      yield* world.until("moved", () => second.assigned.length === 1, 40_000)
      second.finish(second.of(job.id))
      yield* world.untilOver(job.id)
      yield* world.rest
      assert.deepStrictEqual(logsOf(world, job.id, "timeout").map(plain), [
        {
          type: "execution",
          nodeId: first.nodeId,
          attempt: 1,
          cause: "idle_timeout",
          timer: "idleMs",
          limitMs: IDLE_MS
        }
      ])
    })
  )
})
