/** What every CreditLedger must do, whatever it is made of. How jobs move credits stands in the JobStore suite. */
import { assert, layer } from "@effect/vitest"
import { Effect, Exit, type Layer, Schema } from "effect"
import { CreditLedger, type Grant } from "../../../src/layers/CreditLedger.ts"
import type { Namespaces } from "../../../src/layers/Namespaces.ts"
import { CREDITS_MAX, type Credits } from "../../../src/schemas/Credits.ts"
import type { NamespaceId } from "../../../src/schemas/Ids.ts"
import type { Refusal } from "../../../src/schemas/Refusal.ts"
import { aNamespaceId, credits, freshTime, fundedNamespace, unique } from "../../support/factories.ts"
import { MANY, timesAtOnce } from "./StateProbes.ts"

const aGrant = (namespaceId: NamespaceId, amount: bigint | number, over: Partial<Grant> = {}): Grant => ({
  namespaceId,
  amount: credits(amount),
  reference: `grant ${unique()}`,
  at: freshTime(),
  ...over
})

const granted = (amount: bigint) => ({ granted: amount, available: amount, reserved: 0n, spent: 0n })
const findingsOf = (namespaceId: NamespaceId) =>
  Effect.map(
    Effect.flatMap(CreditLedger, (ledger) => ledger.audit),
    (findings) => findings.filter((finding) => finding.namespaceId === namespaceId)
  )
/** As plain amounts. */
const balanceOf = (namespaceId: NamespaceId) =>
  Effect.map(
    Effect.flatMap(CreditLedger, (ledger) => ledger.balance(namespaceId)),
    (balance): Record<string, bigint> => ({ ...balance })
  )

export const creditLedgerContract = <E>(backEnd: string, over: Layer.Layer<CreditLedger | Namespaces, E>) =>
  layer(over, { excludeTestServices: true })(`CreditLedger on ${backEnd}`, (it) => {
    it.effect("adds what is granted to what is available and writes an entry", () =>
      Effect.gen(function* () {
        const ledger = yield* CreditLedger
        const { id } = yield* fundedNamespace(0)
        const [first, second] = [aGrant(id, 30), aGrant(id, 12)]
        yield* ledger.grant(first)
        const balance = yield* ledger.grant(second)

        assert.deepStrictEqual({ ...balance } as Record<string, bigint>, granted(42n))
        assert.deepStrictEqual(yield* balanceOf(id), granted(42n))
        const entries = yield* ledger.entries(id, 0, MANY)
        const entryOf = ({ amount, reference, at }: Grant, seq: number) => ({
          seq,
          namespaceId: id,
          kind: "grant" as const,
          amount,
          jobId: null,
          reference,
          at
        })
        assert.deepStrictEqual(entries, [entryOf(first, entries[0]!.seq), entryOf(second, entries[1]!.seq)])
        assert.isBelow(entries[0]!.seq, entries[1]!.seq)
      })
    )

    it.effect("changes nothing, when a grant of that name was given already, whatever its amount", () =>
      Effect.gen(function* () {
        const ledger = yield* CreditLedger
        const [one, two] = [yield* fundedNamespace(0), yield* fundedNamespace(0)]
        const grant = aGrant(one.id, 30)
        yield* ledger.grant(grant)
        const again = yield* ledger.grant({ ...grant, amount: credits(99), at: grant.at + 1 })
        yield* ledger.grant({ ...grant, namespaceId: two.id })

        assert.strictEqual(again.granted, 30n)
        assert.strictEqual((yield* ledger.entries(one.id, 0, MANY)).length, 1)
        assert.deepStrictEqual(yield* balanceOf(two.id), granted(30n), "another namespace's name is its own")
      })
    )

    it.effect("gives a grant once, when it comes fifty times at once", () =>
      Effect.gen(function* () {
        const ledger = yield* CreditLedger
        const { id } = yield* fundedNamespace(0)
        const grant = aGrant(id, 30)
        yield* timesAtOnce(50, () => ledger.grant(grant))
        assert.deepStrictEqual(yield* balanceOf(id), granted(30n))
      })
    )

    it.effect("adds up fifty grants that come at once", () =>
      Effect.gen(function* () {
        const ledger = yield* CreditLedger
        const { id } = yield* fundedNamespace(0)
        yield* timesAtOnce(50, (n) => ledger.grant(aGrant(id, n)))
        assert.deepStrictEqual(yield* balanceOf(id), granted(1_225n))
        assert.deepStrictEqual(yield* findingsOf(id), [])
      })
    )

    it.effect("is exact up to 2^63 - 1 and refuses one unit more", () =>
      Effect.gen(function* () {
        const ledger = yield* CreditLedger
        const { id } = yield* fundedNamespace(0)
        yield* ledger.grant(aGrant(id, CREDITS_MAX - 2n))
        yield* ledger.grant(aGrant(id, 1))
        yield* ledger.grant(aGrant(id, 1))
        assert.deepStrictEqual(yield* balanceOf(id), granted(2n ** 63n - 1n))

        for (const amount of [1n, CREDITS_MAX]) {
          const refusal = yield* Effect.flip(ledger.grant(aGrant(id, amount)))
          assert.strictEqual((refusal as Refusal).code, "invalid_request")
        }
        assert.deepStrictEqual(yield* balanceOf(id), granted(CREDITS_MAX))
        assert.strictEqual((yield* ledger.entries(id, 0, MANY)).length, 3)
        assert.deepStrictEqual(yield* findingsOf(id), [])
      })
    )

    it.effect("never grants less than nothing, and changes nothing when asked to", () =>
      Effect.gen(function* () {
        const ledger = yield* CreditLedger
        const { id } = yield* fundedNamespace(10)
        // No such Credits exist; that a caller made some anyway may be refused or be its defect.
        const exit = yield* Effect.exit(ledger.grant({ ...aGrant(id, 0), amount: -1n as Credits }))
        assert.isTrue(Exit.isFailure(exit))
        assert.deepStrictEqual(yield* balanceOf(id), granted(10n))
        assert.strictEqual((yield* ledger.entries(id, 0, MANY)).length, 1)
        assert.deepStrictEqual(yield* findingsOf(id), [])
      })
    )

    it.effect("knows no namespace that was not made: nothing to grant to, and nothing in it", () =>
      Effect.gen(function* () {
        const ledger = yield* CreditLedger
        const id = aNamespaceId()
        const refusal = yield* Effect.flip(ledger.grant(aGrant(id, 1)))
        assert.strictEqual((refusal as Refusal).code, "not_found")
        assert.deepStrictEqual(yield* balanceOf(id), granted(0n))
        assert.deepStrictEqual(yield* ledger.entries(id, 0, MANY), [])
      })
    )

    it.effect("gives entries in pages, in the order they were written", () =>
      Effect.gen(function* () {
        const ledger = yield* CreditLedger
        const [{ id }, other] = [yield* fundedNamespace(0), yield* fundedNamespace(0)]
        for (const amount of [1, 2, 3, 4, 5]) {
          yield* ledger.grant(aGrant(id, amount))
          yield* ledger.grant(aGrant(other.id, 100))
        }
        const pages: Array<Array<bigint>> = []
        let after = 0
        for (let page = 0; page < 4; page++) {
          const entries = yield* ledger.entries(id, after, 2)
          pages.push(entries.map(({ amount }) => amount))
          after = entries.at(-1)?.seq ?? after
        }
        assert.deepStrictEqual(pages, [[1n, 2n], [3n, 4n], [5n], []])
      })
    )

    it.effect("S23: the totals are the sum of all balances, also beyond what one account holds", () =>
      Effect.gen(function* () {
        const ledger = yield* CreditLedger
        const before = yield* ledger.totals
        const [one, two] = [yield* fundedNamespace(0), yield* fundedNamespace(0)]
        yield* ledger.grant(aGrant(one.id, CREDITS_MAX))
        yield* ledger.grant(aGrant(two.id, CREDITS_MAX))
        const { namespaces, granted, available, reserved, spent } = yield* ledger.totals
        assert.deepStrictEqual([namespaces - before.namespaces, granted - before.granted], [2, 2n * CREDITS_MAX])
        assert.strictEqual(available + reserved + spent, granted)
      })
    )

    const Amount = Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: 0n, maximum: CREDITS_MAX }))
    it.effect.prop(
      "grants exactly what fits, whatever the amounts are",
      { amounts: Schema.Array(Amount) },
      ({ amounts }) =>
        Effect.gen(function* () {
          const ledger = yield* CreditLedger
          const { id } = yield* fundedNamespace(0)
          let sum = 0n
          for (const amount of amounts) {
            const fits = sum + amount <= CREDITS_MAX
            const exit = yield* Effect.exit(ledger.grant(aGrant(id, amount)))
            assert.strictEqual(Exit.isSuccess(exit), fits)
            if (fits) sum += amount
            assert.deepStrictEqual(yield* balanceOf(id), granted(sum))
          }
          assert.deepStrictEqual(yield* findingsOf(id), [])
        }),
      { arbitrary: { runs: 50 } }
    )
  })
