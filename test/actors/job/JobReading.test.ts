import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { JobStreams } from "../../../src/actors/job/JobStreams.ts"
import { JobId } from "../../../src/schemas/Ids.ts"
import { World } from "../../support/World.ts"
import { aNamespaceId } from "../../support/factories.ts"
import { answersTo, aRequest } from "../../support/worldFactories.ts"
import { type Reading, textOf } from "../../support/WorldReader.ts"

/** A job under way on an agent that says what it is told to. */
const underWay = Effect.gen(function* () {
  const world = yield* World.make()
  const daemon = yield* world.daemon()
  const agent = yield* world.agent(daemon, { orders: "hold" })
  const caller = yield* world.caller(daemon)
  const request = aRequest()
  const { job } = yield* world.submit(daemon, caller, request)
  yield* world.until("assigned", () => agent.assigned.length === 1)
  const answer = answersTo(request)[0]!
  return { world, daemon, agent, caller, job, answer, held: agent.of(job.id) }
})

describe("reading a job", () => {
  it.effect("brings the whole answer to who subscribed before, during and after it", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, job, answer, held } = yield* underWay
      const before = yield* world.read(daemon, job.id)
      agent.say(held, 5)
      yield* world.rest
      const during = yield* world.read(daemon, job.id)
      yield* world.rest
      assert.deepStrictEqual([before.events.length, during.events.length], [5, 5])
      agent.finish(held)
      yield* world.until("ended", () => before.row !== null && during.row !== null)
      const after = yield* world.read(daemon, job.id)
      yield* world.until("read", () => after.row !== null)
      for (const reading of [before, during, after]) {
        assert.strictEqual(textOf(reading), answer)
        assert.strictEqual(reading.row?.state, "completed")
      }
    })
  )

  it.effect("goes on from any position, while it runs and after", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, job, held } = yield* underWay
      agent.say(held, 6)
      yield* world.rest
      const readings: Array<Reading> = []
      for (let from = 0; from <= 6; from++) readings.push(yield* world.read(daemon, job.id, from))
      agent.finish(held)
      yield* world.untilOver(job.id)
      for (let from = 0; from <= 13; from++) readings.push(yield* world.read(daemon, job.id, from))
      yield* world.until("all read", () => readings.every(({ row }) => row !== null))
      assert.deepStrictEqual(
        readings.map(({ events }) => events.length),
        [...Array.from({ length: 7 }, (_, from) => 13 - from), ...Array.from({ length: 14 }, (_, from) => 13 - from)]
      )
    })
  )

  it.effect("gives two hundred readers the same, and one that takes nothing costs the job nothing", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, job, answer, held } = yield* underWay
      const streams = yield* daemon.use(JobStreams)
      const lazy = yield* streams.subscribe({ _tag: "Operator", by: "test" }, job.id, 0)
      const readings = yield* Effect.forEach(Array.from({ length: 200 }), () => world.read(daemon, job.id))
      agent.finish(held)
      yield* world.untilOver(job.id)
      yield* world.until("all read", () => readings.every(({ row }) => row !== null))
      assert.isTrue(readings.every((reading) => textOf(reading) === answer))
      const signals = yield* lazy.take
      assert.deepStrictEqual(
        signals.map(({ _tag }) => _tag),
        ["Tokens", "Ended"]
      )
    })
  )

  it.effect("waits with a job that waits, and hears that it expired", () =>
    Effect.gen(function* () {
      const { world, daemon, caller } = yield* underWay
      const { job } = yield* world.submit(daemon, caller, { constraints: { region: "nowhere" }, deadlineMs: 2000 })
      const reading = yield* world.read(daemon, job.id)
      yield* world.until("ended", () => reading.row !== null)
      assert.deepStrictEqual([reading.row?.state, reading.events.length], ["expired", 0])
    })
  )

  it.effect("of another namespace's job is that of no job", () =>
    Effect.gen(function* () {
      const { daemon, job } = yield* underWay
      const streams = yield* daemon.use(JobStreams)
      const stranger = { _tag: "Namespace", namespaceId: aNamespaceId() } as const
      const ask = (id: typeof job.id) =>
        Effect.all([
          Effect.flip(Effect.scoped(streams.subscribe(stranger, id, 0))),
          Effect.flip(streams.row(stranger, id)),
          Effect.flip(streams.cancel(stranger, id, "client")),
          Effect.flip(streams.explain(stranger, id))
        ])
      const [theirs, nobodys] = [yield* ask(job.id), yield* ask(JobId.make("job_nothing"))]
      assert.deepStrictEqual(
        theirs.map((failure) => [failure._tag, failure.message]),
        nobodys.map((failure) => [failure._tag, failure.message])
      )
      assert.isTrue(theirs.every((failure) => failure._tag === "Refusal" && failure.code === "not_found"))
    })
  )

  it.effect("goes on in another daemon that has no actor for the job, and hears its end there", () =>
    Effect.gen(function* () {
      const { world, agent, job, answer, held } = yield* underWay
      const other = yield* world.daemon()
      const reading = yield* world.read(other, job.id)
      agent.say(held, 4)
      yield* world.rest
      agent.finish(held)
      yield* world.until("ended", () => reading.row !== null)
      assert.strictEqual(textOf(reading), answer)
    })
  )

  it.effect("hears the end that got lost on its way, a little later", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, job, held } = yield* underWay
      const other = yield* world.daemon()
      const reading = yield* world.read(other, job.id)
      yield* world.rest
      daemon.faults.fail("Transport.publish")
      agent.finish(held)
      yield* world.untilOver(job.id)
      yield* world.until("ended", () => reading.row !== null, 4000)
      assert.strictEqual(reading.events.length, 13)
    })
  )

  it.effect("a runtime that says everything in one piece, or each letter alone, is read as it came", () =>
    Effect.gen(function* () {
      const { world, daemon, agent, job, held } = yield* underWay
      const reading = yield* world.read(daemon, job.id)
      const pieces = [..."a word"].map((text, at) => ({ seq: at + 1, choice: 0, text }))
      Object.assign(held, { script: [...pieces, { seq: 7, choice: 0, text: "x".repeat(200), finish: "stop" }] })
      agent.finish(held, { outputTokens: 10 })
      yield* world.until("ended", () => reading.row !== null)
      assert.strictEqual(textOf(reading), `a word${"x".repeat(200)}`)
    })
  )
})
