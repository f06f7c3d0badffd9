/**
 * The verifying side of the handshake and of results: vectors computed elsewhere, and every way to spell a signature
 * twice.
 */
import { assert, describe, it } from "@effect/vitest"
import { secp256k1 } from "@noble/curves/secp256k1.js"
import { Effect, Schema } from "effect"
import { createHash, generateKeyPairSync, sign } from "node:crypto"
import { fromPrivateKey } from "../../src/agent/Identity.ts"
import {
  canonicalPiece,
  handshakeDigest,
  isSessionKey,
  piecesHash,
  recoverAddress,
  resultBytes,
  verifyResult
} from "../../src/layers/Signatures.ts"
import { type HandshakeClaim, Piece, type ResultClaim } from "../../src/schemas/AgentFrame.ts"
import { canonicalJson } from "../../src/schemas/CanonicalJson.ts"

/** The first account of the well-known development mnemonic "test test … junk"; every EVM tool knows its address. */
const KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
const ADDRESS = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"

/** Computed with the Python library eth-account, `encode_defunct` over the claim's canonical JSON. */
const GOLDEN = {
  digest: "bcb72db396c8cb2df1b78770451281e34d54b208ab63fc9172aa4bbf05d41839",
  signature:
    "c2f3773d485d54fec5bf2a577133630ec1d0dd373634cce7e60c2fd2cc286cb928a2eff7d584923dde9d75337b4129700e0ca8e86c31474f184a5b38ee5a9f841b"
}

const claim: HandshakeClaim = {
  domain: "resultity/authenticate/v1",
  environment: "testnet",
  nodeId: ADDRESS,
  serverId: "daemon_a",
  nonce: "00".repeat(32),
  timestamp: 1_760_000_000_000,
  sessionKey: "11".repeat(32)
}

const result: ResultClaim = {
  domain: "resultity/result/v2",
  jobId: "job_a",
  attempt: 1,
  epoch: 2,
  model: "m",
  requestSha256: "cd".repeat(32),
  firstSeq: 1,
  lastSeq: 3,
  promptTokens: 5,
  outputTokens: 2,
  piecesSha256: "ab".repeat(32)
}

const identity = fromPrivateKey(Uint8Array.from(Buffer.from(KEY, "hex")))
const signed = identity.signHandshake(claim)
const order = secp256k1.Point.Fn.ORDER

describe("a handshake's signature", () => {
  it("names the address of the key, for a known key", () => {
    assert.strictEqual(identity.nodeId, ADDRESS)
    assert.strictEqual(recoverAddress(claim, signed), ADDRESS)
  })

  it("is the one that was computed before, for a known claim", () => {
    assert.strictEqual(Buffer.from(handshakeDigest(claim)).toString("hex"), GOLDEN.digest)
    assert.strictEqual(signed, GOLDEN.signature)
  })

  it("names somebody else when any field of the claim differs", () => {
    const others: ReadonlyArray<HandshakeClaim> = [
      { ...claim, environment: "mainnet" },
      { ...claim, nonce: "01".repeat(32) },
      { ...claim, timestamp: claim.timestamp + 1 },
      { ...claim, serverId: "daemon_b" },
      { ...claim, sessionKey: "12".repeat(32) }
    ]
    for (const other of others) assert.notStrictEqual(recoverAddress(other, signed), ADDRESS)
  })

  it("is refused in its second spelling with a high s", () => {
    const s = BigInt(`0x${signed.slice(64, 128)}`)
    const high = (order - s).toString(16).padStart(64, "0")
    const v = signed.endsWith("1b") ? "1c" : "1b"
    assert.isNull(recoverAddress(claim, `${signed.slice(0, 64)}${high}${v}`))
  })

  it("is refused when it is malformed", () => {
    const zeros = "0".repeat(64)
    const beyond = order.toString(16)
    for (const bad of [
      "",
      signed.slice(2),
      `${signed}00`,
      signed.toUpperCase(),
      `0x${signed.slice(2)}`,
      `${signed.slice(0, 128)}00`,
      `${signed.slice(0, 128)}1d`,
      `${zeros}${signed.slice(64)}`,
      `${signed.slice(0, 64)}${zeros}1b`,
      `${beyond}${signed.slice(64)}`,
      `${zeros}${zeros}1b`
    ]) {
      assert.isNull(recoverAddress(claim, bad), bad)
    }
  })
})

describe("a result's signature", () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519")
  const key = publicKey.export({ format: "der", type: "spki" }).subarray(-32).toString("hex")
  const signature = sign(null, resultBytes(result), privateKey).toString("hex")

  it("is accepted from the session's key only, and for its claim only", () => {
    assert.isTrue(verifyResult(result, signature, key))
    assert.isFalse(verifyResult({ ...result, outputTokens: 3 }, signature, key))
    assert.isFalse(verifyResult({ ...result, epoch: 3 }, signature, key))
    assert.isFalse(verifyResult({ ...result, model: "n" }, signature, key))
    assert.isFalse(verifyResult({ ...result, requestSha256: "ce".repeat(32) }, signature, key))
    const other = generateKeyPairSync("ed25519").publicKey.export({ format: "der", type: "spki" }).subarray(-32)
    assert.isFalse(verifyResult(result, signature, other.toString("hex")))
  })

  it("is refused with an s above the order, which would be a second spelling", () => {
    const l = 2n ** 252n + 27742317777372353535851937790883648493n
    const flip = (hex: string): string => Buffer.from(Buffer.from(hex, "hex").toReversed()).toString("hex")
    const spelled = flip((BigInt(`0x${flip(signature.slice(64))}`) + l).toString(16).padStart(64, "0"))
    assert.isFalse(verifyResult(result, signature.slice(0, 64) + spelled, key))
  })

  it("is refused when key or signature is malformed", () => {
    for (const bad of ["", signature.slice(2), signature.toUpperCase()]) assert.isFalse(verifyResult(result, bad, key))
    for (const bad of ["", key.slice(2), key.toUpperCase()]) assert.isFalse(verifyResult(result, signature, bad))
  })

  it("is refused under each key of small order, and such a key is no session key", () => {
    const ys = ["00".repeat(32), `01${"00".repeat(31)}`, `ec${"ff".repeat(30)}7f`, `ed${"ff".repeat(30)}7f`]
    const torsion = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
    for (const low of [...ys, torsion, `${torsion.slice(0, 62)}85`]) {
      assert.isFalse(isSessionKey(low), low)
      assert.isFalse(verifyResult(result, `01${"00".repeat(31)}${"00".repeat(32)}`, low), low)
    }
    assert.isTrue(isSessionKey(key))
  })
})

describe("the hash of pieces", () => {
  it.effect.prop(
    "covers the canonical JSON of each piece, for any pieces",
    { pieces: Schema.Array(Piece).check(Schema.isMaxLength(8)) },
    ({ pieces }) =>
      Effect.sync(() => {
        // What the daemon hashes went over the wire.
        const arrived = JSON.parse(JSON.stringify(pieces)) as ReadonlyArray<Piece>
        const sent = piecesHash("s")
        for (const piece of pieces) sent.addCanonical(canonicalPiece(piece))
        const received = piecesHash("s")
        for (const piece of arrived) received.add(piece)
        const plain = createHash("sha256").update("s\n")
        for (const piece of arrived) plain.update(`${canonicalJson({ ...piece } as Schema.Json)}\n`)
        assert.strictEqual(received.digest(), plain.digest("hex"))
        assert.strictEqual(sent.digest(), received.digest())
      })
  )

  it("may be asked for in between and goes on", () => {
    const hash = piecesHash("s")
    const empty = hash.digest()
    hash.add({ seq: 1, choice: 0, text: "a" })
    assert.notStrictEqual(hash.digest(), empty)
    assert.strictEqual(empty, createHash("sha256").update("s\n").digest("hex"))
    assert.strictEqual(hash.digest(), createHash("sha256").update('s\n{"choice":0,"seq":1,"text":"a"}\n').digest("hex"))
  })
})
