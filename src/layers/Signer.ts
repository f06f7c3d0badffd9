/** Signs in the name of this installation, with a key that nobody else sees: Ed25519 over bytes, which anybody can check by the public key. */
import { createPublicKey, verify } from "node:crypto"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Outage } from "./Outage.ts"

export interface Driver {
  /** The 32 raw bytes in hexadecimal. */
  readonly publicKey: string
  /** 64 bytes. */
  readonly sign: (bytes: Uint8Array) => Effect.Effect<Uint8Array, Outage>
}

export class Signer extends Context.Service<Signer, Driver>()("resultity/layers/Signer") {}

export const make = (driver: Driver): Signer["Service"] => Signer.of(driver)

/** DER of a public key up to the 32 raw bytes (RFC 8410). */
const SPKI_HEAD = Buffer.from("302a300506032b6570032100", "hex")

/** Whether the owner of this public key signed these bytes. */
export const isSignedBy = (publicKey: string, bytes: Uint8Array, signature: Uint8Array): boolean => {
  if (!/^[0-9a-f]{64}$/.test(publicKey) || signature.byteLength !== 64) return false
  const der = Buffer.concat([SPKI_HEAD, Buffer.from(publicKey, "hex")])
  return verify(null, bytes, createPublicKey({ key: der, format: "der", type: "spki" }), signature)
}
