import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { promptTokensGuess } from "../../../src/agent/Runtime.ts"
import { replay } from "../../../src/policies/JobMachine.ts"
import type { OutputChoice } from "../../../src/schemas/JobRecord.ts"
import { underTheRealClock, World } from "../../support/World.ts"
import { aCompletion, anEmbedding, answersTo, aRequest, credits } from "../../support/worldFactories.ts"
import { textOf } from "../../support/WorldReader.ts"

const vectorOf = (extra: OutputChoice["extra"]) => (extra ?? {})["embedding"] as ReadonlyArray<number>

describe("a job's good life", () => {
  it.effect("a chat job ends with its answer, record, traces, logs, row and credits exact", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      const agent = yield* world.agent(daemon, { orders: "hold" })
      const caller = yield* world.caller(daemon, 10_000)
      const request = aRequest()
      const { job } = yield* world.submit(daemon, caller, request)
      yield* world.until("assigned", () => agent.assigned.length === 1)
      agent.finish(agent.of(job.id), { promptTokens: 7, outputTokens: 12 })
      yield* world.untilOver(job.id)
      yield* world.rest

      const row = world.row(job.id)
      assert.strictEqual(row.state, "completed")
      assert.deepStrictEqual(row.usage, { promptTokens: 7, outputTokens: 12 })
      assert.strictEqual(row.charged, credits(7 + 3 * 12))
      assert.deepStrictEqual(
        [row.owner, row.epoch, row.attempt, row.failures, row.nodeId],
        [null, 1, 1, 0, agent.nodeId]
      )

      const record = world.record(job.id)
      assert.strictEqual(record.state, "completed")
      assert.strictEqual(record.completeness, "complete")
      assert.deepStrictEqual(record.output?.choices, [{ choice: 0, text: answersTo(request)[0]!, finish: "length" }])
      assert.deepStrictEqual(record.output?.tokens, { prompt: 7, completion: 12, total: 19 })
      assert.strictEqual(record.cost, row.charged)
      assert.deepStrictEqual(
        record.routing.attempts.map(({ state, nodeId, tokens, cause }) => ({ state, nodeId, tokens, cause })),
        [{ state: "succeeded", nodeId: agent.nodeId, tokens: 12, cause: null }]
      )
      assert.strictEqual(record.routing.decisions.at(-1)?.chosen, agent.nodeId)

      const trace = world.shared.records.traces.get(job.id)
      assert.deepStrictEqual(
        trace?.events.map(({ seq }) => seq),
        Array.from({ length: 13 }, (_, at) => at + 1)
      )
      const logs = world.shared.records.logs
        .filter(({ entry }) => entry.jobId === job.id)
        .map(({ entry }) => entry.code)
      assert.includeMembers(logs, ["assigned", "finished"])

      const balance = yield* daemon.use(Effect.flatMap(CreditLedger, (ledger) => ledger.balance(caller.namespace.id)))
      const spent = credits(7 + 3 * 12)
      assert.deepStrictEqual(balance, {
        granted: credits(10_000),
        available: credits(10_000n - spent),
        reserved: credits(0),
        spent
      })
      assert.strictEqual(agent.held.size, 0)
      assert.strictEqual(world.shared.state.outbox.size, 0)
      const live = world.presence(agent)
      assert.strictEqual(live?.leased, 0)
    })
  )

  it.effect("a completion of two prompts and two choices each brings all four answers", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      yield* world.agent(daemon)
      const caller = yield* world.caller(daemon)
      const body = { model: "sim-small", prompt: ["one", "two"], n: 2, max_tokens: 5 }
      const request = aCompletion({ body, choices: 4, outputTokensMax: 5 })
      const { job } = yield* world.submit(daemon, caller, request)
      yield* world.untilOver(job.id)
      const { output, state } = world.record(job.id)
      assert.strictEqual(state, "completed")
      assert.deepStrictEqual(
        output?.choices.map(({ text }) => text),
        answersTo(request)
      )
      assert.strictEqual(world.row(job.id).usage.outputTokens, 20)
    })
  )

  it.effect("an embeddings job brings a vector for each input and is charged for its prompt only", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      const agent = yield* world.agent(daemon)
      const caller = yield* world.caller(daemon)
      const { job } = yield* world.submit(daemon, caller, anEmbedding(3))
      yield* world.untilOver(job.id)
      const { output } = world.record(job.id)
      assert.strictEqual(output?.kind, "vector")
      assert.deepStrictEqual(
        output?.choices.map(({ extra }) => vectorOf(extra).length),
        [64, 64, 64]
      )
      const prompt = promptTokensGuess(agent.assigned[0]!)
      assert.deepStrictEqual(world.row(job.id).usage, { promptTokens: prompt, outputTokens: 0 })
      assert.strictEqual(world.row(job.id).charged, credits(prompt))
    })
  )

  it.effect("its recorded moments, played again, tell how it ended", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      yield* world.agent(daemon)
      const caller = yield* world.caller(daemon)
      const { job } = yield* world.submit(daemon, caller)
      yield* world.untilOver(job.id)
      const { moments } = world.record(job.id)
      const facts = { onNodeLoss: job.onNodeLoss, mustContinue: true, failuresMax: job.failuresMax }
      const machine = replay(
        facts,
        moments.map(({ moment }) => moment)
      )
      assert.deepStrictEqual([machine.phase, machine.ending?.state, machine.last], ["recording", "completed", 13])
    })
  )

  it.effect("a hundred jobs at once all end, each with its own answer", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon({ lanePrefetch: 8 })
      yield* world.agent(daemon, { profile: { slots: 3 } })
      yield* world.agent(daemon, { profile: { slots: 2 } })
      const caller = yield* world.caller(daemon)
      const requests = Array.from({ length: 100 }, () => aRequest())
      const rows = yield* Effect.forEach(requests, (request) => world.submit(daemon, caller, request))
      yield* world.until("all over", () => rows.every(({ job }) => world.isOver(job.id)))
      rows.forEach(({ job }, at) => {
        assert.strictEqual(world.record(job.id).output?.choices[0]?.text, answersTo(requests[at]!)[0])
      })
      assert.deepStrictEqual(yield* daemon.use(Effect.flatMap(CreditLedger, ({ audit }) => audit)), [])
    })
  )

  it.live("the same under the real clock", () =>
    Effect.gen(function* () {
      const world = yield* World.make(underTheRealClock)
      const daemon = yield* world.daemon()
      yield* world.agent(daemon)
      const caller = yield* world.caller(daemon)
      const request = aRequest()
      const { job } = yield* world.submit(daemon, caller, request)
      const reading = yield* world.read(daemon, job.id)
      yield* world.until("read", () => reading.row !== null)
      assert.strictEqual(textOf(reading), answersTo(request)[0])
      assert.strictEqual(reading.row?.state, "completed")
      yield* daemon.stop
    })
  )
})
