/**
 * What the WebSocket between an agent and a daemon carries, both ways, as JSON text frames.
 *
 * Every frame of the agent is numbered from 1 within its session; a gap or a repeat ends the session. A frame
 * never names a namespace, an account, a key, a price, a store, or whether a job is a test (an agent learns nothing it
 * does not need). Pieces of output are numbered within the job; the agent keeps what is not acknowledged.
 */
import * as Schema from "effect/Schema"
import { Hex } from "./Hex.ts"
import { JobId, LeaseToken, NodeId, SessionId } from "./Ids.ts"
import { Endpoint, Environment } from "./Job.ts"
import { Gpu, NodeProfile, ServedModel } from "./NodeProfile.ts"
import { FinishReason } from "./TokenEvent.ts"

/** 2: a result's signature covers the request and the model too. An agent or daemon of another version is refused. */
export const AGENT_PROTOCOL = 2
/** Largest frame either side accepts, in bytes. */
export const FRAME_BYTES_MAX = 1_048_576
/** Most output pieces in one frame. */
export const FRAME_PIECES_MAX = 512

/** Why a daemon closed a session; the number is the WebSocket close code. */
export const CLOSE = {
  bad_frame: 4400,
  unauthenticated: 4401,
  wrong_environment: 4403,
  handshake_timeout: 4408,
  superseded: 4409,
  too_fast: 4429,
  out_of_order: 1008,
  frame_too_big: 1009,
  draining: 1012,
  overloaded: 1013
} as const
export type CloseReason = keyof typeof CLOSE

const attempt = { jobId: JobId, attempt: Schema.Int, epoch: Schema.Int }

/** A piece as the agent sends it: `TokenEvent` without the server's clock. */
export const Piece = Schema.Struct({
  seq: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)),
  choice: Schema.Natural,
  text: Schema.String,
  extra: Schema.optionalKey(Schema.Record(Schema.String, Schema.Json)),
  finish: Schema.optionalKey(FinishReason)
})
export type Piece = typeof Piece.Type

/** What the EIP-191 signature of the handshake covers, as canonical JSON. The tag keeps it from standing for anything else. */
export const HandshakeClaim = Schema.Struct({
  domain: Schema.Literal("resultity/authenticate/v1"),
  environment: Environment,
  nodeId: Schema.String,
  serverId: Schema.String,
  nonce: Schema.String,
  timestamp: Schema.Int,
  sessionKey: Schema.String
})
export type HandshakeClaim = typeof HandshakeClaim.Type

/** What the Ed25519 signature of a result covers, as canonical JSON. */
export const ResultClaim = Schema.Struct({
  domain: Schema.Literal("resultity/result/v2"),
  jobId: Schema.String,
  attempt: Schema.Int,
  epoch: Schema.Int,
  model: Schema.String,
  /** SHA-256 over the job's salt, a line feed and the canonical JSON of what the node was asked: its endpoint and body. */
  requestSha256: Schema.String,
  firstSeq: Schema.Int,
  lastSeq: Schema.Int,
  promptTokens: Schema.Int,
  outputTokens: Schema.Int,
  /** SHA-256 over the job's salt and the canonical JSON of each piece of the attempt, in order, each followed by a line feed. */
  piecesSha256: Schema.String
})
export type ResultClaim = typeof ResultClaim.Type

export const AgentFrame = Schema.TaggedUnion({
  /** Answers the challenge. */
  Authenticate: {
    protocol: Schema.Int,
    environment: Environment,
    nodeId: NodeId,
    timestamp: Schema.Int,
    /** Ed25519 public key for this session, raw, 32 bytes. */
    sessionKey: Hex(32),
    /** r ‖ s ‖ v, 65 bytes, low s only. */
    signature: Hex(65),
    profile: NodeProfile
  },
  /** Attempts the agent still holds from before, sent right after `Registered`, also when there are none. */
  Holding: {
    attempts: Schema.Array(
      Schema.Struct({ ...attempt, firstSeq: Schema.Int, lastSeq: Schema.Int, done: Schema.Boolean })
    ).check(Schema.isMaxLength(4096))
  },
  Heartbeat: {
    slotsUsed: Schema.Natural,
    healthy: Schema.Boolean,
    digest: Schema.String.check(Schema.isMaxLength(128)),
    gpus: Schema.Array(Gpu).check(Schema.isMaxLength(32)),
    /** Only when they changed. */
    models: Schema.optionalKey(Schema.Array(ServedModel).check(Schema.isMaxLength(256)))
  },
  Accept: attempt,
  /** The node declines: a re-route, not a fault. */
  Reject: { ...attempt, code: Schema.String.check(Schema.isMaxLength(64)) },
  Pieces: {
    ...attempt,
    pieces: Schema.Array(Piece).check(Schema.isMinLength(1), Schema.isMaxLength(FRAME_PIECES_MAX))
  },
  /** The signed end of an attempt. `gpu` is its state while it ran. */
  Result: {
    ...attempt,
    model: Schema.String.check(Schema.isMaxLength(256)),
    requestSha256: Hex(32),
    firstSeq: Schema.Int,
    lastSeq: Schema.Int,
    promptTokens: Schema.Natural,
    outputTokens: Schema.Natural,
    piecesSha256: Hex(32),
    signature: Hex(64),
    gpu: Schema.optionalKey(Gpu)
  },
  /** The runtime broke or the job is impossible for it. `fault: job` when the request itself is at fault. */
  Fail: { ...attempt, code: Schema.String.check(Schema.isMaxLength(64)), fault: Schema.Literals(["node", "job"]) },
  /** The agent leaves: no new job, and its slots are gone when the last attempt is. */
  Bye: { reason: Schema.String.check(Schema.isMaxLength(128)) }
})
export type AgentFrame = typeof AgentFrame.Type

/** What the signature of this result covers. */
export const claimOf = (result: Extract<AgentFrame, { readonly _tag: "Result" }>): ResultClaim => {
  const { _tag, signature: _signature, gpu: _gpu, ...claimed } = result
  return { domain: "resultity/result/v2", ...claimed }
}

/** How an agent's frame stands on the wire: its number beside it. */
export const NumberedAgentFrame = Schema.Struct({ n: Schema.Int, frame: AgentFrame })

/** A restriction as its node hears of it. */
export const TellingRestriction = Schema.Struct({
  kind: Schema.String,
  reason: Schema.NullOr(Schema.String),
  until: Schema.NullOr(Schema.Int)
})
export type TellingRestriction = typeof TellingRestriction.Type

export const DaemonFrame = Schema.TaggedUnion({
  Challenge: { protocol: Schema.Int, serverId: Schema.String, nonce: Hex(32), at: Schema.Int },
  Registered: { sessionId: SessionId, digest: Schema.String, heartbeatMs: Schema.Int },
  /** Told before the socket is closed with the code of the same name. */
  Refused: { code: Schema.String, message: Schema.String, at: Schema.Int },
  Assign: {
    ...attempt,
    lease: LeaseToken,
    endpoint: Endpoint,
    body: Schema.JsonObject,
    /** Goes into the hashes of the job, so that a short text cannot be guessed from them. */
    salt: Hex(32),
    /** The number of the first piece to send. */
    firstSeq: Schema.Int,
    /** What each choice has said already; empty for a fresh start. */
    prefix: Schema.Array(
      Schema.Struct({ choice: Schema.Natural, text: Schema.String, finished: Schema.optionalKey(Schema.Literal(true)) })
    ),
    outputTokensMax: Schema.Natural,
    deadlineMs: Schema.Natural
  },
  /** The attempt goes on under this epoch: send pieces from `fromSeq` again, then the rest. */
  Resume: { ...attempt, fromSeq: Schema.Int },
  /** Pieces up to `seq` are durable. */
  Acknowledge: { jobId: JobId, attempt: Schema.Int, seq: Schema.Int },
  /** Stop the attempt and forget it. */
  Cancel: { jobId: JobId, attempt: Schema.Int, code: Schema.String },
  /** The result is recorded and settled (or came too late): forget the attempt. */
  Settled: { jobId: JobId, attempt: Schema.Int, status: Schema.Literals(["accepted", "stale", "refused"]) },
  /** With what holds the node back, as far as it is told: why, and until when (null: until somebody lifts it). Absent: nothing. */
  HeartbeatSeen: {
    digest: Schema.String,
    at: Schema.Int,
    restrictions: Schema.optionalKey(Schema.Array(TellingRestriction))
  },
  /** Finish what runs, take no more, then leave. */
  Drain: {}
})
export type DaemonFrame = typeof DaemonFrame.Type
