/**
 * The Ed25519 key by which this daemon speaks for the network. All daemons of an installation should have the same one. The private half never leaves
 * this file: what is handed out signs, and seals what stands in a database and is nobody's business who reads that.
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
  sign
} from "node:crypto"
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
    /** AES-256-GCM under a key of its own that follows from the private one (HKDF-SHA-256); `about` says what the secret belongs to, and binds it. */
    readonly seal: (secret: Redacted.Redacted, about: string) => Redacted.Redacted
    /** Fails with what is wrong: another key sealed it, or it is not as it was. What was never sealed is given back: it is older than seals. */
    readonly unseal: (sealed: Redacted.Redacted, about: string) => Result.Result<Redacted.Redacted, string>
  }
>()("resultity/layers/NetworkKey") {}

/** DER of a private key up to the 32 raw bytes (RFC 8410). */
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex")

const SEAL = "sealed.1"
const NONCE_BYTES = 12
const TAG_BYTES = 16

const sealing = (key: KeyObject, id: string): Pick<NetworkKey["Service"], "seal" | "unseal"> => {
  const secret = Buffer.from(
    hkdfSync("sha256", key.export({ format: "der", type: "pkcs8" }), "", "resultity/seal/1", 32)
  )
  return {
    seal: (plain, about) => {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv("aes-256-gcm", secret, nonce).setAAD(Buffer.from(about))
      const text = Buffer.concat([cipher.update(Redacted.value(plain), "utf8"), cipher.final()])
      return Redacted.make(
        [SEAL, id, Buffer.concat([nonce, text, cipher.getAuthTag()]).toString("base64url")].join(".")
      )
    },
    unseal: (sealed, about) => {
      const text = Redacted.value(sealed)
      if (!text.startsWith(`${SEAL}.`)) return Result.succeed(sealed)
      const [by, box = ""] = text.slice(SEAL.length + 1).split(".")
      if (by !== id) return Result.fail(`sealed with the network key ${by}, and this daemon has ${id}`)
      const bytes = Buffer.from(box, "base64url")
      const opened = Result.try(() => {
        const decipher = createDecipheriv("aes-256-gcm", secret, bytes.subarray(0, NONCE_BYTES))
        decipher.setAAD(Buffer.from(about)).setAuthTag(bytes.subarray(-TAG_BYTES))
        return decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES), undefined, "utf8") + decipher.final("utf8")
      })
      return Result.isSuccess(opened)
        ? Result.succeed(Redacted.make(opened.success))
        : Result.fail("sealed, and not as it was sealed")
    }
  }
}

const serviceOf = (key: KeyObject): NetworkKey["Service"] => {
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32).toString("hex")
  const id = keyIdOf(publicKey)
  return {
    id,
    publicKey,
    ...sealing(key, id),
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

/** Signs and opens, and seals nothing: for a key that other daemons of the installation may not have. */
export const unsealing = (key: NetworkKey["Service"]): NetworkKey["Service"] => ({ ...key, seal: (secret) => secret })

export const of = (key: NetworkKey["Service"]): Layer.Layer<NetworkKey> => Layer.succeed(NetworkKey, key)
