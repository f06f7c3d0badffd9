/** What every back end must do with days that leave for cold storage: gone only once they are verified, and the same rows when they come back. */
import { assert, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { Archive } from "../../../src/layers/Archive.ts"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { JobStore } from "../../../src/layers/JobStore.ts"
import { RollupDays } from "../../../src/layers/RollupDays.ts"
import { dayName, Rollups } from "../../../src/layers/Rollups.ts"
import { archiveDay, restoreDay } from "../../../src/layers/RollupTransfer.ts"
import type { NamespaceId } from "../../../src/schemas/Ids.ts"
import { type CreditRollup, DAY_MS, HOUR_MS } from "../../../src/schemas/Rollup.ts"
import { aFinish, aJob, anAdmission, credits, fundedNamespace, MINUTE, unique } from "../../support/factories.ts"
import { assertInvoiced, rollUp, rowsOf } from "./RollupHistory.ts"
import type { RollupServices } from "./Rollups.contract.ts"

export type DaysServices = RollupServices | RollupDays | Archive

const MONDAY = Date.UTC(2026, 1, 2)
const days = [0, 1, 2].map((n) => MONDAY + n * DAY_MS)

const house = Effect.gen(function* () {
  return { rollups: yield* Rollups, days: yield* RollupDays, archive: yield* Archive }
})

const everything = Effect.all([rowsOf("credits", null), rowsOf("jobs", null), rowsOf("accounts", null)])

const codeOf = (failure: { readonly _tag: string; readonly code?: string }) => failure.code ?? failure._tag

/** On each day a grant and a job that ends in a later hour; no hour is closed after the last day. */
const threeDays = Effect.gen(function* () {
  const rollups = yield* Rollups
  const store = yield* JobStore
  const { id: namespaceId } = yield* fundedNamespace(0, { createdAt: MONDAY })
  for (const day of days) {
    const grant = { namespaceId, amount: credits(1_000), reference: unique(), at: day + MINUTE }
    yield* (yield* CreditLedger).grant(grant)
    const job = aJob({ namespaceId, reserved: credits(100), acceptedAt: day + HOUR_MS })
    const { row } = yield* store.admit(anAdmission(job))
    yield* store.finish(aFinish(row, { charge: credits(30), at: day + 3 * HOUR_MS }))
    yield* rollUp(day + DAY_MS)
    yield* rollups.close("accounts", day + DAY_MS, 1_000)
    if (day > MONDAY) continue
    // Closed to its end and no further: the accounts of the next hour would miss those before it.
    assert.strictEqual(codeOf(yield* Effect.flip(archiveDay(yield* house, day, day + DAY_MS))), "conflict")
  }
  return namespaceId
})

export const rollupDaysContract = (backEnd: string, layer: Layer.Layer<DaysServices, unknown>) =>
  it.layer(layer)(`RollupDays on ${backEnd}`, (it) => {
    let made: NamespaceId | null = null
    const namespace = Effect.suspend(() =>
      made === null ? Effect.tap(threeDays, (id) => Effect.sync(() => (made = id))) : Effect.succeed(made)
    )
    const at = days[2]! + 13 * HOUR_MS

    it.effect("S26: a closed day leaves for the archive and comes back the same, row by row and by its hash", () =>
      Effect.gen(function* () {
        const id = yield* namespace
        const before = yield* everything
        const home = yield* house
        assert.deepStrictEqual(
          (yield* home.days.held(MONDAY, MONDAY + 9 * DAY_MS)).map(({ day }) => day),
          days
        )
        const invoice = yield* assertInvoiced(id, days[0]!, days[1]!)

        const away = yield* archiveDay(home, days[0]!, at)
        assert.deepStrictEqual(yield* archiveDay(home, days[0]!, at + 1), away)

        assert.deepStrictEqual(yield* home.days.away(MONDAY, at), [away])
        assert.isTrue((yield* everything).flat().every(({ period }) => period >= days[1]!))
        const manifest = (yield* home.archive.list).find(({ id }) => id === away.segments[0])
        assert.deepInclude(manifest, { dataClass: "rollups", namespaceId: null, count: away.rows })
        const refusal = yield* Effect.flip(home.rollups.invoice(id, { from: days[0]!, to: days[1]! }))
        assert.include(String(refusal), `resultity rollups restore ${dayName(days[0]!)}`)
        yield* assertInvoiced(id, days[1]!, days[2]!)

        assert.deepStrictEqual(yield* restoreDay(home, days[0]!), away)

        assert.deepStrictEqual(yield* everything, before)
        assert.deepStrictEqual(yield* assertInvoiced(id, days[0]!, days[1]!), invoice)
        assert.deepStrictEqual(yield* home.days.away(MONDAY, at), [])
        assert.deepStrictEqual((yield* archiveDay(home, days[0]!, at)).segments, away.segments)
        yield* restoreDay(home, days[0]!)
      })
    )

    it.effect("a day that breaks off half way, out or back, is away until it is whole again", () =>
      Effect.gen(function* () {
        const id = yield* namespace
        const before = yield* everything
        const home = yield* house
        const away = yield* archiveDay(home, days[0]!, at)
        const rows = before.flat().filter(({ period }) => period < days[1]!)
        assert.isTrue(yield* home.days.put(days[0]!, rows.slice(0, 1)))
        assert.isFalse(yield* home.days.settle(days[0]!))
        assert.strictEqual(
          codeOf(yield* Effect.flip(home.rollups.invoice(id, { from: MONDAY, to: at - 13 * HOUR_MS }))),
          "conflict"
        )
        assert.strictEqual(yield* home.days.drop(away, 10), 1)
        yield* home.days.put(days[0]!, rows.slice(2, 4))
        yield* restoreDay(home, days[0]!)
        assert.deepStrictEqual(yield* everything, before)

        yield* archiveDay(home, days[0]!, at)
        const [first] = rows as ReadonlyArray<CreditRollup>
        yield* home.days.put(days[0]!, [{ ...first!, granted: 7n }])
        assert.strictEqual(codeOf(yield* Effect.flip(restoreDay(home, days[0]!))), "conflict", "another row is there")
        yield* archiveDay(home, days[0]!, at)
        yield* restoreDay(home, days[0]!)
        assert.deepStrictEqual(yield* everything, before)

        assert.strictEqual(yield* home.days.drop({ ...away, at: at + 5 }, 1), 1)
        assert.deepStrictEqual(yield* archiveDay(home, days[0]!, at + 9), { ...away, at: at + 5 })
        yield* restoreDay(home, days[0]!)
        assert.deepStrictEqual(yield* everything, before)
      })
    )

    it.effect("an opening balance is found from either side of a day that is away", () =>
      Effect.gen(function* () {
        const id = yield* namespace
        const home = yield* house
        yield* archiveDay(home, days[0]!, at)
        yield* assertInvoiced(id, days[1]!, days[2]!)
        yield* archiveDay(home, days[1]!, at)
        yield* assertInvoiced(id, days[2]!, days[2]! + 6 * HOUR_MS)
        yield* restoreDay(home, days[0]!)
        yield* assertInvoiced(id, days[0]!, days[0]! + 2 * HOUR_MS)
        yield* assertInvoiced(id, days[0]! + 5 * HOUR_MS, days[1]!)
        yield* restoreDay(home, days[1]!)
      })
    )

    it.effect(
      "what is not closed does not leave, nor what is not as it was exported; what is not away does not come back",
      () =>
        Effect.gen(function* () {
          yield* namespace
          const home = yield* house
          const before = yield* everything
          assert.strictEqual(codeOf(yield* Effect.flip(archiveDay(home, days[2]!, at))), "conflict")
          assert.isNull(yield* home.days.drop({ day: days[0]!, segments: [], rows: 1, at }, 10))
          assert.strictEqual(codeOf(yield* Effect.flip(restoreDay(home, days[0]!))), "not_found")
          assert.isFalse(yield* home.days.put(days[0]!, []))
          assert.isFalse(yield* home.days.settle(days[0]!))
          assert.deepStrictEqual(yield* everything, before)
        })
    )
  })
