/**
 * The Ed25519 key that signs the results of one session. It lives and dies with the session: the handshake vouches for
 * it, and signing with it is cheap, while the node's own key is used once.
 */
import { generateKeyPairSync, sign } from "node:crypto"
import { resultBytes } from "../layers/Signatures.ts"
import type { ResultClaim } from "../schemas/AgentFrame.ts"

export interface SessionKey {
  /** Raw, 32 bytes, hexadecimal. */
  readonly publicHex: string
  /** 64 bytes, hexadecimal. */
  readonly signResult: (claim: ResultClaim) => string
}

export const fresh = (): SessionKey => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519")
  return {
    publicHex: publicKey.export({ format: "der", type: "spki" }).subarray(-32).toString("hex"),
    signResult: (claim) => sign(null, resultBytes(claim), privateKey).toString("hex")
  }
}
