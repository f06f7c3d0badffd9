/** What every Namespaces must do, whatever it is made of. */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { Namespaces } from "../../../src/layers/Namespaces.ts"
import { defaultRules, type Namespace } from "../../../src/schemas/Namespace.ts"
import type { Refusal } from "../../../src/schemas/Refusal.ts"
import { aNamespace, aNamespaceId, unique } from "../../support/factories.ts"
import { atOnce } from "./StateProbes.ts"

const rules = { urgent: true, weight: 1_000, openJobsMax: 7, retentionDays: 0, persistPayloads: false }

const conflictOf = (namespace: Namespace) =>
  Effect.map(
    Effect.flip(Effect.flatMap(Namespaces, (namespaces) => namespaces.create(namespace))),
    (refusal) => (refusal as Refusal).code
  )

export const namespacesContract = <E>(backEnd: string, over: Layer.Layer<Namespaces, E>) =>
  layer(over, { excludeTestServices: true })(`Namespaces on ${backEnd}`, (it) => {
    it.effect("keeps a namespace with its rules", () =>
      Effect.gen(function* () {
        const namespaces = yield* Namespaces
        const namespace = aNamespace({ environment: "mainnet", rules })
        assert.deepStrictEqual(yield* namespaces.create(namespace), namespace)
        assert.deepStrictEqual(yield* namespaces.get(namespace.id), namespace)
        assert.isNull(yield* namespaces.get(aNamespaceId()))
      })
    )

    it.effect("changes nothing, when the same id and name come again", () =>
      Effect.gen(function* () {
        const namespaces = yield* Namespaces
        const namespace = yield* namespaces.create(aNamespace())
        yield* namespaces.amend(namespace.id, rules)
        const again = yield* namespaces.create({ ...namespace, createdAt: namespace.createdAt + 1 })
        assert.deepStrictEqual(again, { ...namespace, rules })
        assert.deepStrictEqual(yield* namespaces.get(namespace.id), again)
      })
    )

    it.effect("refuses a name that is taken in that environment, and only there", () =>
      Effect.gen(function* () {
        const namespaces = yield* Namespaces
        const namespace = yield* namespaces.create(aNamespace())
        const rival = { ...namespace, id: aNamespaceId() }
        assert.strictEqual(yield* conflictOf(rival), "conflict")
        assert.isNull(yield* namespaces.get(rival.id))
        const elsewhere = { ...rival, environment: "mainnet" as const }
        assert.deepStrictEqual(yield* namespaces.create(elsewhere), elsewhere)
        assert.strictEqual(yield* conflictOf({ ...namespace, name: `other ${unique()}` }), "conflict")
        assert.deepStrictEqual(yield* namespaces.get(namespace.id), namespace)
      })
    )

    it.effect("gives a name to one of twenty who want it at once", () =>
      Effect.gen(function* () {
        const namespaces = yield* Namespaces
        const { name } = aNamespace()
        const wanted = Array.from({ length: 20 }, () => aNamespace({ name }))
        const answers = yield* atOnce(wanted.map((each) => Effect.result(namespaces.create(each))))
        assert.strictEqual(answers.filter(({ _tag }) => _tag === "Success").length, 1)
        const listed = (yield* namespaces.list).filter((each) => each.name === name)
        assert.strictEqual(listed.length, 1)
      })
    )

    it.effect("lists all by name", () =>
      Effect.gen(function* () {
        const namespaces = yield* Namespaces
        const word = unique()
        const [a, b, c] = ["a", "b", "c"].map((letter) => aNamespace({ name: `${word}${letter}` }))
        for (const namespace of [c!, a!, b!]) yield* namespaces.create(namespace)
        const listed = yield* namespaces.list
        assert.deepStrictEqual(
          listed.filter(({ name }) => name.startsWith(word)),
          [a, b, c]
        )
      })
    )

    it.effect("has the new rules after an amendment, and refuses to amend what is not there", () =>
      Effect.gen(function* () {
        const namespaces = yield* Namespaces
        const namespace = yield* namespaces.create(aNamespace({ rules: defaultRules }))
        assert.deepStrictEqual(yield* namespaces.amend(namespace.id, rules), { ...namespace, rules })
        assert.deepStrictEqual(yield* namespaces.get(namespace.id), { ...namespace, rules })
        const refusal = yield* Effect.flip(namespaces.amend(aNamespaceId(), rules))
        assert.strictEqual((refusal as Refusal).code, "not_found")
      })
    )
  })
