/**
 * The whole agent over real sockets: how it gets in, what makes it leave for good, and that nothing else does.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Random, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { type Agent, type AgentOptions, start } from "../../src/agent/Agent.ts"
import type { AgentFailed } from "../../src/agent/AgentFailed.ts"
import { make as makeHttpRuntime } from "../../src/agent/HttpRuntime.ts"
import { ephemeral, fromPrivateKey } from "../../src/agent/Identity.ts"
import { expectedAnswer } from "../../src/agent/SimulatedAnswer.ts"
import { CHARACTERS, make as makeSimulated } from "../../src/agent/SimulatedRuntime.ts"
import { OUTGOING_BYTES_MAX } from "../../src/agent/Wire.ts"
import { verifyResult } from "../../src/layers/Signatures.ts"
import type { AgentFrame, CloseReason, Piece } from "../../src/schemas/AgentFrame.ts"
import {
  assignment,
  type FakeDaemon,
  type FakeDaemonOptions,
  jobId,
  start as startDaemon
} from "../support/FakeDaemon.ts"
import { start as startFakeRuntime } from "../support/FakeRuntime.ts"
import * as ScriptedRuntime from "../support/ScriptedRuntime.ts"

/** The shortest pauses, so that no test waits for chance. */
const NO_CHANCE = { nextIntUnsafe: () => 0, nextDoubleUnsafe: () => 0 }
const wait = <A>(promise: Promise<A>) => Effect.promise(() => promise)

const daemonWith = (options?: FakeDaemonOptions) =>
  Effect.acquireRelease(wait(startDaemon(options)), (daemon) => wait(daemon.close()))

const agentFor = (
  daemon: FakeDaemon,
  more: Partial<AgentOptions> = {}
): Effect.Effect<Agent, AgentFailed, Scope.Scope> =>
  Effect.gen(function* () {
    return yield* start({
      url: daemon.url,
      identity: yield* ephemeral,
      environment: "testnet",
      name: "node under test",
      slots: 4,
      runtime: makeSimulated({ character: CHARACTERS.instant, seed: 1 }),
      gpus: Effect.succeed([{ name: "Card", vramMiB: 24_576 }]),
      ...more
    })
  }).pipe(Effect.provideService(Random.Random, NO_CHANCE))

const piecesIn = (frames: ReadonlyArray<AgentFrame>): ReadonlyArray<Piece> =>
  frames.flatMap((frame) => (frame._tag === "Pieces" ? frame.pieces : []))
const resume = (name: string, epoch: number, fromSeq: number) =>
  ({ _tag: "Resume", jobId: jobId(name), attempt: 1, epoch, fromSeq }) as const
const settled = (name: string) => ({ _tag: "Settled", jobId: jobId(name), attempt: 1, status: "accepted" }) as const

describe("an agent", () => {
  it.live("proves who it is, tells what it has, and answers a job with a result it signed", () =>
    Effect.gen(function* () {
      const daemon = yield* daemonWith()
      const agent = yield* agentFor(daemon, { region: "eu", subclouds: ["lab"] })
      const session = yield* wait(daemon.session(1))
      assert.strictEqual(session.authenticate.nodeId, agent.nodeId)
      const { region, subclouds, gpus, models, slots } = session.authenticate.profile
      assert.deepStrictEqual([region, subclouds, slots, gpus.length, models.length], ["eu", ["lab"], 4, 1, 2])
      const job = assignment("a")
      session.send(job)
      const { _tag, signature, gpu, ...claim } = yield* wait(session.frames.tagged("Result"))
      const { text } = expectedAnswer("chat", job.body, 0)
      assert.strictEqual(
        piecesIn(session.frames.all)
          .map((piece) => piece.text)
          .join(""),
        text
      )
      assert.strictEqual(claim.outputTokens, text.split(" ").length)
      assert.strictEqual(gpu?.name, "Card")
      assert.isTrue(
        verifyResult({ domain: "resultity/result/v2", ...claim }, signature, session.authenticate.sessionKey)
      )
      // All that came in one turn travels in one frame.
      assert.strictEqual(session.frames.all.filter((frame) => frame._tag === "Pieces").length, 1)
    })
  )

  const finals: ReadonlyArray<readonly [CloseReason, string, string, number]> = [
    ["unauthenticated", "bad_signature", "unauthenticated", 77],
    ["wrong_environment", "wrong_environment", "wrong_environment", 78],
    ["superseded", "superseded", "superseded", 69]
  ]
  for (const [close, code, failure, exitCode] of finals) {
    it.live(`gives up for good when it is refused with ${code}`, () =>
      Effect.gen(function* () {
        const daemon = yield* daemonWith({ refuse: { close, code } })
        const failed = yield* Effect.flip((yield* agentFor(daemon)).done)
        assert.deepStrictEqual([failed.code, failed.exitCode], [failure, exitCode])
        assert.include(failed.message, close === "superseded" ? "key" : "as ordered")
        assert.strictEqual(daemon.connects(), close === "superseded" ? 3 : 1)
      })
    )
  }

  it.live("comes back when it is refused because of the clock, and is taken once the clocks agree", () =>
    Effect.gen(function* () {
      const daemon = yield* daemonWith({ refuse: { close: "unauthenticated", code: "clock_skew" } })
      const said: Array<string> = []
      const log = (message: string) => {
        if (message.includes("s apart") && said.push(message) === 2) delete daemon.options.refuse
      }
      yield* agentFor(daemon, { log })
      yield* wait(daemon.session(1))
      assert.strictEqual(daemon.connects(), 3)
    })
  )

  it.live("gives up for good when another agent takes over its session, or the protocol differs", () =>
    Effect.gen(function* () {
      const daemon = yield* daemonWith()
      const agent = yield* agentFor(daemon)
      for (const session of [1, 2, 3]) (yield* wait(daemon.session(session))).close("superseded")
      assert.strictEqual((yield* Effect.flip(agent.done)).code, "superseded")
      const other = yield* daemonWith({ protocol: 99 })
      assert.strictEqual((yield* Effect.flip((yield* agentFor(other)).done)).code, "protocol")
    })
  )

  it.live("tries its daemons in turn, and stays with the one that takes it", () =>
    Effect.gen(function* () {
      const [first, second] = [yield* daemonWith(), yield* daemonWith()]
      yield* agentFor(first, { url: [first.url, second.url] })
      const begun = yield* wait(Promise.race([first.session(1), second.session(1)]))
      const isFirst = first.connects() === 1
      begun.drop()
      yield* wait((isFirst ? second : first).session(1))
    })
  )

  it.live("comes back after every other close, with a new session key", () =>
    Effect.gen(function* () {
      const daemon = yield* daemonWith()
      yield* agentFor(daemon)
      const keys = new Set<string>()
      const closes: ReadonlyArray<CloseReason> = ["draining", "overloaded", "bad_frame", "out_of_order"]
      for (const [at, reason] of closes.entries()) {
        const session = yield* wait(daemon.session(at + 1))
        keys.add(session.authenticate.sessionKey)
        session.close(reason)
      }
      const session = yield* wait(daemon.session(closes.length + 1))
      session.drop()
      yield* wait(daemon.session(closes.length + 2))
      assert.strictEqual(keys.size, closes.length)
    })
  )

  it.live("waits for a daemon that is not there yet, and for one that says nonsense", () =>
    Effect.gen(function* () {
      const first = yield* wait(startDaemon())
      const url = first.url
      const lines: Array<string> = []
      let tried = (): void => undefined
      const trying = new Promise<void>((resolve) => (tried = resolve))
      yield* wait(first.close())
      const log = (message: string): void => {
        lines.push(message)
        if (message.startsWith("the session ended")) tried()
      }
      yield* agentFor({ ...first, url }, { log })
      yield* wait(trying)
      assert.include(lines, "the socket reports an error")

      const daemon = yield* daemonWith()
      yield* agentFor(daemon, { log })
      ;(yield* wait(daemon.session(1))).sendRaw("{")
      const session = yield* wait(daemon.session(2))
      session.sendRaw(JSON.stringify({ _tag: "Registered", sessionId: "session_x", digest: "", heartbeatMs: 1 }))
      yield* wait(daemon.session(3))
      assert.include(lines, "the daemon sent a frame that makes no sense here")
    })
  )

  for (const cut of [0, 1, 7, 20]) {
    it.live(`goes on after a lost session without gap or repeat, ${cut} pieces in`, () =>
      Effect.gen(function* () {
        const daemon = yield* daemonWith()
        const runtime = ScriptedRuntime.make()
        yield* agentFor(daemon, { runtime })
        const first = yield* wait(daemon.session(1))
        first.send(assignment("a"))
        const run = yield* wait(runtime.run_(1))
        for (let at = 0; at < cut; at++) yield* wait(run.say(` ${at}`))
        if (cut > 0) yield* wait(first.frames.next((f): f is AgentFrame => piecesIn([f]).at(-1)?.seq === cut))
        first.drop()
        yield* wait(run.say(" away"))
        const second = yield* wait(daemon.session(2))
        const holding = yield* wait(second.frames.tagged("Holding"))
        assert.deepStrictEqual(holding.attempts, [
          { jobId: jobId("a"), attempt: 1, epoch: 1, firstSeq: 1, lastSeq: cut + 1, done: false }
        ])
        second.send(resume("a", 2, cut + 1))
        yield* wait(run.say(" back"))
        run.end()
        const result = yield* wait(second.frames.tagged("Result"))
        assert.deepStrictEqual(
          piecesIn(second.frames.all).map(({ seq, text }) => [seq, text]),
          [
            [cut + 1, " away"],
            [cut + 2, " back"]
          ]
        )
        assert.deepStrictEqual([result.epoch, result.firstSeq, result.lastSeq], [2, 1, cut + 2])
      })
    )
  }

  it.live("stops the request at its runtime when the job is cancelled, and takes the next", () =>
    Effect.gen(function* () {
      const server = yield* Effect.acquireRelease(wait(startFakeRuntime()), (fake) => wait(fake.close()))
      const runtime = yield* makeHttpRuntime({ baseUrl: server.baseUrl, continuation: "auto", embeddings: [] })
      const daemon = yield* daemonWith()
      yield* agentFor(daemon, { runtime, slots: 1 })
      const session = yield* wait(daemon.session(1))
      server.order({ kind: "stall", pieces: ["a"] })
      const body = { model: "fake-small", messages: [{ role: "user", content: "x" }] }
      session.send(assignment("a", { body }))
      yield* wait(session.frames.tagged("Pieces"))
      session.send({ _tag: "Cancel", jobId: jobId("a"), attempt: 1, code: "client" })
      session.send(assignment("b", { body }))
      yield* wait(server.whenAbandoned(1))
      const result = yield* wait(session.frames.tagged("Result"))
      assert.deepStrictEqual([result.jobId, result.promptTokens, result.outputTokens], [jobId("b"), 7, 2])
      assert.strictEqual(
        session.frames.all.filter((frame) => frame._tag === "Reject" || frame._tag === "Fail").length,
        0
      )
    })
  )

  it.live("stops reading its runtime while the daemon does not read, and goes on when it does", () =>
    Effect.gen(function* () {
      const daemon = yield* daemonWith()
      const runtime = ScriptedRuntime.make()
      yield* agentFor(daemon, { runtime })
      const session = yield* wait(daemon.session(1))
      session.send(assignment("a"))
      session.send(assignment("b"))
      const run = yield* wait(runtime.run_(1))
      const other = yield* wait(runtime.run_(2))
      session.pause()
      const text = "x".repeat(16_000)
      let taken = 0
      // Far more than kernel buffers take; each is offered when the one before was taken.
      const offered = (async () => {
        for (let at = 0; at < 2_000; at++) {
          await run.say(text)
          taken += 1
        }
      })()
      yield* wait(new Promise<void>((resolve) => void whenStuck(() => taken, resolve)))
      const stuckAt = taken
      assert.isBelow(stuckAt, 2_000)
      session.resume()
      yield* wait(offered)
      yield* wait(other.say("y"))
      run.end()
      yield* wait(session.frames.tagged("Result"))
      assert.strictEqual(piecesIn(session.frames.all).length, 2_001)
      assert.isAbove(2_000 * 16_000, OUTGOING_BYTES_MAX)
    })
  )

  it.live("declines, finishes, waits for its settlement and leaves when it is drained", () =>
    Effect.gen(function* () {
      const daemon = yield* daemonWith()
      const runtime = ScriptedRuntime.make()
      const agent = yield* agentFor(daemon, { runtime })
      const session = yield* wait(daemon.session(1))
      session.send(assignment("a"))
      const run = yield* wait(runtime.run_(1))
      const drained = yield* Effect.forkChild(agent.drain("stopped by its operator"))
      assert.strictEqual((yield* wait(session.frames.tagged("Bye"))).reason, "stopped by its operator")
      session.send(assignment("b"))
      assert.strictEqual((yield* wait(session.frames.tagged("Reject"))).code, "draining")
      yield* wait(run.say("x"))
      run.end()
      yield* wait(session.frames.tagged("Result"))
      session.send(settled("a"))
      assert.strictEqual(yield* wait(session.closed), 1000)
      yield* Fiber.join(drained)
      yield* agent.done
    })
  )

  it.live("leaves when the daemon asks it to drain", () =>
    Effect.gen(function* () {
      const daemon = yield* daemonWith()
      const agent = yield* agentFor(daemon)
      const session = yield* wait(daemon.session(1))
      session.send({ _tag: "Drain" })
      yield* agent.done
      assert.strictEqual(yield* wait(session.closed), 1000)
    })
  )

  it.live("goes at once when its scope is closed", () =>
    Effect.gen(function* () {
      const daemon = yield* daemonWith()
      const session = yield* Effect.scoped(
        Effect.gen(function* () {
          yield* agentFor(daemon, { identity: fromPrivateKey(Uint8Array.from(Buffer.alloc(32, 7))) })
          return yield* wait(daemon.session(1))
        })
      )
      yield* wait(session.closed)
    })
  )

  it.effect("beats by the daemon's measure, tells new models once, and repeats the digest it was told", () =>
    Effect.gen(function* () {
      const daemon = yield* daemonWith({ heartbeatMs: 10_000 })
      const server = yield* Effect.acquireRelease(wait(startFakeRuntime()), (fake) => wait(fake.close()))
      server.sick = true
      const runtime = yield* makeHttpRuntime({ baseUrl: server.baseUrl, continuation: "auto", embeddings: [] })
      yield* agentFor(daemon, { runtime })
      const session = yield* wait(daemon.session(1))
      const beat = (nth: number) => {
        let seen = 0
        return wait(
          session.frames.next(
            (f): f is Extract<AgentFrame, { _tag: "Heartbeat" }> => f._tag === "Heartbeat" && ++seen === nth
          )
        )
      }
      const first = yield* beat(1)
      assert.deepStrictEqual([first.healthy, first.digest, first.models], [false, "cfg-1", undefined])
      assert.deepStrictEqual(session.authenticate.profile.models, [])
      server.sick = false
      let heartbeat = first
      for (let nth = 2; heartbeat.models === undefined; nth++) {
        yield* TestClock.adjust("10 seconds")
        heartbeat = yield* beat(nth)
      }
      assert.deepStrictEqual([heartbeat.healthy, heartbeat.digest], [true, "cfg-2"])
      assert.deepStrictEqual(
        heartbeat.models?.map(({ name }) => name),
        ["fake-small"]
      )
    })
  )

  it.live("D53: says once what holds it back, and once that nothing does any more", () =>
    Effect.gen(function* () {
      const daemon = yield* daemonWith({ deaf: true })
      const said: Array<string> = []
      const log = (message: string, facts: object) => void said.push(`${message} ${JSON.stringify(facts)}`)
      yield* agentFor(daemon, { log })
      const session = yield* wait(daemon.session(1))
      const seen = { _tag: "HeartbeatSeen", digest: "d", at: 0 } as const
      const restrictions = [
        { kind: "cooldown", reason: "repeated faults", until: 1_764_032_430_000 },
        { kind: "paused", reason: null, until: null }
      ]
      for (const frame of [seen, { ...seen, restrictions }, { ...seen, restrictions }, seen, seen]) session.send(frame)
      session.send(assignment("a"))
      yield* wait(session.frames.tagged("Result"))
      assert.deepStrictEqual(
        said.filter((line) => line.startsWith("the network")),
        [
          'the network holds this node back {"kind":"cooldown","until":"2025-11-25T01:00:30.000Z","reason":"repeated faults"}',
          'the network holds this node back {"kind":"paused","until":"until somebody lifts it"}',
          "the network takes this node again {}"
        ]
      )
    })
  )

  it.effect("gives a session up when the daemon falls silent", () =>
    Effect.gen(function* () {
      const daemon = yield* daemonWith({ heartbeatMs: 1_000, deaf: true })
      yield* agentFor(daemon)
      const session = yield* wait(daemon.session(1))
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(yield* wait(session.closed), 1006)
    })
  )
})

/** Calls back when a count has not moved for many turns of the event loop. */
const whenStuck = async (count: () => number, resolve: () => void): Promise<void> => {
  let last = -1
  for (let still = 0; still < 500; still++) {
    await new Promise((turn) => void setImmediate(turn))
    if (count() !== last) still = 0
    last = count()
  }
  resolve()
}
