/**
 * The cryptography between an agent and a daemon, as pure functions both may import: who signed a handshake, whether a
 * result is the session's own, and the hash over an attempt's pieces. Verification accepts one spelling of a signature
 * only (low s, v of 27 or 28, lower case), so that no second signature for the same claim can be made from the first.
 */
import { secp256k1 } from "@noble/curves/secp256k1.js"
import { keccak_256 } from "@noble/hashes/sha3.js"
import type * as Schema from "effect/Schema"
import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto"
import type { HandshakeClaim, Piece, ResultClaim } from "../schemas/AgentFrame.ts"
import { canonicalJson } from "../schemas/CanonicalJson.ts"
import { NodeId } from "../schemas/Ids.ts"
import type { Endpoint } from "../schemas/Job.ts"
import { saltedSha256 } from "../schemas/Salted.ts"

/** EIP-191, version 0x45 ("personal message"): what a wallet hashes before it signs a text. */
export const handshakeDigest = (claim: HandshakeClaim): Uint8Array => {
  const text = Buffer.from(canonicalJson({ ...claim }), "utf8")
  const head = Buffer.from(`\u0019Ethereum Signed Message:\n${text.length}`, "utf8")
  return keccak_256(Buffer.concat([head, text]))
}

/** The EVM address of an uncompressed public key (65 bytes, leading 4), in lower case. */
export const addressOf = (publicKey: Uint8Array): NodeId =>
  NodeId.make(`0x${Buffer.from(keccak_256(publicKey.subarray(1)).subarray(12)).toString("hex")}`)

/** Whose key signed `claim` (r ‖ s ‖ v, 65 bytes in hex), or null when the signature is malformed or not canonical. */
export const recoverAddress = (claim: HandshakeClaim, signatureHex: string): NodeId | null => {
  if (!/^[0-9a-f]{130}$/.test(signatureHex)) return null
  const bytes = Buffer.from(signatureHex, "hex")
  const v = bytes[64] ?? 0
  if (v !== 27 && v !== 28) return null
  try {
    const signature = secp256k1.Signature.fromBytes(Uint8Array.from(bytes.subarray(0, 64)), "compact")
    if (signature.hasHighS()) return null
    const point = signature.addRecoveryBit(v - 27).recoverPublicKey(handshakeDigest(claim))
    return addressOf(point.toBytes(false))
  } catch {
    // The library throws for r or s of zero or above the order, and for an r that is no point's: all "nobody signed
    // this".
    return null
  }
}

/** What the Ed25519 signature of a result covers, as bytes. */
export const resultBytes = (claim: ResultClaim): Buffer => Buffer.from(canonicalJson({ ...claim }), "utf8")

/** The y coordinates of the points of small order, sign bit cleared; under such a key one signature fits many texts. */
const SMALL_ORDER: ReadonlySet<string> = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"
])

/** DER of a public key up to the 32 raw bytes (RFC 8410). */
const SPKI_HEAD = Buffer.from("302a300506032b6570032100", "hex")

const sessionKeyObject = (sessionKeyHex: string): KeyObject | null => {
  if (!/^[0-9a-f]{64}$/.test(sessionKeyHex)) return null
  const raw = Buffer.from(sessionKeyHex, "hex")
  const y = Buffer.from(raw)
  y[31] = (y[31] ?? 0) & 0x7f
  if (SMALL_ORDER.has(y.toString("hex"))) return null
  try {
    return createPublicKey({ key: Buffer.concat([SPKI_HEAD, raw]), format: "der", type: "spki" })
  } catch {
    return null
  }
}

/** Whether a session may use this Ed25519 key (raw, 32 bytes in hex): well formed and not of small order. */
export const isSessionKey = (sessionKeyHex: string): boolean => sessionKeyObject(sessionKeyHex) !== null

export type VerifyResult = (claim: ResultClaim, signatureHex: string) => boolean

/** Verifies many results of one session; the key is read once. A key that is none verifies nothing. */
export const resultVerifier = (sessionKeyHex: string): VerifyResult => {
  const key = sessionKeyObject(sessionKeyHex)
  return (claim, signatureHex) => {
    if (key === null || !/^[0-9a-f]{128}$/.test(signatureHex)) return false
    return verify(null, resultBytes(claim), key, Buffer.from(signatureHex, "hex"))
  }
}

/** Whether the owner of this Ed25519 key (raw, 32 bytes in hex) signed `bytes` (64 bytes in hex). Never throws. */
export const isSignedBy = (publicKeyHex: string, bytes: Uint8Array, signatureHex: string): boolean => {
  const key = sessionKeyObject(publicKeyHex)
  return (
    key !== null && /^[0-9a-f]{128}$/.test(signatureHex) && verify(null, bytes, key, Buffer.from(signatureHex, "hex"))
  )
}

/** Whether the session with this key (raw, 32 bytes in hex) signed `claim` (64 bytes in hex). Never throws. */
export const verifyResult = (claim: ResultClaim, signatureHex: string, sessionKeyHex: string): boolean =>
  resultVerifier(sessionKeyHex)(claim, signatureHex)

/** What a node was asked, as its result names it. */
export const requestSha256 = (salt: string, endpoint: Endpoint, body: Schema.JsonObject): string =>
  saltedSha256(salt, { endpoint, body })

/** `canonicalJson(piece)`, written out: it runs for every token on both sides, and the keys are known. */
export const canonicalPiece = (piece: Piece): string => {
  const extra = piece.extra === undefined ? "" : `"extra":${canonicalJson(piece.extra)},`
  const finish = piece.finish === undefined ? "" : `"finish":${JSON.stringify(piece.finish)},`
  return `{"choice":${piece.choice},${extra}${finish}"seq":${piece.seq},"text":${JSON.stringify(piece.text)}}`
}

export interface PiecesHash {
  /** The next piece of the attempt, in order of `seq`. */
  readonly add: (piece: Piece) => void
  /** The same for a piece that is `canonicalPiece` text already. */
  readonly addCanonical: (text: string) => void
  /** `piecesSha256` over what was added so far; more may be added after it. */
  readonly digest: () => string
}

/** SHA-256 over the job's salt and the canonical JSON of each piece of an attempt, each followed by a line feed. */
export const piecesHash = (salt: string): PiecesHash => {
  const hash = createHash("sha256").update(`${salt}\n`, "utf8")
  const addCanonical = (text: string): void => void hash.update(`${text}\n`, "utf8")
  return { add: (piece) => addCanonical(canonicalPiece(piece)), addCanonical, digest: () => hash.copy().digest("hex") }
}
