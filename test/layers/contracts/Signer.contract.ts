/** What every Signer must do: signatures that its public key stands for, of exactly these bytes. */
import { assert, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { isSignedBy, Signer } from "../../../src/layers/Signer.ts"

export const signerContract = (backEnd: string, layer: Layer.Layer<Signer, unknown>) =>
  it.layer(layer)(`Signer on ${backEnd}`, (it) => {
    it.effect("signs so that anybody can check it by the public key, and of no other bytes", () =>
      Effect.gen(function* () {
        const { publicKey, sign } = yield* Signer
        const bytes = Buffer.from("what is signed")
        const signature = yield* sign(bytes)
        assert.match(publicKey, /^[0-9a-f]{64}$/)
        assert.isTrue(isSignedBy(publicKey, bytes, signature))
        assert.isFalse(isSignedBy(publicKey, Buffer.from("what is signeD"), signature))
        assert.isFalse(isSignedBy("ab".repeat(32), bytes, signature))
        assert.isFalse(isSignedBy(publicKey, bytes, signature.subarray(1)))
      })
    )
  })
