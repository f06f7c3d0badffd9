/** What every ApiKeys must do, whatever it is made of. */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer, Redacted } from "effect"
import { ApiKeys, digestOf, newSecret, SHOWN } from "../../../src/layers/ApiKeys.ts"
import { Namespaces } from "../../../src/layers/Namespaces.ts"
import type { NamespaceId } from "../../../src/schemas/Ids.ts"
import { type ApiKey, defaultRules } from "../../../src/schemas/Namespace.ts"
import type { Refusal } from "../../../src/schemas/Refusal.ts"
import { aKeyId, anApiKey, aNamespace, aNamespaceId, freshTime, MINUTE } from "../../support/factories.ts"

/** A stored key with its secret, as creating one leaves it. */
const created = Effect.fnUntraced(function* (namespaceId: NamespaceId, over: Partial<ApiKey> = {}) {
  const secret = yield* newSecret
  const text = Redacted.value(secret)
  const key = anApiKey({ namespaceId, prefix: text.slice(0, SHOWN), ...over })
  yield* (yield* ApiKeys).insert(key, digestOf(text))
  return { secret, text, key }
})

const freshNamespace = Effect.flatMap(Namespaces, (namespaces) => namespaces.create(aNamespace()))
const aNamespaceWithKeys = Effect.map(freshNamespace, ({ id }) => id)

export const apiKeysContract = <E>(backEnd: string, over: Layer.Layer<ApiKeys | Namespaces, E>) =>
  layer(over, { excludeTestServices: true })(`ApiKeys on ${backEnd}`, (it) => {
    it.effect("finds the key and its namespace by the secret", () =>
      Effect.gen(function* () {
        const keys = yield* ApiKeys
        const namespace = yield* freshNamespace
        const { secret, key } = yield* created(namespace.id, { label: "it's mine", ratePerSecond: 77 })
        assert.deepStrictEqual(yield* keys.authenticate(secret, key.createdAt), { key, keyId: key.id, namespace })
      })
    )

    it.effect("gives the namespace's rules as they are now", () =>
      Effect.gen(function* () {
        const namespace = yield* freshNamespace
        const { secret, key } = yield* created(namespace.id)
        const rules = { ...defaultRules, weight: 9 }
        yield* (yield* Namespaces).amend(namespace.id, rules)
        const found = yield* (yield* ApiKeys).authenticate(secret, key.createdAt)
        assert.deepStrictEqual(found?.namespace, { ...namespace, rules })
      })
    )

    it.effect("tells unknown, malformed, revoked and expired secrets not apart: all are null", () =>
      Effect.gen(function* () {
        const keys = yield* ApiKeys
        const namespaceId = yield* aNamespaceWithKeys
        const at = freshTime()
        const revoked = yield* created(namespaceId)
        const expiring = yield* created(namespaceId, { expiresAt: at + MINUTE })
        yield* keys.revoke(revoked.key.id, at)

        assert.isNotNull(yield* keys.authenticate(expiring.secret, at + MINUTE - 1))
        assert.isNull(yield* keys.authenticate(expiring.secret, at + MINUTE))
        assert.isNull(yield* keys.authenticate(revoked.secret, at))
        assert.isNull(yield* keys.authenticate(revoked.secret, at - MINUTE), "revoked is for ever")
        assert.isNull(yield* keys.authenticate(yield* newSecret, at))
        const wrong = [
          "",
          "rsk-",
          ` ${expiring.text}`,
          expiring.text.slice(0, -1),
          digestOf(expiring.text),
          "x".repeat(9_999)
        ]
        for (const text of wrong) assert.isNull(yield* keys.authenticate(Redacted.make(text), at), text)
      })
    )

    it.effect("keeps the secret nowhere: no answer has it or its digest, only its first characters", () =>
      Effect.gen(function* () {
        const keys = yield* ApiKeys
        const namespaceId = yield* aNamespaceWithKeys
        const { text, key } = yield* created(namespaceId)
        const found = yield* keys.find(digestOf(text))
        const answers = JSON.stringify([
          yield* keys.list(namespaceId),
          yield* keys.list(null),
          found,
          yield* keys.revoke(key.id, 5)
        ])
        assert.notInclude(answers, text)
        assert.notInclude(answers, text.slice(SHOWN))
        assert.notInclude(answers, digestOf(text))
        assert.include(answers, key.prefix)
      })
    )

    it.effect("finds revoked and expired keys by their digest, so that they can be shown", () =>
      Effect.gen(function* () {
        const keys = yield* ApiKeys
        const { text, key } = yield* created(yield* aNamespaceWithKeys, { expiresAt: 1 })
        yield* keys.revoke(key.id, 5)
        assert.deepStrictEqual((yield* keys.find(digestOf(text)))?.key, { ...key, revokedAt: 5 })
        assert.isNull(yield* keys.find(digestOf("another")))
      })
    )

    it.effect("keeps the first instant, when a key is revoked twice", () =>
      Effect.gen(function* () {
        const keys = yield* ApiKeys
        const { key } = yield* created(yield* aNamespaceWithKeys)
        const at = freshTime()
        assert.deepStrictEqual(yield* keys.revoke(key.id, at), { ...key, revokedAt: at })
        assert.deepStrictEqual(yield* keys.revoke(key.id, at + 1), { ...key, revokedAt: at })
        const refusal = yield* Effect.flip(keys.revoke(aKeyId(), at))
        assert.strictEqual((refusal as Refusal).code, "not_found")
      })
    )

    it.effect("stores no key for a namespace that is not there", () =>
      Effect.gen(function* () {
        const keys = yield* ApiKeys
        const key = anApiKey({ namespaceId: aNamespaceId() })
        const digest = digestOf(key.id)
        const refusal = yield* Effect.flip(keys.insert(key, digest))
        assert.strictEqual((refusal as Refusal).code, "not_found")
        assert.isNull(yield* keys.find(digest))
      })
    )

    it.effect("lists the keys of one namespace, or of all, newest first", () =>
      Effect.gen(function* () {
        const keys = yield* ApiKeys
        const [one, two] = [yield* aNamespaceWithKeys, yield* aNamespaceWithKeys]
        const at = freshTime()
        const { key: middle } = yield* created(one, { createdAt: at + 1 })
        const { key: newest } = yield* created(one, { createdAt: at + 2 })
        const { key: oldest } = yield* created(one, { createdAt: at })
        const { key: foreign } = yield* created(two, { createdAt: at + 3 })
        const mine = new Set([one, two])

        assert.deepStrictEqual(yield* keys.list(one), [newest, middle, oldest])
        const all = (yield* keys.list(null)).filter(({ namespaceId }) => mine.has(namespaceId))
        assert.deepStrictEqual(all, [foreign, newest, middle, oldest])
        assert.deepStrictEqual(yield* keys.list(aNamespaceId()), [])
      })
    )
  })
