/**
 * The scriptable agent itself: honest where it is told to be honest, and wrong in exactly the one way it is told to be
 * wrong.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { piecesHash, verifyResult } from "../../src/layers/Signatures.ts"
import { type AgentFrame, CLOSE } from "../../src/schemas/AgentFrame.ts"
import { connect, type FakeAgentOptions, freshIdentity } from "../support/FakeAgent.ts"
import { assignment, SALT, start } from "../support/FakeDaemon.ts"

const wait = <A>(promise: Promise<A>) => Effect.promise(() => promise)

const pair = Effect.fnUntraced(function* (options: Partial<FakeAgentOptions> = {}) {
  const daemon = yield* Effect.acquireRelease(wait(start()), (running) => wait(running.close()))
  const agent = connect({ url: daemon.url, ...options })
  yield* Effect.addFinalizer(() => Effect.sync(agent.die))
  return { daemon, agent }
})

/** Whether a daemon that checks hash and signature would take this result. */
const holds = (frame: AgentFrame | undefined, key: string, frames: ReadonlyArray<AgentFrame>): boolean => {
  if (frame?._tag !== "Result") return false
  const { _tag, signature, gpu: _gpu, ...claim } = frame
  const hash = piecesHash(SALT)
  for (const one of frames) if (one._tag === "Pieces") one.pieces.forEach(hash.add)
  return (
    hash.digest() === claim.piecesSha256 && verifyResult({ domain: "resultity/result/v2", ...claim }, signature, key)
  )
}

describe("a fake agent", () => {
  it.live("answers a job as an honest agent does, and repeats itself when told", () =>
    Effect.gen(function* () {
      const { daemon, agent } = yield* pair()
      const session = yield* wait(daemon.session(1))
      session.send(assignment("a"))
      const job = yield* wait(agent.assigned())
      const result = agent.answer(job, ["Hello", " you"])
      yield* wait(session.frames.tagged("Result"))
      assert.isTrue(holds(result, session.authenticate.sessionKey, session.frames.all))
      agent.send(result)
      agent.heartbeat()
      yield* wait(session.frames.tagged("Heartbeat"))
      assert.strictEqual(session.frames.all.filter((frame) => frame._tag === "Result").length, 2)
      assert.strictEqual((yield* wait(agent.heard.tagged("HeartbeatSeen"))).digest, "cfg-2")
      assert.strictEqual((yield* wait(agent.close())).code, 1000)
    })
  )

  it.live("signs or hashes wrongly only when told", () =>
    Effect.gen(function* () {
      const { daemon, agent } = yield* pair()
      const session = yield* wait(daemon.session(1))
      session.send(assignment("a"))
      const job = yield* wait(agent.assigned())
      agent.say(job, ["x"])
      const key = session.authenticate.sessionKey
      const results = [
        agent.result(job, { wrongSignature: true }),
        agent.result(job, { wrongHash: true }),
        agent.result(job, { outputTokens: 1_000_000 })
      ]
      agent.heartbeat()
      yield* wait(session.frames.tagged("Heartbeat"))
      assert.deepStrictEqual(
        results.map((result) => holds(result, key, session.frames.all)),
        [false, false, true]
      )
    })
  )

  it.live("is turned away for a spoilt handshake and for a wrong number", () =>
    Effect.gen(function* () {
      const spoilt = yield* pair({ claim: (claim) => ({ ...claim, nonce: "00".repeat(32) }) })
      assert.strictEqual((yield* wait(spoilt.agent.closed)).code, CLOSE.unauthenticated)
      const { daemon, agent } = yield* pair()
      yield* wait(daemon.session(1))
      agent.sendNumbered(9, { _tag: "Bye", reason: "gap" })
      assert.strictEqual((yield* wait(agent.closed)).code, CLOSE.out_of_order)
    })
  )

  it.live("comes back as the same node, with what it held, and goes on", () =>
    Effect.gen(function* () {
      const identity = freshIdentity()
      const { daemon, agent } = yield* pair({ identity })
      const first = yield* wait(daemon.session(1))
      first.send(assignment("a"))
      const job = yield* wait(agent.assigned())
      agent.say(job, ["one"])
      yield* wait(first.frames.tagged("Pieces"))
      agent.die()
      yield* wait(first.closed)
      const { jobId, attempt, epoch } = job
      const again = connect({
        url: daemon.url,
        identity,
        holding: [{ jobId, attempt, epoch, firstSeq: 1, lastSeq: 1, done: false }]
      })
      const second = yield* wait(daemon.session(2))
      second.send({ _tag: "Resume", jobId, attempt, epoch: 2, fromSeq: 2 })
      yield* wait(again.resumed())
      const adopted = again.adopt(job, agent, 2)
      again.say(adopted, [" two"])
      again.result(adopted)
      const result = yield* wait(second.frames.tagged("Result"))
      assert.deepStrictEqual([result.lastSeq, result.epoch], [2, 2])
      const hash = piecesHash(SALT)
      agent.said(job).forEach(hash.add)
      hash.add({ seq: 2, choice: 0, text: " two" })
      assert.strictEqual(result.piecesSha256, hash.digest())
      again.die()
    })
  )
})
