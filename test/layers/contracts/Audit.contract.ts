/** What every Audit must do, whatever it is made of. Its chain is one for the whole store, so the tests only ask about what they added. */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { Audit, type AuditFact, FIRST_HASH, hashOf } from "../../../src/layers/Audit.ts"
import { freshTime, unique } from "../../support/factories.ts"
import { atOnce, MANY } from "./StateProbes.ts"

export interface AuditFaults {
  /** Changes the reason in a stored row behind the contract's back. */
  readonly tamper?: (seq: number, reason: string) => Effect.Effect<void>
}

const aFact = (over: Partial<AuditFact> = {}): AuditFact => ({
  actor: "operator/control",
  action: "node.restrict",
  subject: `node/${unique()}`,
  reason: "because",
  detail: { kind: "frozen", nested: { list: [1, "two", null, true] } },
  at: freshTime(),
  ...over
})

const lastSeq = Effect.flatMap(Audit, (audit) =>
  Effect.map(audit.append(aFact({ action: "test.mark" })), ({ seq }) => seq)
)

export const auditContract = <E>(backEnd: string, over: Layer.Layer<Audit, E>, { tamper }: AuditFaults = {}) =>
  layer(over, { excludeTestServices: true })(`Audit on ${backEnd}`, (it) => {
    it.effect("appends a row with the next number, chained to the one before it", () =>
      Effect.gen(function* () {
        const audit = yield* Audit
        const [fact, next] = [aFact({ reason: `it's "é"\u0000😀` }), aFact({ detail: {} })]
        const first = yield* audit.append(fact)
        const second = yield* audit.append(next)

        assert.deepStrictEqual(second, { ...next, seq: first.seq + 1, hash: hashOf(first.hash, next) })
        assert.deepStrictEqual(yield* audit.list(first.seq - 1, MANY), [first, second])
        const [before] = first.seq === 1 ? [null] : yield* audit.list(first.seq - 2, 1)
        assert.strictEqual(first.hash, hashOf(before?.hash ?? FIRST_HASH, fact))
      })
    )

    it.effect("makes one chain of fifty rows that come at once", () =>
      Effect.gen(function* () {
        const audit = yield* Audit
        const after = yield* lastSeq
        const facts = Array.from({ length: 50 }, () => aFact())
        const rows = yield* atOnce(facts.map(audit.append))

        const expected = Array.from({ length: 50 }, (_, n) => after + n + 1)
        assert.deepStrictEqual(
          rows.map(({ seq }) => seq).toSorted((a, b) => a - b),
          expected
        )
        assert.deepStrictEqual(
          yield* audit.list(after, MANY),
          rows.toSorted((a, b) => a.seq - b.seq)
        )
        assert.isNull(yield* audit.verify)
      })
    )

    it.effect("gives rows in pages, oldest first", () =>
      Effect.gen(function* () {
        const audit = yield* Audit
        const after = yield* lastSeq
        for (let n = 0; n < 5; n++) yield* audit.append(aFact())
        const page = (from: number) => Effect.map(audit.list(from, 2), (rows) => rows.map(({ seq }) => seq - after))
        assert.deepStrictEqual(
          [yield* page(after), yield* page(after + 2), yield* page(after + 4), yield* page(after + 5)],
          [[1, 2], [3, 4], [5], []]
        )
      })
    )

    it.effect("is verified to its end, when it is longer than one page", () =>
      Effect.gen(function* () {
        const audit = yield* Audit
        yield* Effect.forEach(Array.from({ length: 1_100 }), () => audit.append(aFact()), {
          concurrency: 100,
          discard: true
        })
        assert.isNull(yield* audit.verify)
      })
    )

    it.effect.skipIf(tamper === undefined)("finds the row that was tampered with, wherever it stands", () =>
      Effect.gen(function* () {
        const audit = yield* Audit
        const { seq, reason } = yield* audit.append(aFact({ reason: "the truth" }))
        yield* audit.append(aFact())

        yield* tamper!(seq, "a lie")
        const found = yield* audit.verify
        yield* tamper!(seq, reason)

        assert.deepInclude(found, { seq, reason: "a lie" })
        assert.isNull(yield* audit.verify)
      })
    )
  })
