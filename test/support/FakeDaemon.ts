/**
 * The daemon's end of the WebSocket, as far as an agent can tell: challenges, checks the signature and the frame
 * numbers, decodes every frame by the schema, and otherwise does what the test says. Frames are logged per session.
 */
import { Schema } from "effect"
import { randomBytes } from "node:crypto"
import type { AddressInfo } from "node:net"
import { type WebSocket, WebSocketServer } from "ws"
import { recoverAddress } from "../../src/layers/Signatures.ts"
import {
  AGENT_PROTOCOL,
  type AgentFrame,
  CLOSE,
  type CloseReason,
  type DaemonFrame,
  NumberedAgentFrame
} from "../../src/schemas/AgentFrame.ts"
import { JobId, LeaseToken, SessionId } from "../../src/schemas/Ids.ts"
import { type FrameLog, make as makeLog } from "./FrameLog.ts"

export interface FakeSession {
  readonly frames: FrameLog<AgentFrame>
  readonly authenticate: Extract<AgentFrame, { readonly _tag: "Authenticate" }>
  readonly send: (frame: DaemonFrame) => void
  readonly sendRaw: (text: string) => void
  readonly close: (reason: CloseReason) => void
  /** Drops the socket without a word. */
  readonly drop: () => void
  /** Stops and restarts reading from the socket. */
  readonly pause: () => void
  readonly resume: () => void
  /** Done with the close code when the socket is gone. */
  readonly closed: Promise<number>
}

export interface FakeDaemonOptions {
  readonly heartbeatMs?: number
  /** Instead of `Registered`: refuse with this code and close. */
  readonly refuse?: { readonly close: CloseReason; readonly code: string; readonly at?: number }
  readonly protocol?: number
  /** Leave heartbeats unanswered. */
  readonly deaf?: boolean
}

export interface FakeDaemon {
  readonly url: string
  /** The n-th session from 1 that got as far as `Holding`. */
  readonly session: (count: number) => Promise<FakeSession>
  /** Sockets that were opened. */
  readonly connects: () => number
  readonly options: { -readonly [K in keyof FakeDaemonOptions]: FakeDaemonOptions[K] }
  readonly close: () => Promise<void>
}

const decode = Schema.decodeUnknownSync(NumberedAgentFrame, { onExcessProperty: "error" })

export const start = async (given: FakeDaemonOptions = {}): Promise<FakeDaemon> => {
  const options = { ...given }
  const sessions = makeLog<{ readonly _tag: "Session"; readonly session: FakeSession }>()
  let connects = 0
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: false })
  server.on("connection", (socket) => {
    connects += 1
    talk(socket, options, (session) => sessions.add({ _tag: "Session", session }))
  })
  await new Promise((listening) => void server.once("listening", listening))
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    session: async (count) => (await sessions.tagged("Session", count - 1)).session,
    connects: () => connects,
    options,
    close: () =>
      new Promise((closed) => {
        for (const client of server.clients) client.terminate()
        server.close(() => closed())
      })
  }
}

const talk = (socket: WebSocket, options: FakeDaemonOptions, onSession: (session: FakeSession) => void): void => {
  const frames = makeLog<AgentFrame>()
  const nonce = randomBytes(32).toString("hex")
  const send = (frame: DaemonFrame): void => socket.send(JSON.stringify(frame))
  const closed = new Promise<number>((resolve) => void socket.once("close", resolve))
  socket.on("error", () => undefined)
  let expected = 1
  let authenticate: FakeSession["authenticate"] | null = null
  socket.on("message", (data) => {
    const { n, frame } = decode(JSON.parse((data as Buffer).toString("utf8")))
    if (n !== expected) return socket.close(CLOSE.out_of_order)
    expected += 1
    frames.add(frame)
    if (frame._tag === "Authenticate") {
      authenticate = frame
      return greet(socket, options, frame, nonce, send)
    }
    if (frame._tag === "Heartbeat" && options.deaf !== true) send({ _tag: "HeartbeatSeen", digest: "cfg-2", at: 0 })
    if (frame._tag === "Holding" && authenticate !== null) {
      onSession({
        frames,
        authenticate,
        send,
        sendRaw: (text) => socket.send(text),
        close: (reason) => socket.close(CLOSE[reason]),
        drop: () => socket.terminate(),
        pause: () => socket.pause(),
        resume: () => socket.resume(),
        closed
      })
    }
  })
  send({ _tag: "Challenge", protocol: options.protocol ?? AGENT_PROTOCOL, serverId: "daemon_fake", nonce, at: 0 })
}

const greet = (
  socket: WebSocket,
  options: FakeDaemonOptions,
  frame: FakeSession["authenticate"],
  nonce: string,
  send: (frame: DaemonFrame) => void
): void => {
  const { environment, nodeId, timestamp, sessionKey, signature } = frame
  const signer = recoverAddress(
    { domain: "resultity/authenticate/v1", environment, nodeId, serverId: "daemon_fake", nonce, timestamp, sessionKey },
    signature
  )
  const refuse =
    options.refuse ?? (signer === nodeId ? undefined : { close: "unauthenticated" as const, code: "bad_signature" })
  if (refuse === undefined) {
    const heartbeatMs = options.heartbeatMs ?? 3_600_000
    return send({ _tag: "Registered", sessionId: SessionId.make("session_fake"), digest: "cfg-1", heartbeatMs })
  }
  send({ _tag: "Refused", code: refuse.code, message: "as ordered", at: refuse.at ?? 0 })
  socket.close(CLOSE[refuse.close])
}

export const jobId = (name: string): JobId => JobId.make(`job_${name}`)

type Assign = Extract<DaemonFrame, { readonly _tag: "Assign" }>

/** Of every assignment, unless a test says otherwise. */
export const SALT = "5a".repeat(32)

/** A chat assignment for `sim-small`; say what differs. */
export const assignment = (name: string, more: Partial<Assign> = {}): Assign => ({
  _tag: "Assign",
  jobId: jobId(name),
  attempt: 1,
  epoch: 1,
  lease: LeaseToken.make("lease_fake"),
  endpoint: "chat",
  body: { model: "sim-small", messages: [{ role: "user", content: name }] },
  salt: SALT,
  firstSeq: 1,
  prefix: [],
  outputTokensMax: 1024,
  deadlineMs: 60_000,
  ...more
})
