import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { AGENT_PROTOCOL, CLOSE, type AgentFrame, type CloseReason } from "../../../src/schemas/AgentFrame.ts"
import { MemoryAgent, type AgentOptions } from "../../support/MemoryAgent.ts"
import { World } from "../../support/World.ts"

const begin = Effect.gen(function* () {
  const world = yield* World.make()
  const daemon = yield* world.daemon()
  return { world, daemon }
})

const isRefused = (agent: MemoryAgent, reason: CloseReason, code?: string) => {
  assert.strictEqual(agent.closes.at(-1)?.code, CLOSE[reason])
  const refused = agent.heard.findLast((frame) => frame._tag === "Refused")
  if (code !== undefined) assert.strictEqual(refused?.code, code)
}

describe("a handshake", () => {
  it.effect("that is honest is registered, under the id of the node's key", () =>
    Effect.gen(function* () {
      const { world, daemon } = yield* begin
      const agent = yield* world.agent(daemon)
      assert.strictEqual(agent.registrations, 1)
      assert.strictEqual(world.shared.state.nodes.get(agent.nodeId)?.row.nodeId, agent.nodeId)
    })
  )

  const broken: ReadonlyArray<readonly [string, AgentOptions, CloseReason, string]> = [
    [
      "signed by another key",
      { authenticate: (frame) => ({ ...frame, signature: `${"ab".repeat(64)}1b` }) },
      "unauthenticated",
      "bad_signature"
    ],
    [
      "for another daemon",
      { claim: (claim) => ({ ...claim, serverId: "daemon_other" }) },
      "unauthenticated",
      "bad_signature"
    ],
    [
      "over another nonce",
      { claim: (claim) => ({ ...claim, nonce: "00".repeat(32) }) },
      "unauthenticated",
      "bad_signature"
    ],
    [
      "of another node",
      { authenticate: (frame) => ({ ...frame, nodeId: `0x${"12".repeat(20)}` as never }) },
      "unauthenticated",
      "bad_signature"
    ],
    [
      "with an old timestamp",
      { claim: (claim) => ({ ...claim, timestamp: claim.timestamp - 61_000 }) },
      "unauthenticated",
      "clock_skew"
    ],
    [
      "with a timestamp that was not signed",
      { authenticate: (frame) => ({ ...frame, timestamp: frame.timestamp + 1 }) },
      "unauthenticated",
      "bad_signature"
    ],
    ["of the other environment", { environment: "mainnet" }, "wrong_environment", "wrong_environment"],
    [
      "of the protocol before, whose results say less",
      { authenticate: (frame) => ({ ...frame, protocol: AGENT_PROTOCOL - 1 }) },
      "bad_frame",
      "protocol"
    ],
    [
      "of another protocol",
      { authenticate: (frame) => ({ ...frame, protocol: AGENT_PROTOCOL + 1 }) },
      "bad_frame",
      "protocol"
    ],
    [
      "with a session key of small order",
      { claim: (claim) => ({ ...claim, sessionKey: "00".repeat(32) }) },
      "unauthenticated",
      "bad_signature"
    ],
    [
      "that is no handshake",
      { authenticate: () => ({ _tag: "Bye", reason: "hello" }) },
      "unauthenticated",
      "not_authenticated"
    ]
  ]
  for (const [what, options, reason, code] of broken) {
    it.effect(`${what} is refused and leaves no node behind`, () =>
      Effect.gen(function* () {
        const { world, daemon } = yield* begin
        const agent = yield* world.agent(daemon, { ...options, testOrders: "answer" })
        yield* world.until("closed", () => agent.closes.length === 1)
        isRefused(agent, reason, code)
        assert.strictEqual(world.shared.state.nodes.size, 0)
        assert.strictEqual(agent.registrations, 0)
      })
    )
  }

  it.effect("heard once and replayed is refused", () =>
    Effect.gen(function* () {
      const { world, daemon } = yield* begin
      let heard: AgentFrame | undefined
      const agent = yield* world.agent(daemon, { authenticate: (frame) => (heard = frame) })
      const thief = yield* world.agent(daemon, { authenticate: () => heard!, testOrders: "answer" })
      yield* world.until("closed", () => thief.closes.length === 1)
      isRefused(thief, "unauthenticated", "bad_signature")
      assert.isTrue(agent.isConnected)
    })
  )

  it.effect("that never comes is given up after five seconds", () =>
    Effect.gen(function* () {
      const { world, daemon } = yield* begin
      const agent = yield* MemoryAgent.make()
      agent.sendNumbered = () => undefined
      yield* daemon.connect(agent)
      yield* world.pass(4900)
      assert.strictEqual(agent.closes.length, 0)
      yield* world.pass(200)
      isRefused(agent, "handshake_timeout")
    })
  )

  it.effect("while the registry is out is refused with a word to come back, and goes through then", () =>
    Effect.gen(function* () {
      const { world, daemon } = yield* begin
      daemon.faults.fail("NodeRegistry")
      const agent = yield* world.agent(daemon, { testOrders: "answer" })
      yield* world.until("closed", () => agent.closes.length === 1)
      assert.strictEqual(agent.closes[0]?.code, CLOSE.overloaded)
      daemon.faults.heal()
      yield* daemon.connect(agent)
      yield* world.untilActive(agent)
    })
  )
})

describe("a session", () => {
  const breaches: ReadonlyArray<readonly [string, (agent: MemoryAgent) => void, CloseReason]> = [
    ["with a number left out", (agent) => agent.sendNumbered(99, { _tag: "Bye", reason: "x" }), "out_of_order"],
    [
      "with a number said twice",
      (agent) => {
        agent.beat()
        agent.sendNumbered(1, { _tag: "Bye", reason: "x" })
      },
      "out_of_order"
    ],
    ["of text that is no JSON", (agent) => agent.sendRaw("{"), "bad_frame"],
    ["with a frame that nobody knows", (agent) => agent.send({ _tag: "Dance" } as never), "bad_frame"],
    [
      "with ill-formed text",
      (agent) =>
        agent.send({
          _tag: "Pieces",
          jobId: "job_x" as never,
          attempt: 1,
          epoch: 1,
          pieces: [{ seq: 1, choice: 0, text: "\ud800" }]
        }),
      "bad_frame"
    ],
    [
      "that is too fast",
      (agent) => {
        for (let count = 0; count < 41_000; count++) agent.beat()
      },
      "too_fast"
    ]
  ]
  for (const [what, act, reason] of breaches) {
    it.effect(`${what} ends with the code that says so`, () =>
      Effect.gen(function* () {
        const { world, daemon } = yield* begin
        const agent = yield* world.agent(daemon)
        act(agent)
        yield* world.until("closed", () => agent.closes.length === 1)
        isRefused(agent, reason)
        yield* world.until("gone", () => world.presence(agent) === null)
        yield* daemon.connect(agent)
        yield* world.untilActive(agent)
      })
    )
  }

  it.effect("that authenticates twice ends as one that makes no sense", () =>
    Effect.gen(function* () {
      const { world, daemon } = yield* begin
      let hello: AgentFrame | undefined
      const agent = yield* world.agent(daemon, { authenticate: (frame) => (hello = frame) })
      agent.send(hello!)
      yield* world.until("closed", () => agent.closes.length === 1)
      assert.strictEqual(agent.closes[0]?.code, CLOSE.bad_frame)
    })
  )

  it.effect("of a hundred nodes at once are a hundred nodes", () =>
    Effect.gen(function* () {
      const { world, daemon } = yield* begin
      const agents = yield* Effect.forEach(Array.from({ length: 100 }), () => MemoryAgent.make())
      yield* Effect.forEach(agents, (agent) => daemon.connect(agent), { discard: true })
      yield* world.until("all active", () => agents.every((agent) => world.presence(agent)?.lifecycle === "active"))
      assert.strictEqual(world.shared.state.nodes.size, 100)
    })
  )
})
