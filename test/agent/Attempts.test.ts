/**
 * What runs and what is kept: no piece is lost or said twice over any number of sessions, and nothing is kept without
 * bound.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import { type Attempts, type AttemptsOptions, make } from "../../src/agent/Attempts.ts"
import { piecesHash, verifyResult } from "../../src/layers/Signatures.ts"
import { type AgentFrame, FRAME_BYTES_MAX, FRAME_PIECES_MAX, type Piece } from "../../src/schemas/AgentFrame.ts"
import { assignment, jobId, SALT } from "../support/FakeDaemon.ts"
import * as FakeOutlet from "../support/FakeOutlet.ts"
import * as ScriptedRuntime from "../support/ScriptedRuntime.ts"

const setUp = Effect.fnUntraced(function* (more: Partial<AttemptsOptions> = {}) {
  const runtime = ScriptedRuntime.make()
  const lines: Array<string> = []
  const attempts = yield* make({
    runtime,
    slots: 2,
    models: () => [{ name: "sim-small", endpoints: ["chat"], canContinue: true, loaded: true }],
    gpu: () => undefined,
    log: (message) => void lines.push(message),
    ...more
  })
  const outlet = FakeOutlet.make()
  attempts.attach(outlet)
  return { runtime, attempts, outlet, lines }
})

const wait = <A>(promise: Promise<A>) => Effect.promise(() => promise)
const piecesIn = (frames: ReadonlyArray<AgentFrame>): ReadonlyArray<Piece> =>
  frames.flatMap((frame) => (frame._tag === "Pieces" ? frame.pieces : []))
const reconnect = (attempts: Attempts) => {
  attempts.detach()
  const outlet = FakeOutlet.make()
  attempts.attach(outlet)
  return outlet
}
const resume = (epoch: number, fromSeq: number, name = "a") =>
  ({ _tag: "Resume", jobId: jobId(name), attempt: 1, epoch, fromSeq }) as const
const settled = (name = "a") => ({ _tag: "Settled", jobId: jobId(name), attempt: 1, status: "accepted" }) as const
const cancel = (name = "a") => ({ _tag: "Cancel", jobId: jobId(name), attempt: 1, code: "client" }) as const
const tags = (frames: ReadonlyArray<AgentFrame>) => frames.map(({ _tag }) => _tag)

const Step = Schema.Union([
  Schema.Struct({ say: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 })) }),
  /** A reconnect; the share of what the daemon has that is durable, and asked for again after it. */
  Schema.Struct({ durable: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10 })) }),
  Schema.Struct({ away: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3 })) })
])

describe("attempts", () => {
  it.effect.prop(
    "come whole and in order through any number of lost sessions",
    { steps: Schema.Array(Step).check(Schema.isMaxLength(12)) },
    ({ steps }) =>
      Effect.gen(function* () {
        const { runtime, attempts, outlet: first } = yield* setUp()
        let outlet = first
        let epoch = 1
        let durable = 0
        let said = 0
        /** What the daemon has, checked as it reads: each session goes on exactly where it asked for. */
        const received: Array<Piece> = []
        const readAll = (): void => {
          for (const piece of piecesIn(outlet.frames.all).slice(received.length - durable)) {
            assert.strictEqual(piece.seq, received.length + 1)
            received.push(piece)
          }
        }
        const back = (keep: number): void => {
          readAll()
          durable = Math.floor((received.length * keep) / 10)
          received.length = durable
          outlet = reconnect(attempts)
          epoch += 1
          attempts.handle(resume(epoch, durable + 1))
        }
        attempts.handle(assignment("a"))
        const run = yield* wait(runtime.run_(1))
        for (const step of steps) {
          if ("durable" in step) back(step.durable)
          else {
            if ("away" in step) attempts.detach()
            for (let at = 0; at < ("say" in step ? step.say : step.away); at++) yield* wait(run.say(` ${++said}`))
            if ("away" in step) back(10)
          }
        }
        run.end()
        const result = yield* wait(outlet.frames.tagged("Result"))
        readAll()
        assert.strictEqual(received.length, said)
        assert.deepStrictEqual(
          received.map(({ text }) => text),
          Array.from({ length: said }, (_, at) => ` ${at + 1}`)
        )
        const hash = piecesHash(SALT)
        for (const piece of received) hash.add(piece)
        const { _tag, signature, ...claim } = result
        assert.strictEqual(claim.piecesSha256, hash.digest())
        assert.strictEqual(claim.epoch, epoch)
        assert.isTrue(verifyResult({ domain: "resultity/result/v2", ...claim }, signature, outlet.key.publicHex))
      })
  )

  it.effect("are named after a reconnect, and say nothing more until they are resumed", () =>
    Effect.gen(function* () {
      const { runtime, attempts } = yield* setUp()
      attempts.handle(assignment("a"))
      attempts.handle(assignment("b", { firstSeq: 5 }))
      const a = yield* wait(runtime.run_(1))
      yield* wait(a.say("x", "y"))
      a.end()
      yield* Effect.yieldNow
      const outlet = reconnect(attempts)
      yield* wait((yield* wait(runtime.run_(2))).say("z"))
      assert.deepStrictEqual(outlet.frames.all, [
        {
          _tag: "Holding",
          attempts: [
            { jobId: jobId("a"), attempt: 1, epoch: 1, firstSeq: 1, lastSeq: 2, done: true },
            { jobId: jobId("b"), attempt: 1, epoch: 1, firstSeq: 5, lastSeq: 4, done: false }
          ]
        }
      ])
      attempts.handle(resume(2, 2))
      assert.deepStrictEqual(tags(outlet.frames.all), ["Holding", "Pieces", "Result"])
      assert.deepStrictEqual(piecesIn(outlet.frames.all), [{ seq: 2, choice: 0, text: "y" }])
    })
  )

  it.effect("repeat their result in every session until it is settled", () =>
    Effect.gen(function* () {
      const { runtime, attempts, outlet } = yield* setUp()
      attempts.handle(assignment("a"))
      const run = yield* wait(runtime.run_(1))
      yield* wait(run.say("x"))
      run.end()
      const first = yield* wait(outlet.frames.tagged("Result"))
      // Heard is not settled.
      attempts.confirm(99)
      const second = reconnect(attempts)
      attempts.handle(resume(1, 2))
      const again = yield* wait(second.frames.tagged("Result"))
      assert.strictEqual(again.piecesSha256, first.piecesSha256)
      assert.deepStrictEqual(piecesIn(second.frames.all), [])
      attempts.handle(settled())
      yield* attempts.empty
      assert.deepStrictEqual(reconnect(attempts).frames.all, [{ _tag: "Holding", attempts: [] }])
    })
  )

  it.effect("stop their runtime and are forgotten when they are cancelled", () =>
    Effect.gen(function* () {
      const { runtime, attempts, outlet } = yield* setUp()
      attempts.handle(assignment("a"))
      const run = yield* wait(runtime.run_(1))
      assert.strictEqual(attempts.slotsUsed, 1)
      attempts.handle(cancel())
      assert.strictEqual(attempts.slotsUsed, 0)
      yield* wait(run.stopped)
      yield* attempts.empty
      assert.deepStrictEqual(tags(outlet.frames.all), ["Holding", "Accept"])
      attempts.handle(cancel("unknown"))
    })
  )

  it.effect("are declined by a reason, and declining costs no slot", () =>
    Effect.gen(function* () {
      const { runtime, attempts, outlet } = yield* setUp()
      const codes = (): ReadonlyArray<string> =>
        outlet.frames.all.flatMap((frame) => (frame._tag === "Reject" ? [frame.code] : []))
      attempts.handle(assignment("m", { body: { model: "other" } }))
      attempts.handle(assignment("e", { endpoint: "embeddings" }))
      attempts.handle(assignment("a"))
      attempts.handle(assignment("b"))
      attempts.handle(assignment("c"))
      attempts.stopTaking("maintenance")
      attempts.handle(assignment("d"))
      assert.deepStrictEqual(codes(), ["unknown_model", "unknown_model", "busy", "draining"])
      assert.include(tags(outlet.frames.all), "Bye")
      yield* wait(runtime.run_(2))
      assert.strictEqual(runtime.runs(), 2)
    })
  )

  it.effect("are declined as the runtime declines them", () =>
    Effect.gen(function* () {
      const { attempts, outlet } = yield* setUp({ runtime: ScriptedRuntime.make(() => "cannot_continue") })
      attempts.handle(assignment("a"))
      assert.strictEqual((yield* wait(outlet.frames.tagged("Reject"))).code, "cannot_continue")
    })
  )

  it.effect("are accepted again and run once when their assignment is repeated", () =>
    Effect.gen(function* () {
      const { runtime, attempts, outlet } = yield* setUp()
      attempts.handle(assignment("a"))
      attempts.handle(assignment("a"))
      yield* wait(runtime.run_(1))
      assert.deepStrictEqual(tags(outlet.frames.all), ["Holding", "Accept", "Accept"])
      assert.strictEqual(runtime.runs(), 1)
    })
  )

  it.effect("are fenced by a later attempt of the same job on the same node", () =>
    Effect.gen(function* () {
      const { runtime, attempts } = yield* setUp({ slots: 1 })
      attempts.handle(assignment("a"))
      const old = yield* wait(runtime.run_(1))
      attempts.handle(assignment("a", { attempt: 2, epoch: 2 }))
      yield* wait(old.stopped)
      yield* wait(runtime.run_(2))
      assert.strictEqual(attempts.slotsUsed, 1)
    })
  )

  it.effect("tell the daemon at once when it resumes what is not held, and ignore an older epoch", () =>
    Effect.gen(function* () {
      const { runtime, attempts, outlet } = yield* setUp()
      attempts.handle(resume(4, 1, "gone"))
      const fail = yield* wait(outlet.frames.tagged("Fail"))
      assert.deepStrictEqual([fail.code, fail.epoch], ["not_held", 4])
      attempts.handle(assignment("a", { epoch: 5 }))
      yield* wait((yield* wait(runtime.run_(1))).say("x"))
      const before = outlet.frames.all.length
      attempts.handle(resume(4, 1))
      assert.strictEqual(outlet.frames.all.length, before)
    })
  )

  it.effect("fail by the runtime's code after their pieces, and are kept until the daemon has heard it", () =>
    Effect.gen(function* () {
      const { runtime, attempts, outlet } = yield* setUp()
      attempts.handle(assignment("a"))
      const run = yield* wait(runtime.run_(1))
      yield* wait(run.say("x"))
      run.fail("runtime_500", "node")
      const fail = yield* wait(outlet.frames.tagged("Fail"))
      assert.deepStrictEqual([fail.code, fail.fault], ["runtime_500", "node"])
      assert.deepStrictEqual(tags(outlet.frames.all), ["Holding", "Accept", "Pieces", "Fail"])
      attempts.confirm(3)
      const second = reconnect(attempts)
      // The numbers of the session in which it was told mean nothing in this one.
      attempts.confirm(99)
      attempts.handle(resume(2, 2))
      assert.strictEqual((yield* wait(second.frames.tagged("Fail"))).code, "runtime_500")
      attempts.confirm(2)
      yield* attempts.empty
    })
  )

  it.effect("fail at their deadline when the runtime says nothing", () =>
    Effect.gen(function* () {
      const { runtime, attempts, outlet } = yield* setUp()
      attempts.handle(assignment("a", { deadlineMs: 1000 }))
      const run = yield* wait(runtime.run_(1))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* wait(outlet.frames.tagged("Fail"))).code, "deadline")
      yield* wait(run.stopped)
    })
  )

  it.effect("are dropped ten minutes after their deadline when nobody asks for them", () =>
    Effect.gen(function* () {
      const { runtime, attempts, lines } = yield* setUp()
      attempts.handle(assignment("a", { deadlineMs: 1000 }))
      ;(yield* wait(runtime.run_(1))).end()
      attempts.detach()
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(lines, [])
      yield* TestClock.adjust("40 seconds")
      yield* attempts.empty
      assert.deepStrictEqual(lines, ["dropped an attempt that nobody asked for"])
    })
  )

  it.effect("lose the session when a simulated runtime says so, and go on", () =>
    Effect.gen(function* () {
      const { runtime, attempts, outlet } = yield* setUp()
      attempts.handle(assignment("a"))
      const run = yield* wait(runtime.run_(1))
      yield* wait(run.chunks([{ _tag: "LoseSession" }]))
      assert.strictEqual(outlet.lost, 1)
      assert.strictEqual(attempts.slotsUsed, 1)
    })
  )
})

describe("bounds", () => {
  it.effect("of the wire stop the reading of runtimes until it takes pieces again", () =>
    Effect.gen(function* () {
      const { runtime, attempts, outlet } = yield* setUp()
      attempts.handle(assignment("a"))
      const run = yield* wait(runtime.run_(1))
      outlet.full = true
      let taken = false
      const say = run.say("x").then(() => (taken = true))
      // A second attempt goes through the whole of its start meanwhile, so the first had its time.
      attempts.handle(assignment("b"))
      yield* wait(runtime.run_(2))
      assert.isFalse(taken)
      assert.deepStrictEqual(piecesIn(outlet.frames.all), [])
      outlet.full = false
      attempts.flow()
      yield* wait(say)
      assert.strictEqual(piecesIn(outlet.frames.all).length, 1)
    })
  )

  it.effect("of memory forget what is durable first, then the oldest finished, and never what runs", () =>
    Effect.gen(function* () {
      const { runtime, attempts, lines } = yield* setUp({ slots: 3, keptSizeMax: 1000 })
      const start = Effect.fnUntraced(function* (name: string, count: number, text: string) {
        attempts.handle(assignment(name))
        const run = yield* wait(runtime.run_(count))
        yield* wait(run.say(text))
        return run
      })
      const a = yield* start("a", 1, "x".repeat(300))
      a.end()
      yield* Effect.yieldNow
      const b = yield* start("b", 2, "x".repeat(300))
      attempts.handle({ _tag: "Acknowledge", jobId: jobId("b"), attempt: 1, seq: 1 })
      const c = yield* start("c", 3, "x".repeat(300))
      // The durable piece of b makes room enough.
      yield* wait(c.say("x".repeat(300)))
      assert.deepStrictEqual(lines, [])
      yield* wait(c.say("x".repeat(300)))
      assert.deepStrictEqual(lines, ["dropped a finished attempt for lack of room"])
      let taken = false
      const say = b.say("x".repeat(300)).then(() => (taken = true))
      attempts.handle(assignment("d"))
      yield* wait(runtime.run_(4))
      assert.isFalse(taken)
      // Room again: b goes on; what was durable cannot be asked for once more.
      attempts.handle(cancel("c"))
      yield* wait(say)
      const outlet = reconnect(attempts)
      attempts.handle(resume(2, 1, "b"))
      assert.strictEqual((yield* wait(outlet.frames.tagged("Fail"))).code, "pieces_gone")
    })
  )

  it.effect("of a frame hold for many pieces, long texts and wide characters", () =>
    Effect.gen(function* () {
      const { runtime, attempts } = yield* setUp()
      attempts.handle(assignment("a"))
      const run = yield* wait(runtime.run_(1))
      attempts.detach()
      const long = "日🙂".repeat(30_000)
      yield* wait(run.say(...Array.from({ length: 1200 }, (_, at) => ` ${at}`), long))
      const outlet = FakeOutlet.make()
      attempts.attach(outlet)
      attempts.handle(resume(2, 1))
      for (const frame of outlet.frames.all) {
        assert.isBelow(Buffer.byteLength(JSON.stringify(frame)), FRAME_BYTES_MAX / 2)
        if (frame._tag === "Pieces") assert.isAtMost(frame.pieces.length, FRAME_PIECES_MAX)
      }
      const pieces = piecesIn(outlet.frames.all)
      pieces.forEach(({ seq }, at) => assert.strictEqual(seq, at + 1))
      assert.isTrue(pieces.every(({ text }) => text.isWellFormed()))
      assert.strictEqual(
        pieces
          .slice(1200)
          .map(({ text }) => text)
          .join(""),
        long
      )
    })
  )

  it.effect("of a piece fail the attempt when the runtime says one that fits into no frame", () =>
    Effect.gen(function* () {
      const { runtime, attempts, outlet } = yield* setUp()
      attempts.handle(assignment("a"))
      const run = yield* wait(runtime.run_(1))
      void run.chunks([{ _tag: "Delta", choice: 0, text: "", extra: { image: "x".repeat(FRAME_BYTES_MAX) } }])
      assert.strictEqual((yield* wait(outlet.frames.tagged("Fail"))).code, "piece_too_big")
    })
  )
})
