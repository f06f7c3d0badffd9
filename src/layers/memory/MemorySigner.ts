/** A key that lives as long as the process. */
import { createPublicKey, generateKeyPairSync, sign } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { make, Signer } from "../Signer.ts"

export const layer = Layer.sync(Signer, () => {
  const { privateKey } = generateKeyPairSync("ed25519")
  const { x = "" } = createPublicKey(privateKey).export({ format: "jwk" })
  return make({
    publicKey: Buffer.from(x, "base64url").toString("hex"),
    sign: (bytes) => Effect.sync(() => sign(null, bytes, privateKey))
  })
})
