/** What every Signer must do: what it signs is checked by the key that it names, and by no other bytes or key. */
import { assert, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { freshKey, fromKey, isSignedBy, Signer } from "../../../src/layers/Signer.ts"

export const signerContract = (backEnd: string, layer: Layer.Layer<Signer, unknown>) =>
  it.layer(layer)(`Signer on ${backEnd}`, (it) => {
    it.effect("signs what its public key verifies, and nothing else", () =>
      Effect.gen(function* () {
        const { publicKey, sign } = yield* Signer
        const bytes = Buffer.from("what was said")
        const signature = sign(bytes)
        assert.match(publicKey, /^[0-9a-f]{64}$/)
        assert.isTrue(isSignedBy(publicKey, bytes, signature))
        assert.isFalse(isSignedBy(publicKey, Buffer.from("something else"), signature))
        assert.isFalse(isSignedBy(fromKey(freshKey()).publicKey, bytes, signature))
        assert.isFalse(isSignedBy("no key", bytes, "no signature"))
        assert.isFalse(isSignedBy(publicKey, bytes, signature.slice(2)))
        assert.isFalse(isSignedBy(publicKey, bytes, `${signature}00`))
        assert.isFalse(isSignedBy(publicKey, bytes, `${signature} and more`))
      })
    )
  })
