/**
 * The agents' curve without its arithmetic: whoever signs here is remembered, and recovering a remembered signature looks it up. A signature that was
 * not made here is recovered by the real curve. Most of the time of a simulated run would otherwise go into handshakes.
 */
import { secp256k1 as curve } from "@noble/curves/secp256k1.js"
import { createHash } from "node:crypto"

/** Signatures that are remembered: far more than one run makes. */
const REMEMBERED_MAX = 2048
const KEYS_MAX = 512

const remembered = new Map<string, Uint8Array>()
const publicKeys = new Map<string, Uint8Array>()

const hex = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex")

const keep = <V>(map: Map<string, V>, key: string, value: V, max: number): V => {
  if (map.size >= max) map.clear()
  map.set(key, value)
  return value
}

const getPublicKey = (secret: Uint8Array, compressed?: boolean): Uint8Array => {
  const key = `${hex(secret)}${compressed}`
  return publicKeys.get(key) ?? keep(publicKeys, key, curve.getPublicKey(secret, compressed), KEYS_MAX)
}

/** Recovery bit, r, s: bytes that look like a signature of low s, and are none. */
const sign = (digest: Uint8Array, secret: Uint8Array): Uint8Array => {
  const half = (name: string) => {
    const bytes = createHash("sha256").update(name).update(secret).update(digest).digest()
    bytes[0] = (bytes[0] ?? 0) & 0x3f
    return bytes
  }
  const signature = Uint8Array.from([0, ...half("r"), ...half("s")])
  keep(remembered, hex(signature) + hex(digest), getPublicKey(secret, false), REMEMBERED_MAX)
  return signature
}

class Signature {
  private readonly bytes: Uint8Array
  private readonly real: () => InstanceType<typeof curve.Signature>

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.real = () => curve.Signature.fromBytes(bytes, "compact")
  }

  static fromBytes(bytes: Uint8Array): Signature {
    return new Signature(bytes)
  }

  hasHighS(): boolean {
    return this.real().hasHighS()
  }

  addRecoveryBit(bit: number): {
    readonly recoverPublicKey: (digest: Uint8Array) => { toBytes(): Uint8Array }
  } {
    return {
      recoverPublicKey: (digest) => {
        const known = remembered.get(hex(Uint8Array.from([bit, ...this.bytes])) + hex(digest))
        if (known !== undefined) return { toBytes: () => known }
        const point = this.real().addRecoveryBit(bit).recoverPublicKey(digest)
        return { toBytes: () => point.toBytes(false) }
      }
    }
  }
}

export const secp256k1 = { ...curve, getPublicKey, sign, Signature }
