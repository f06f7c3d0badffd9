/** What the network's key seals: nobody reads it without that key, for another thing than it was sealed for, or after a change. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Result, Schema } from "effect"
import { networkKeyOf, testKey } from "../support/networkKey.ts"

const opened = (key: typeof testKey, sealed: string, about: string) =>
  Result.map(key.unseal(Redacted.make(sealed), about), Redacted.value)

describe("the network's key", () => {
  it.effect.prop(
    "opens what it sealed, for what it was sealed for",
    { secret: Schema.String, about: Schema.String, at: Schema.Natural },
    ({ secret, about, at }) =>
      Effect.sync(() => {
        const plain = secret.toWellFormed()
        const sealed = Redacted.value(testKey.seal(Redacted.make(plain), about))
        assert.deepStrictEqual(opened(testKey, sealed, about), Result.succeed(plain))
        assert.isTrue(Result.isFailure(opened(testKey, sealed, `${about}x`)))
        const [box, head] = [sealed.slice(sealed.lastIndexOf(".") + 1), sealed.slice(0, sealed.lastIndexOf(".") + 1)]
        const bytes = Buffer.from(box, "base64url")
        bytes[at % bytes.length]! ^= 1
        assert.isTrue(Result.isFailure(opened(testKey, head + bytes.toString("base64url"), about)))
        assert.isTrue(Result.isFailure(opened(testKey, head + box.slice(0, at % 20), about)))
      })
  )

  it("seals nothing twice in the same way, and shows nothing of it", () => {
    const [one, two] = [1, 2].map(() => testKey.seal(Redacted.make("whsec_c2VjcmV0"), "webhook_1"))
    assert.notStrictEqual(Redacted.value(one!), Redacted.value(two!))
    assert.notInclude(Redacted.value(one!), "whsec")
    assert.notInclude(Redacted.value(one!), Buffer.from("whsec").toString("base64url"))
  })

  it("names both keys when another one sealed, and gives back what was never sealed", () => {
    const other = networkKeyOf("2")
    const failure = Result.getFailure(opened(other, Redacted.value(testKey.seal(Redacted.make("x"), "a")), "a"))
    assert.include(JSON.stringify(failure), testKey.id)
    assert.include(JSON.stringify(failure), other.id)
    assert.deepStrictEqual(opened(other, "whsec_c2VjcmV0", "a"), Result.succeed("whsec_c2VjcmV0"))
  })
})
