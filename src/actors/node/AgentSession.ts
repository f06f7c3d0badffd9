/**
 * One conversation with an agent, from challenge to end. It proves who is there, keeps the frames in order and within their rate, and hands
 * them to the node's actor; it judges no attempt. Any breach ends it with the close code that says why.
 */
import { randomBytes } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { ActorRef } from "../../kernel/ActorRef.ts"
import type { NodeRegistry } from "../../layers/NodeRegistry.ts"
import type { Settings } from "../../layers/Settings.ts"
import { isSessionKey, recoverAddress } from "../../layers/Signatures.ts"
import {
  AGENT_PROTOCOL,
  CLOSE,
  type AgentFrame,
  type CloseReason,
  type DaemonFrame,
  type HandshakeClaim
} from "../../schemas/AgentFrame.ts"
import { freshSessionId, type DaemonId } from "../../schemas/Ids.ts"
import type { Environment } from "../../schemas/Job.ts"
import type { NodeProfile, NodeRow } from "../../schemas/NodeProfile.ts"
import { decodeAgentFrame } from "./FrameDecoder.ts"
import type { NodeMessage, NodeSession } from "./NodeMessages.ts"
import type { AgentSocket } from "./AgentSocket.ts"

const HANDSHAKE_MAX = "5 seconds"
/** The most that two clocks may differ at the handshake. Never used to order anything. */
const CLOCK_SKEW_MAX_MS = 60_000
/** Frames that a session may send each second over time, and at once. */
const FRAMES_PER_SECOND = 20_000
const FRAMES_BURST = 40_000

export interface SessionHouse {
  readonly daemonId: DaemonId
  readonly environment: Environment
  readonly nodes: NodeRegistry["Service"]
  readonly settings: Settings["Service"]
  /** The node's actor, started if need be. */
  readonly actorOf: (row: NodeRow) => Effect.Effect<ActorRef<NodeMessage>>
}

/** What was wrong with the peer, told to it before the socket is closed. */
class Breach extends Data.TaggedError("Breach")<{
  readonly reason: CloseReason
  readonly code: string
  readonly message: string
}> {}

const breach = (reason: CloseReason, code: string, message: string) => new Breach({ reason, code, message })

type Authenticate = Extract<AgentFrame, { _tag: "Authenticate" }>

/** Runs the conversation to its end; an Outage of the registry ends it with a word to come back. */
export const serve = (house: SessionHouse, socket: AgentSocket): Effect.Effect<void> =>
  converse(house, socket).pipe(
    Effect.catchTag("Breach", (found) => refusePeer(socket, found)),
    Effect.catchTag("Outage", ({ during }) =>
      Effect.andThen(
        Effect.logWarning("session refused during an outage", { during }),
        socket.close(CLOSE.overloaded, "come back later")
      )
    )
  )

const refusePeer = (socket: AgentSocket, { reason, code, message }: Breach) =>
  Effect.gen(function* () {
    const at = yield* Clock.currentTimeMillis
    send(socket, { _tag: "Refused", code, message, at })
    yield* Effect.logInfo("session ended by a breach", { reason, code, address: socket.address })
    yield* socket.close(CLOSE[reason], code)
  })

const send = (socket: AgentSocket, frame: DaemonFrame): boolean => socket.send(JSON.stringify(frame))

const converse = Effect.fnUntraced(function* (house: SessionHouse, socket: AgentSocket) {
  const reader = makeReader(socket)
  const { hello, claim, rest } = yield* handshake(house, socket, reader).pipe(
    Effect.timeoutOrElse({
      duration: HANDSHAKE_MAX,
      orElse: () => Effect.fail(breach("handshake_timeout", "handshake_timeout", "No valid Authenticate came in time."))
    })
  )
  const { row, tested } = yield* register(house, hello)
  const { version: _version, digest, settings } = yield* house.settings.current
  const session = yield* openSession(socket, hello, claim, row.generation, tested)
  send(socket, { _tag: "Registered", sessionId: session.id, digest, heartbeatMs: settings.heartbeatMs })
  const actor = yield* house.actorOf(row)
  yield* Effect.orDie(actor.tell({ _tag: "SessionOpened", session }))
  if (rest.length > 0) yield* hand(actor, session, rest)
  yield* Effect.ensuring(
    pump(actor, session, reader),
    Effect.sync(() => void actor.tellUnsafe({ _tag: "SessionClosed", sessionId: session.id, code: "closed" }))
  )
})

const openSession = (
  socket: AgentSocket,
  hello: Authenticate,
  claim: HandshakeClaim,
  generation: number,
  tested: boolean
): Effect.Effect<NodeSession> =>
  Effect.gen(function* () {
    const id = yield* freshSessionId
    const context = yield* Effect.context<never>()
    return {
      id,
      generation,
      profile: hello.profile,
      tested,
      sessionKey: hello.sessionKey,
      vouch: { claim, signature: hello.signature },
      send: (frame) => send(socket, frame),
      end: (reason) => void Effect.runForkWith(context)(socket.close(CLOSE[reason], reason))
    }
  })

interface Reader {
  /** Frames in order; null at the end of the conversation. */
  readonly read: Effect.Effect<ReadonlyArray<AgentFrame> | null, Breach>
}

const makeReader = (socket: AgentSocket): Reader => {
  let number = 0
  let budget = FRAMES_BURST
  let refilledAt = 0
  const decodeAll = (texts: ReadonlyArray<string>, now: number): Result.Result<ReadonlyArray<AgentFrame>, Breach> => {
    budget = Math.min(FRAMES_BURST, budget + ((now - refilledAt) * FRAMES_PER_SECOND) / 1000) - texts.length
    refilledAt = now
    if (budget < 0) return Result.fail(breach("too_fast", "too_fast", "More frames than a session may send."))
    const frames: Array<AgentFrame> = []
    for (const text of texts) {
      const decoded = decodeAgentFrame(text)
      if (decoded === null) return Result.fail(breach("bad_frame", "bad_frame", "A frame is not of the protocol."))
      number += 1
      if (decoded.n !== number) {
        return Result.fail(breach("out_of_order", "out_of_order", `Frame ${number} was due, ${decoded.n} came.`))
      }
      frames.push(decoded.frame)
    }
    return Result.succeed(frames)
  }
  const read = Effect.gen(function* () {
    const texts = yield* socket.receive
    if (texts === null) return null
    return yield* Effect.fromResult(decodeAll(texts, yield* Clock.currentTimeMillis))
  })
  return { read }
}

const handshake = Effect.fnUntraced(function* (house: SessionHouse, socket: AgentSocket, reader: Reader) {
  const nonce = randomBytes(32).toString("hex")
  const at = yield* Clock.currentTimeMillis
  send(socket, { _tag: "Challenge", protocol: AGENT_PROTOCOL, serverId: house.daemonId, nonce, at })
  const frames = yield* reader.read
  const [hello, ...rest] = frames ?? []
  if (hello === undefined || hello._tag !== "Authenticate") {
    return yield* breach("unauthenticated", "not_authenticated", "The first frame has to be Authenticate.")
  }
  return { hello, claim: yield* prove(house, hello, nonce), rest }
})

const prove = Effect.fnUntraced(function* (house: SessionHouse, hello: Authenticate, nonce: string) {
  const now = yield* Clock.currentTimeMillis
  if (hello.protocol !== AGENT_PROTOCOL) {
    return yield* breach("bad_frame", "protocol", `This daemon speaks protocol ${AGENT_PROTOCOL}: update the agent.`)
  }
  if (hello.environment !== house.environment) {
    return yield* breach("wrong_environment", "wrong_environment", `This daemon serves ${house.environment}.`)
  }
  if (Math.abs(hello.timestamp - now) > CLOCK_SKEW_MAX_MS) {
    return yield* breach("unauthenticated", "clock_skew", "The agent's clock is more than a minute off: set it.")
  }
  const { environment, nodeId, timestamp, sessionKey } = hello
  const claim: HandshakeClaim = {
    domain: "resultity/authenticate/v1",
    environment,
    nodeId,
    serverId: house.daemonId,
    nonce,
    timestamp,
    sessionKey
  }
  if (!isSessionKey(sessionKey) || recoverAddress(claim, hello.signature) !== nodeId) {
    return yield* breach("unauthenticated", "bad_signature", "The signature is not the node's over this challenge.")
  }
  return claim
})

const register = Effect.fnUntraced(function* (house: SessionHouse, { nodeId, environment, profile }: Authenticate) {
  const at = yield* Clock.currentTimeMillis
  const before = yield* house.nodes.get(nodeId, at)
  const row = yield* house.nodes.register({ nodeId, environment, profile, at })
  return { row, tested: before !== null && before.lifecycle === "active" && servesTheSame(before.profile, profile) }
})

const servesTheSame = (a: NodeProfile, b: NodeProfile) =>
  a.runtime === b.runtime &&
  JSON.stringify([a.models, a.gpus.map(({ name }) => name)]) ===
    JSON.stringify([b.models, b.gpus.map(({ name }) => name)])

const pump = Effect.fnUntraced(function* (actor: ActorRef<NodeMessage>, session: NodeSession, reader: Reader) {
  while (true) {
    const frames = yield* reader.read
    if (frames === null) return
    yield* hand(actor, session, frames)
  }
})

/** An actor that cannot keep up with its node loses the session, not the daemon's memory; the node repeats what it kept. */
const hand = (actor: ActorRef<NodeMessage>, session: NodeSession, frames: ReadonlyArray<AgentFrame>) =>
  actor.tellUnsafe({ _tag: "FramesCame", sessionId: session.id, frames })
    ? Effect.void
    : Effect.fail(breach("overloaded", "overloaded", "Too many frames wait: come back later."))
