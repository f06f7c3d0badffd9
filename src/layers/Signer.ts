/** The key by which this installation signs what it says for good. Whoever has the public key can check it without a daemon. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto"
import * as Context from "effect/Context"

export class Signer extends Context.Service<
  Signer,
  {
    /** Ed25519, raw, hexadecimal. */
    readonly publicKey: string
    /** 64 bytes, hexadecimal. */
    readonly sign: (bytes: Uint8Array) => string
  }
>()("resultity/layers/Signer") {}

/** DER of a public key up to the 32 raw bytes (RFC 8410). */
const SPKI_HEAD = Buffer.from("302a300506032b6570032100", "hex")

export const fromKey = (key: KeyObject): Signer["Service"] =>
  Signer.of({
    publicKey: createPublicKey(key).export({ format: "der", type: "spki" }).subarray(SPKI_HEAD.length).toString("hex"),
    sign: (bytes) => sign(null, bytes, key).toString("hex")
  })

export const freshKey = (): KeyObject => generateKeyPairSync("ed25519").privateKey

export const toPem = (key: KeyObject): string => key.export({ format: "pem", type: "pkcs8" }).toString()
export const fromPem = (pem: string): KeyObject => createPrivateKey(pem)

/** Whether the holder of this key signed these bytes. Never throws. */
export const isSignedBy = (publicKey: string, bytes: Uint8Array, signature: string): boolean => {
  if (!/^[0-9a-f]{64}$/.test(publicKey) || !/^[0-9a-f]{128}$/.test(signature)) return false
  try {
    const key = createPublicKey({
      key: Buffer.concat([SPKI_HEAD, Buffer.from(publicKey, "hex")]),
      format: "der",
      type: "spki"
    })
    return verify(null, bytes, key, Buffer.from(signature, "hex"))
  } catch {
    return false
  }
}
