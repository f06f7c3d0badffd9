/**
 * What makes a result its node's own, for whoever checks it later: the result's signature by the key of a session, and the handshake in which the
 * node's own key vouched for that key.
 */
import * as Schema from "effect/Schema"
import { HandshakeClaim, ResultClaim } from "./AgentFrame.ts"
import { Hex } from "./Hex.ts"

/** A node's own signature (EIP-191) over the handshake that began its session. */
export const Vouch = Schema.Struct({ claim: HandshakeClaim, signature: Hex(65) })
export type Vouch = typeof Vouch.Type

export const SignedResult = Schema.Struct({
  claim: ResultClaim,
  /** Ed25519 public key of the session, raw. */
  sessionKey: Hex(32),
  signature: Hex(64)
})
export type SignedResult = typeof SignedResult.Type

export const NodeProof = Schema.Struct({ result: SignedResult, session: Vouch })
export type NodeProof = typeof NodeProof.Type
