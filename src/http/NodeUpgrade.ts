/** The WebSocket door for nodes: `/nodes/connect` and nothing else may be upgraded. Each session is one fiber of this listener. */
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import { type WebSocket, WebSocketServer } from "ws"
import { NodeSupervisor } from "../actors/node/NodeSupervisor.ts"
import type { RateLimits } from "../layers/RateLimits.ts"
import { Readiness } from "../layers/Readiness.ts"
import { FRAME_BYTES_MAX } from "../schemas/AgentFrame.ts"
import { refuse } from "../schemas/Refusal.ts"
import * as AgentSocket from "./AgentSocket.ts"
import { endRaw, type OnUpgrade } from "./Listener.ts"
import type { PeerAddress } from "./PeerAddress.ts"
import { takeHandshake } from "./RateLimit.ts"

export const NODES_PATH = "/nodes/connect"

const noUpgrade = refuse("not_found", "Nothing here can be upgraded.")
const draining = refuse("draining", "This server is about to stop. Connect again; another one will answer.")

type Services = NodeSupervisor | RateLimits | Readiness

export const make = Effect.fnUntraced(function* (
  addressOf: PeerAddress
): Effect.fn.Return<OnUpgrade, never, Services | Scope.Scope> {
  const server = yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new WebSocketServer({
          noServer: true,
          maxPayload: FRAME_BYTES_MAX,
          perMessageDeflate: false,
          clientTracking: false
        })
    ),
    (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  )
  const run = yield* FiberSet.makeRuntime<Services>()
  return (incoming, socket, head) => {
    socket.on("error", () => socket.destroy())
    if ((incoming.url ?? "").split("?")[0] !== NODES_PATH) return endRaw(socket, noUpgrade)
    run(converse(server, incoming, socket, head, addressOf(incoming)))
  }
})

const converse = Effect.fnUntraced(
  function* (server: WebSocketServer, incoming: IncomingMessage, socket: Duplex, head: Buffer, address: string) {
    yield* takeHandshake(address)
    const readiness = yield* Readiness
    if (yield* readiness.draining) return yield* draining
    const upgraded = yield* upgrade(server, incoming, socket, head)
    if (upgraded === null) return
    const supervisor = yield* NodeSupervisor
    // However the session ends, its socket does not outlive it.
    yield* Effect.ensuring(
      supervisor.serve(AgentSocket.make(upgraded, address)),
      Effect.sync(() => upgraded.terminate())
    )
  },
  (effect, _server, _incoming, socket) =>
    Effect.catchTag(effect, "Refusal", (refusal) => Effect.sync(() => endRaw(socket, refusal)))
)

/** null: the peer left, or its handshake is none; the library has answered it. */
const upgrade = (server: WebSocketServer, incoming: IncomingMessage, socket: Duplex, head: Buffer) =>
  Effect.callback<WebSocket | null>((resume) => {
    if (socket.destroyed) return resume(Effect.succeed(null))
    const gone = () => resume(Effect.succeed(null))
    socket.once("close", gone)
    server.handleUpgrade(incoming, socket, head, (upgraded) => {
      socket.off("close", gone)
      resume(Effect.succeed(upgraded))
    })
  })
