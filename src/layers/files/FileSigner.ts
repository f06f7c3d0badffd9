/** The key in a file for its owner only (PKCS #8 in PEM), made at the first start and never changed: whoever copies the file can sign as we do. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Outage } from "../Outage.ts"
import { make, Signer } from "../Signer.ts"

const read = (path: string): KeyObject | null => {
  try {
    return createPrivateKey(readFileSync(path, "utf8"))
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return null
    throw cause
  }
}

const create = (path: string): KeyObject => {
  const { privateKey } = generateKeyPairSync("ed25519")
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  // Exclusive: of two that start at once, one makes the key.
  writeFileSync(path, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600, flag: "wx" })
  return privateKey
}

export const over = (key: KeyObject): Signer["Service"] => {
  const { x = "" } = createPublicKey(key).export({ format: "jwk" })
  return make({
    publicKey: Buffer.from(x, "base64url").toString("hex"),
    sign: (bytes) => Effect.sync(() => sign(null, bytes, key))
  })
}

export const layer = (path: string): Layer.Layer<Signer, Outage> =>
  Layer.effect(
    Signer,
    Effect.try({
      try: () => over(read(path) ?? create(path)),
      catch: (cause) => new Outage({ of: "Signer", during: "open", cause })
    })
  )
