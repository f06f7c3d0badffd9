/** What a node's actor is told, by sessions, jobs and operators, and what it reports to the jobs whose attempts it holds. */
import type { AgentFrame } from "../../schemas/AgentFrame.ts"
import type { JobId, LeaseToken, NodeId, SessionId } from "../../schemas/Ids.ts"
import type { Endpoint } from "../../schemas/Job.ts"
import type { Fault } from "../../schemas/JobMoment.ts"
import type { Vouch } from "../../schemas/NodeProof.ts"
import type { NodeProfile } from "../../schemas/NodeProfile.ts"
import type { ChoiceText } from "../../schemas/TokenEvent.ts"
import type * as Schema from "effect/Schema"
import type { DaemonFrame } from "../../schemas/AgentFrame.ts"

/** The one socket of a node, after its handshake. */
export interface NodeSession {
  readonly id: SessionId
  /** Of two sessions of one node, on whichever daemons, the one with the higher generation is the later. */
  readonly generation: number
  readonly profile: NodeProfile
  /** It passed its test with these models before: no need to test it again. */
  readonly tested: boolean
  /** Ed25519 public key, raw, hexadecimal: what results are signed with. */
  readonly sessionKey: string
  /** The node's own word for that key. */
  readonly vouch: Vouch
  /** False: the socket is closed, or its buffer is full. */
  readonly send: (frame: DaemonFrame) => boolean
  /** Ends the conversation with this reason; the session then reports that it closed. */
  readonly end: (reason: "superseded" | "bad_frame" | "draining") => void
}

export interface Assignment {
  readonly jobId: JobId
  readonly attempt: number
  readonly epoch: number
  readonly lease: LeaseToken
  readonly model: string
  readonly endpoint: Endpoint
  readonly body: Schema.JsonObject
  readonly salt: string
  readonly firstSeq: number
  readonly prefix: ReadonlyArray<ChoiceText>
  readonly outputTokensMax: number
  readonly deadlineMs: number
}

export type NodeMessage =
  | { readonly _tag: "SessionOpened"; readonly session: NodeSession }
  /** The node opened a session with another daemon. */
  | { readonly _tag: "ConnectedElsewhere"; readonly generation: number }
  | { readonly _tag: "FramesCame"; readonly sessionId: SessionId; readonly frames: ReadonlyArray<AgentFrame> }
  | { readonly _tag: "SessionClosed"; readonly sessionId: SessionId; readonly code: string }
  | { readonly _tag: "Assign"; readonly assignment: Assignment }
  /** Go on with an attempt that this node may still hold. */
  | {
      readonly _tag: "Reattach"
      readonly jobId: JobId
      readonly attempt: number
      readonly epoch: number
      readonly fromSeq: number
    }
  | { readonly _tag: "CancelAttempt"; readonly jobId: JobId; readonly attempt: number; readonly code: string }
  | { readonly _tag: "Stored"; readonly jobId: JobId; readonly attempt: number; readonly seq: number }
  | {
      readonly _tag: "SettleAttempt"
      readonly jobId: JobId
      readonly attempt: number
      readonly status: "accepted" | "stale" | "refused"
    }
  | { readonly _tag: "Penalise"; readonly jobId: JobId; readonly code: string }
  | { readonly _tag: "Forgive" }
  | { readonly _tag: "Praise"; readonly firstTokenMs: number; readonly tokensPerSecond: number }
  /** The registry's restrictions of this node changed. */
  | { readonly _tag: "RestrictionsChanged" }
  | { readonly _tag: "DrainAsked" }
  | { readonly _tag: "TestDue" }
  | { readonly _tag: "TestTimedOut"; readonly jobId: JobId }
  | { readonly _tag: "PresenceDue" }
  /** The job that this lease was taken for does not go on under it. */
  | { readonly _tag: "LeaseUnwanted"; readonly token: LeaseToken; readonly expiresAt: number }
  | { readonly _tag: "Idle" }

/** What an attempt's job hears. `attempt` and `epoch` let it tell its own from stale ones. */
export type NodeReport =
  | { readonly _tag: "NodeAccepted"; readonly nodeId: NodeId; readonly attempt: number }
  | { readonly _tag: "NodeRejected"; readonly nodeId: NodeId; readonly attempt: number; readonly code: string }
  | {
      readonly _tag: "NodePieces"
      readonly nodeId: NodeId
      readonly attempt: number
      readonly epoch: number
      readonly pieces: Extract<AgentFrame, { _tag: "Pieces" }>["pieces"]
    }
  | {
      readonly _tag: "NodeResult"
      readonly nodeId: NodeId
      /** Its signature is the session's. Whether it matches the pieces is for the job to see. */
      readonly result: Extract<AgentFrame, { _tag: "Result" }>
      readonly vouch: Vouch
    }
  | {
      readonly _tag: "NodeFailed"
      readonly nodeId: NodeId
      readonly attempt: number
      readonly code: string
      readonly fault: Fault
    }
  | { readonly _tag: "NodeGone"; readonly nodeId: NodeId; readonly attempt: number; readonly code: string }
  /** The node came back and says that it still holds this attempt. */
  | { readonly _tag: "NodeHolds"; readonly nodeId: NodeId; readonly attempt: number; readonly firstSeq: number }
  /** It was told to go on. */
  | { readonly _tag: "NodeResumed"; readonly nodeId: NodeId; readonly attempt: number; readonly firstSeq: number }
  /** A slot is leased for an attempt of this job that nobody has claimed for a while; a job that does not want it says so. */
  | { readonly _tag: "LeaseDoubted"; readonly nodeId: NodeId; readonly token: LeaseToken; readonly expiresAt: number }
