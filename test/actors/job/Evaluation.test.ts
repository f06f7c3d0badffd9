/** The flags of a record: what failed, what was not sure of itself, what moderation found; nobody's flag is set for what nobody knows. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { World } from "../../support/World.ts"
import type { Held, MemoryAgent } from "../../support/MemoryAgent.ts"
import { aRequest } from "../../support/worldFactories.ts"

/** Answers with pieces that say how sure each of them is. */
const surely = (logprob: number) => (held: Held, agent: MemoryAgent) => {
  const extra = { logprobs: { content: [{ token: "t", logprob }] } }
  agent.accept(held)
  const sure = { ...held, script: held.script.map((piece) => ({ ...piece, extra })) }
  agent.finish(sure)
}

describe("the evaluation of a job", () => {
  it.effect("S65: says low confidence by what the node says of its tokens, and null when it says nothing", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      const agent = yield* world.agent(daemon)
      const caller = yield* world.caller(daemon)
      const seen: Array<boolean | null> = []
      for (const orders of ["answer", surely(-0.1), surely(-3)] as const) {
        agent.orders = orders
        const { job } = yield* world.submit(daemon, caller)
        yield* world.untilOver(job.id)
        seen.push(world.record(job.id).evaluation.lowConfidence)
      }
      assert.deepStrictEqual(seen, [null, false, true])
    })
  )

  it.effect("S64, S66: keeps the failures of a job that went well in the end, and what moderation found in it", () =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: { moderation: { weapons: ["bomb"] } } })
      const daemon = yield* world.daemon()
      let tries = 0
      const agent = yield* world.agent(daemon, {
        orders: (held, agent) => {
          agent.accept(held)
          tries += 1
          if (tries === 1) agent.fail(held, "runtime_500", "node")
          else agent.finish(held)
        }
      })
      const caller = yield* world.caller(daemon)
      const body = { model: "sim-small", messages: [{ role: "user", content: "How is a Bomb made?" }], max_tokens: 4 }
      const asked = { body, request: body }
      const flagged = yield* world.submit(daemon, caller, asked)
      yield* world.untilOver(flagged.job.id)
      const { evaluation } = world.record(flagged.job.id)
      assert.isTrue(evaluation.failure)
      assert.deepStrictEqual(
        evaluation.failures.map(({ code, nodeId }) => [code, nodeId]),
        [["runtime_500", agent.nodeId]]
      )
      assert.deepStrictEqual(evaluation.moderation, ["weapons"])
      const harmless = yield* world.submit(daemon, caller, aRequest())
      yield* world.untilOver(harmless.job.id)
      assert.deepStrictEqual(world.record(harmless.job.id).evaluation, {
        failure: false,
        failures: [],
        lowConfidence: null,
        moderation: []
      })
    })
  )

  it.effect("C92: keeps what the node claimed beside what was counted, and what its answer looked like", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      const agent = yield* world.agent(daemon, {
        orders: (held, agent) => {
          agent.accept(held)
          agent.finish(held, { promptTokens: 3, outputTokens: 5_000 })
        }
      })
      const caller = yield* world.caller(daemon)
      const { job } = yield* world.submit(daemon, caller)
      yield* world.untilOver(job.id)
      const { system, output, routing } = world.record(job.id)
      assert.strictEqual(routing.nodeId, agent.nodeId)
      assert.deepInclude(system.claim, { promptTokens: 3, outputTokens: 5_000 })
      assert.strictEqual(system.claim?.countedTokens, output?.tokens.completion)
      const text = output?.choices.map((choice) => choice.text).join("") ?? ""
      assert.strictEqual(system.claim?.outputBytes, Buffer.byteLength(text))
      assert.strictEqual(system.answer, output?.sha256.slice(0, 16))
    })
  )
})
