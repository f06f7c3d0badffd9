/**
 * An agent over a real WebSocket that does what it is told and nothing else, good or bad, for tests of the daemon:
 * answer, stall, die, lie about tokens, sign wrongly, misnumber, send too much, repeat, answer for somebody else, hold
 * and resume. It keeps no state of its own accord: what is not ordered does not happen. Heartbeats too are sent on
 * order only.
 */
import { randomBytes } from "node:crypto"
import { WebSocket } from "ws"
import { fromPrivateKey, type Identity } from "../../src/agent/Identity.ts"
import { fresh, type SessionKey } from "../../src/agent/SessionKey.ts"
import { piecesHash, requestSha256 } from "../../src/layers/Signatures.ts"
import {
  AGENT_PROTOCOL,
  claimOf,
  type AgentFrame,
  type DaemonFrame,
  type HandshakeClaim,
  type Piece
} from "../../src/schemas/AgentFrame.ts"
import type { NodeId } from "../../src/schemas/Ids.ts"
import type { Environment } from "../../src/schemas/Job.ts"
import type { NodeProfile } from "../../src/schemas/NodeProfile.ts"
import { type FrameLog, make as makeLog } from "./FrameLog.ts"

type DaemonFrameOf<Tag extends DaemonFrame["_tag"]> = Extract<DaemonFrame, { readonly _tag: Tag }>
type AgentFrameOf<Tag extends AgentFrame["_tag"]> = Extract<AgentFrame, { readonly _tag: Tag }>
export type Assign = DaemonFrameOf<"Assign">
export type Closed = { readonly _tag: "Closed"; readonly code: number; readonly reason: string }

export interface FakeAgentOptions {
  readonly url: string
  readonly identity?: Identity
  readonly environment?: Environment
  readonly profile?: Partial<NodeProfile>
  /** Changes the handshake before it is signed, e.g. a stale timestamp. */
  readonly claim?: (claim: HandshakeClaim) => HandshakeClaim
  /** Changes `Authenticate` after it was signed, e.g. a spoilt signature. */
  readonly authenticate?: (frame: AgentFrameOf<"Authenticate">) => AgentFrameOf<"Authenticate">
  /** What `Holding` tells after `Registered`; nothing is held when not given, and null sends no `Holding`. */
  readonly holding?: AgentFrameOf<"Holding">["attempts"] | null
  /** Sends nothing when challenged. */
  readonly mute?: boolean
}

export interface ResultOptions {
  readonly promptTokens?: number
  readonly outputTokens?: number
  /** Signs with a key that the session does not have. */
  readonly wrongSignature?: boolean
  /** Claims another hash than that of the pieces sent. */
  readonly wrongHash?: boolean
  /** Fields of the frame to replace, and sign over. */
  readonly replace?: Partial<AgentFrameOf<"Result">>
}

export interface FakeAgent {
  readonly nodeId: NodeId
  readonly sessionKey: SessionKey
  /** Everything the daemon sent, and at last how it closed. */
  readonly heard: FrameLog<DaemonFrame | Closed>
  readonly registered: Promise<DaemonFrameOf<"Registered">>
  readonly closed: Promise<Closed>
  /** The n-th assignment, from 1. */
  readonly assigned: (count?: number) => Promise<Assign>
  readonly resumed: (count?: number) => Promise<DaemonFrameOf<"Resume">>

  readonly send: (frame: AgentFrame) => void
  /** Sends the frame under this number instead of the next one. */
  readonly sendNumbered: (n: number, frame: AgentFrame) => void
  readonly sendRaw: (data: string | Uint8Array) => void

  readonly accept: (job: Assign) => void
  readonly reject: (job: Assign, code: string) => void
  /** Says one piece a text, numbered on from what was said for the attempt. */
  readonly say: (job: Assign, texts: ReadonlyArray<string>, choice?: number) => void
  /** Says pieces as they are, numbers included. */
  readonly sayPieces: (job: Assign, pieces: ReadonlyArray<Piece>) => void
  /** The end of a choice, as a piece without text. */
  readonly finish: (job: Assign, finish?: Piece["finish"], choice?: number) => void
  /** Signs and sends the result over all that was said. The frame, so that it can be sent again. */
  readonly result: (job: Assign, options?: ResultOptions) => AgentFrameOf<"Result">
  readonly fail: (job: Assign, code: string, fault: "node" | "job") => void
  /** Accept, say, finish, result. */
  readonly answer: (job: Assign, texts: ReadonlyArray<string>, options?: ResultOptions) => AgentFrameOf<"Result">
  readonly heartbeat: (more?: Partial<AgentFrameOf<"Heartbeat">>) => void
  readonly oversized: (bytes: number) => void

  /** Takes over what another (dead) agent of the same node said for the attempt, under the epoch it is resumed with. */
  readonly adopt: (job: Assign, from: FakeAgent, epoch: number) => Assign
  readonly said: (job: Assign) => ReadonlyArray<Piece>
  /** Drops the socket without a word. */
  readonly die: () => void
  readonly close: () => Promise<Closed>
  /** Stops reading from the socket, as an agent that hangs. */
  readonly stall: () => void
}

const PROFILE: NodeProfile = {
  name: "fake",
  agentVersion: "test",
  runtime: "fake",
  subclouds: [],
  gpus: [],
  slots: 4,
  models: [
    { name: "sim-small", endpoints: ["chat", "completions"], canContinue: true, loaded: true },
    { name: "sim-embed", endpoints: ["embeddings"], canContinue: false, loaded: true }
  ]
}

export const freshIdentity = (): Identity => fromPrivateKey(Uint8Array.from([1, ...randomBytes(31)]))

const keyOf = ({ jobId, attempt }: Pick<Assign, "jobId" | "attempt">): string => `${jobId}/${attempt}`
const ids = ({ jobId, attempt, epoch }: Assign) => ({ jobId, attempt, epoch })

/** Connects; the handshake goes by itself (await `registered`, or `closed`). */
export const connect = (options: FakeAgentOptions): FakeAgent => {
  const identity = options.identity ?? freshIdentity()
  const sessionKey = fresh()
  const heard = makeLog<DaemonFrame | Closed>()
  const said = new Map<string, Array<Piece>>()
  const socket = new WebSocket(options.url, { perMessageDeflate: false })
  let number = 0

  const sendRaw = (data: string | Uint8Array): void => {
    if (socket.readyState === WebSocket.OPEN) socket.send(data)
  }
  const sendNumbered = (n: number, frame: AgentFrame): void => sendRaw(JSON.stringify({ n, frame }))
  const send = (frame: AgentFrame): void => sendNumbered(++number, frame)
  const piecesOf = (job: Assign): Array<Piece> => {
    const known = said.get(keyOf(job)) ?? []
    said.set(keyOf(job), known)
    return known
  }
  const count = async <Tag extends "Assign" | "Resume">(tag: Tag, nth: number): Promise<DaemonFrameOf<Tag>> => {
    let seen = 0
    return heard.next((frame): frame is DaemonFrameOf<Tag> => frame._tag === tag && ++seen === nth)
  }

  socket.on("error", () => undefined)
  socket.on("close", (code, reason) => heard.add({ _tag: "Closed", code, reason: reason.toString() }))
  socket.on("message", (data) => {
    const frame = JSON.parse((data as Buffer).toString("utf8")) as DaemonFrame
    if (frame._tag === "Challenge" && options.mute !== true)
      send(authenticateFrame(options, identity, sessionKey, frame))
    if (frame._tag === "Registered" && options.holding !== null) {
      send({ _tag: "Holding", attempts: options.holding ?? [] })
    }
    heard.add(frame)
  })

  const sayPieces: FakeAgent["sayPieces"] = (job, pieces) => {
    piecesOf(job).push(...pieces)
    send({ _tag: "Pieces", ...ids(job), pieces })
  }
  const nextSeq = (job: Assign): number => job.firstSeq + piecesOf(job).length
  const say: FakeAgent["say"] = (job, texts, choice = 0) =>
    sayPieces(
      job,
      texts.map((text, at) => ({ seq: nextSeq(job) + at, choice, text }))
    )
  const finish: FakeAgent["finish"] = (job, reason = "stop", choice = 0) =>
    sayPieces(job, [{ seq: nextSeq(job), choice, text: "", finish: reason }])
  const accept = (job: Assign): void => send({ _tag: "Accept", ...ids(job) })
  const result: FakeAgent["result"] = (job, how = {}) => {
    const frame = resultFrame(job, piecesOf(job), how, sessionKey)
    send(frame)
    return frame
  }
  return {
    nodeId: identity.nodeId,
    sessionKey,
    heard,
    registered: heard.tagged("Registered"),
    closed: heard.tagged("Closed"),
    assigned: (nth = 1) => count("Assign", nth),
    resumed: (nth = 1) => count("Resume", nth),
    send,
    sendNumbered,
    sendRaw,
    accept,
    reject: (job, code) => send({ _tag: "Reject", ...ids(job), code }),
    say,
    sayPieces,
    finish,
    result,
    fail: (job, code, fault) => send({ _tag: "Fail", ...ids(job), code, fault }),
    answer: (job, texts, how) => {
      accept(job)
      say(job, texts)
      finish(job)
      return result(job, how)
    },
    heartbeat: (more) => send({ _tag: "Heartbeat", slotsUsed: 0, healthy: true, digest: "", gpus: [], ...more }),
    oversized: (bytes) => sendRaw(JSON.stringify({ n: ++number, frame: { _tag: "Bye", reason: "x".repeat(bytes) } })),
    adopt: (job, from, epoch) => {
      said.set(keyOf(job), [...from.said(job)])
      return { ...job, epoch }
    },
    said: piecesOf,
    die: () => socket.terminate(),
    close: () => {
      socket.close(1000)
      return heard.tagged("Closed")
    },
    stall: () => socket.pause()
  }
}

const authenticateFrame = (
  options: FakeAgentOptions,
  identity: Identity,
  sessionKey: SessionKey,
  { serverId, nonce }: DaemonFrameOf<"Challenge">
): AgentFrame => {
  const honest: HandshakeClaim = {
    domain: "resultity/authenticate/v1",
    environment: options.environment ?? "testnet",
    nodeId: identity.nodeId,
    serverId,
    nonce,
    timestamp: Date.now(),
    sessionKey: sessionKey.publicHex
  }
  const claim = options.claim?.(honest) ?? honest
  const frame: AgentFrameOf<"Authenticate"> = {
    _tag: "Authenticate",
    protocol: AGENT_PROTOCOL,
    environment: claim.environment,
    nodeId: identity.nodeId,
    timestamp: claim.timestamp,
    sessionKey: claim.sessionKey,
    signature: identity.signHandshake(claim),
    profile: { ...PROFILE, ...options.profile }
  }
  return options.authenticate?.(frame) ?? frame
}

const resultFrame = (
  job: Assign,
  pieces: ReadonlyArray<Piece>,
  how: ResultOptions,
  sessionKey: SessionKey
): AgentFrameOf<"Result"> => {
  const hash = piecesHash(job.salt)
  for (const piece of pieces) hash.add(piece)
  const told = {
    ...ids(job),
    model: String(job.body["model"]),
    requestSha256: requestSha256(job.salt, job.endpoint, job.body),
    firstSeq: job.firstSeq,
    lastSeq: job.firstSeq + pieces.length - 1,
    promptTokens: how.promptTokens ?? 1,
    outputTokens: how.outputTokens ?? pieces.filter(({ text }) => text !== "").length,
    piecesSha256: how.wrongHash === true ? "ab".repeat(32) : hash.digest(),
    ...how.replace
  }
  const signer = how.wrongSignature === true ? fresh() : sessionKey
  const frame = { ...told, _tag: "Result" as const, signature: "" }
  return { ...frame, signature: how.replace?.signature ?? signer.signResult(claimOf(frame)) }
}
