/**
 * The Ed25519 key by which this daemon speaks for the network. All daemons of an installation should have the same one. The private half never leaves
 * this file: what is handed out signs.
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto"
import type { NetworkSignature } from "../schemas/Receipt.ts"
import { keyIdOf } from "../schemas/ReceiptHashes.ts"

export class NetworkKey extends Context.Service<
  NetworkKey,
  {
    readonly id: string
    /** Raw, 32 bytes, hexadecimal. */
    readonly publicKey: string
    /** Deterministic: the same bytes give the same signature. */
    readonly sign: (bytes: (keyId: string) => Uint8Array) => NetworkSignature
  }
>()("resultity/layers/NetworkKey") {}

/** DER of a private key up to the 32 raw bytes (RFC 8410). */
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex")

const serviceOf = (key: KeyObject): NetworkKey["Service"] => {
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32).toString("hex")
  const id = keyIdOf(publicKey)
  return {
    id,
    publicKey,
    sign: (bytes) => ({ keyId: id, publicKey, signature: sign(null, bytes(id), key).toString("hex") })
  }
}

export const WANTED = "64 hexadecimal digits, or an Ed25519 private key in PEM (openssl genpkey -algorithm ed25519)"

/** From 32 bytes in hexadecimal, or PEM. Fails with what would be right. */
export const parse = (given: Redacted.Redacted): Result.Result<NetworkKey["Service"], string> => {
  const text = Redacted.value(given).trim()
  const read = Result.try(() =>
    /^[0-9a-fA-F]{64}$/.test(text)
      ? createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, Buffer.from(text, "hex")]), format: "der", type: "pkcs8" })
      : createPrivateKey(text.replaceAll("\\n", "\n"))
  )
  return Result.isSuccess(read) && read.success.asymmetricKeyType === "ed25519"
    ? Result.succeed(serviceOf(read.success))
    : Result.fail(`Expected ${WANTED}`)
}

/** A key that nobody will have again: of a daemon that keeps nothing. */
export const ephemeral: Layer.Layer<NetworkKey> = Layer.sync(NetworkKey, () =>
  serviceOf(generateKeyPairSync("ed25519").privateKey)
)

export const of = (key: NetworkKey["Service"]): Layer.Layer<NetworkKey> => Layer.succeed(NetworkKey, key)
