/** What every back end of rollups must do: the same sums as the detail, whatever breaks off in between, and nothing that changes once it is closed. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, type Layer, Schema } from "effect"
import type { ApiKeys } from "../../../src/layers/ApiKeys.ts"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { JobStore } from "../../../src/layers/JobStore.ts"
import { Rollups } from "../../../src/layers/Rollups.ts"
import { CREDITS_MAX } from "../../../src/schemas/Credits.ts"
import { type AccountRollup, type CreditRollup, DAY_MS, HOUR_MS, type JobRollup } from "../../../src/schemas/Rollup.ts"
import { aFinish, aJob, anAdmission, credits, fundedNamespace, MINUTE, unique } from "../../support/factories.ts"
import {
  assertFolded,
  assertInvoiced,
  assertJobsFolded,
  bookAll,
  FIRST_DAY,
  live,
  makeDays,
  rollUp,
  rowsOf,
  Step
} from "./RollupHistory.ts"
import type { JobServices } from "./StateProbes.ts"

export interface RollupCapabilities {
  /** Runs the effect while the store breaks off the transaction that writes how far a namespace came. */
  readonly breaking?: <A, E, R>(body: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly runs?: number
}

export type RollupServices = JobServices | Rollups | ApiKeys

const aGrant = (namespaceId: ReturnType<typeof aJob>["namespaceId"], amount: bigint | number, at: number) => ({
  namespaceId,
  amount: credits(amount),
  reference: unique(),
  at
})

export const rollupsContract = (
  backEnd: string,
  layer: Layer.Layer<RollupServices, unknown>,
  { breaking, runs = 25 }: RollupCapabilities = {}
) =>
  it.layer(layer)(`Rollups on ${backEnd}`, (it) => {
    const { freshStart, daemon } = makeDays()

    it.effect.prop(
      "S8, S24: are the sums of the detail, for any history, also of jobs that end in a later period than they began in; running again changes nothing",
      { steps: Schema.Array(Step).check(Schema.isMinLength(15), Schema.isMaxLength(60)) },
      ({ steps }) =>
        Effect.gen(function* () {
          const { namespaces, jobs, start, end } = yield* live(freshStart(), yield* daemon, steps)
          for (const id of namespaces) {
            yield* assertFolded(id)
            yield* assertJobsFolded(id, jobs)
            yield* assertInvoiced(id, start, end)
            yield* assertInvoiced(id, start + HOUR_MS, Math.max(start + HOUR_MS, end - 2 * HOUR_MS))
          }
          const before = [yield* rowsOf("credits", null), yield* rowsOf("jobs", null)]
          yield* rollUp(end)
          assert.deepStrictEqual([yield* rowsOf("credits", null), yield* rowsOf("jobs", null)], before)
        }),
      { arbitrary: { runs } }
    )

    it.effect("S8: one row for each period, environment, namespace, model, mode and end", () =>
      Effect.gen(function* () {
        const at = freshStart()
        const store = yield* JobStore
        const { id: namespaceId } = yield* fundedNamespace(0)
        yield* (yield* CreditLedger).grant(aGrant(namespaceId, 1_000_000, at))
        for (const [minute, charge] of [
          [1, 10],
          [2, 30],
          [70, 500]
        ] as const) {
          const { row } = yield* store.admit(anAdmission(aJob({ namespaceId, acceptedAt: at + MINUTE })))
          yield* store.finish(aFinish(row, { charge: credits(charge), at: at + minute * MINUTE }))
        }
        yield* rollUp(at + DAY_MS)
        const rows = yield* rowsOf<JobRollup>("jobs", namespaceId)
        const common = { definition: "jobs", environment: "testnet", namespaceId, model: "tiny", mode: "stream" }
        const never = { state: "cancelled", started: 0, queueMs: 0 }
        assert.deepStrictEqual(rows, [
          { ...common, ...never, period: at, jobs: 2, promptTokens: 20, outputTokens: 40, cost: 40n, totalMs: MINUTE },
          {
            ...common,
            ...never,
            period: at + HOUR_MS,
            jobs: 1,
            promptTokens: 10,
            outputTokens: 20,
            cost: 500n,
            totalMs: 69 * MINUTE
          }
        ] as unknown as typeof rows)
      })
    )

    it.effect(
      "an entry that comes after its hour was closed counts in the first open one, and the closed one stays as it was",
      () =>
        Effect.gen(function* () {
          const at = freshStart()
          const ledger = yield* CreditLedger
          const { id } = yield* fundedNamespace(0)
          yield* ledger.grant(aGrant(id, 5, at))
          yield* rollUp(at + 3 * HOUR_MS)
          const [closed] = yield* rowsOf<CreditRollup>("credits", id)
          yield* ledger.grant(aGrant(id, 7, at + MINUTE))
          yield* rollUp(at + 5 * HOUR_MS)
          const rows = yield* rowsOf<CreditRollup>("credits", id)
          assert.deepStrictEqual(rows[0], closed)
          assert.deepStrictEqual(
            rows.map(({ period, granted, grantedAtEnd }) => [period - at, granted, grantedAtEnd]),
            [
              [0, 5n, 5n],
              [3 * HOUR_MS, 7n, 12n]
            ]
          )
        })
    )

    it.effect("a clock that is ahead opens no period of the future, and one that is behind none of the past", () =>
      Effect.gen(function* () {
        const at = freshStart()
        const ledger = yield* CreditLedger
        const { id } = yield* fundedNamespace(0)
        yield* ledger.grant(aGrant(id, 1, at + 900 * DAY_MS))
        yield* bookAll("credits", 10, at + HOUR_MS)
        yield* ledger.grant(aGrant(id, 2, at + MINUTE))
        yield* bookAll("credits", 10, at + 2 * HOUR_MS)
        const rows = yield* rowsOf<CreditRollup>("credits", id)
        assert.deepStrictEqual(
          rows.map(({ period, granted }) => [period - at, granted]),
          [[HOUR_MS, 3n]]
        )
      })
    )

    it.effect(
      "jobs are not closed beyond an entry that they did not take, nor beyond credits; no watermark goes back",
      () =>
        Effect.gen(function* () {
          const at = freshStart()
          const rollups = yield* Rollups
          yield* rollUp(at)
          const { id } = yield* fundedNamespace(0)
          yield* (yield* CreditLedger).grant(aGrant(id, 1, at))
          assert.strictEqual(yield* rollups.close("jobs", at + DAY_MS, 1), at)
          yield* bookAll("credits", 10, at)
          assert.deepInclude(yield* rollups.waiting, { credits: 0, jobs: 1 })
          assert.strictEqual(yield* rollups.close("credits", at + 2 * HOUR_MS + 5, 1), at + 2 * HOUR_MS)
          assert.strictEqual(yield* rollups.close("jobs", at + DAY_MS, 1), at)
          yield* bookAll("jobs", 10, at)
          assert.strictEqual(yield* rollups.close("jobs", at + DAY_MS, 1), at + 2 * HOUR_MS)
          assert.strictEqual(yield* rollups.close("credits", at - DAY_MS, 1), at + 2 * HOUR_MS)
          assert.deepInclude(yield* rollups.closedUntil, { credits: at + 2 * HOUR_MS, jobs: at + 2 * HOUR_MS })
        })
    )

    it.effect("sums are exact where 64 bits overflow", () =>
      Effect.gen(function* () {
        const at = freshStart()
        const store = yield* JobStore
        const { id: namespaceId } = yield* fundedNamespace(0)
        yield* (yield* CreditLedger).grant(aGrant(namespaceId, CREDITS_MAX, at))
        for (let n = 0; n < 3; n++) {
          const job = aJob({ namespaceId, reserved: credits(CREDITS_MAX), acceptedAt: at })
          const { row } = yield* store.admit(anAdmission(job))
          yield* store.finish(aFinish(row, { at: at + 1 }))
        }
        yield* rollUp(at + HOUR_MS)
        yield* assertFolded(namespaceId)
        const [row] = yield* rowsOf<CreditRollup>("credits", namespaceId)
        assert.strictEqual(row?.refunded, 3n * CREDITS_MAX)
        yield* assertInvoiced(namespaceId, at, at + HOUR_MS)
      })
    )

    it.effect("S36: taken by several at once while others write, each entry counts once and none is passed over", () =>
      Effect.gen(function* () {
        const at = freshStart()
        const ledger = yield* CreditLedger
        const store = yield* JobStore
        const namespaces = yield* Effect.forEach([1, 2], () => fundedNamespace(0))
        const [payer] = namespaces
        for (const { id } of namespaces) yield* ledger.grant(aGrant(id, 1_000, at))
        const aLife = Effect.fnUntraced(function* (n: number) {
          yield* ledger.grant(aGrant(namespaces[n % 2]!.id, n, at + n))
          const job = aJob({ namespaceId: payer!.id, reserved: credits(2), acceptedAt: at + n })
          const { row } = yield* store.admit(anAdmission(job))
          yield* store.finish(aFinish(row, { charge: credits(n % 3), at: at + n }))
          return job.id
        })
        const writers = Effect.forEach(
          Array.from({ length: 60 }, (_, n) => n),
          aLife,
          { concurrency: 12 }
        )
        const takers = Effect.forever(
          Effect.all([rollUp(at + 1, 3), rollUp(at + 1, 5)], { concurrency: 2 }).pipe(Effect.andThen(Effect.yieldNow))
        )
        const jobs = yield* Effect.raceFirst(writers, takers)
        yield* rollUp(at + DAY_MS)
        for (const { id } of namespaces) yield* assertFolded(id)
        yield* assertJobsFolded(payer!.id, jobs)
        assert.deepInclude(yield* (yield* Rollups).waiting, { credits: 0, jobs: 0 })
      })
    )

    it.effect(
      "an invoice of no whole hours is refused; one that is not closed yet says so; one of nothing is nothing",
      () =>
        Effect.gen(function* () {
          const at = freshStart()
          const rollups = yield* Rollups
          const { id } = yield* fundedNamespace(0)
          const refusal = yield* Effect.flip(rollups.invoice(id, { from: at, to: at + 1 }))
          assert.strictEqual(refusal._tag === "Refusal" && refusal.code, "invalid_request")
          yield* (yield* CreditLedger).grant(aGrant(id, 9, at))
          yield* rollUp(at + MINUTE)
          assert.isTrue((yield* assertInvoiced(id, at, at + HOUR_MS)).preliminary)
          yield* rollUp(at + HOUR_MS)
          assert.isFalse((yield* assertInvoiced(id, at, at + HOUR_MS)).preliminary)
          for (const from of [at - DAY_MS, at + DAY_MS]) yield* assertInvoiced(id, from, from + HOUR_MS)
        })
    )

    it.effect.skipIf(breaking === undefined)(
      "S24: what breaks off in the middle of a period leaves nothing behind, and goes on where it was",
      () =>
        Effect.gen(function* () {
          const at = freshStart()
          const ledger = yield* CreditLedger
          const store = yield* JobStore
          const { id: namespaceId } = yield* fundedNamespace(0)
          for (let n = 1; n <= 5; n++) yield* ledger.grant(aGrant(namespaceId, n, at + n))
          const { row } = yield* store.admit(
            anAdmission(aJob({ namespaceId, reserved: credits(3), acceptedAt: at + 9 }))
          )
          yield* store.finish(aFinish(row, { charge: credits(2), at: at + 10 }))
          const rollups = yield* Rollups
          assert.strictEqual((yield* rollups.book("credits", namespaceId, 2, at + 20)).taken, 2)
          const before = yield* rowsOf("credits", namespaceId)
          for (const definition of ["credits", "jobs"] as const) {
            const exit = yield* breaking!(Effect.exit(rollups.book(definition, namespaceId, 2, at + 20)))
            assert.isTrue(Exit.isFailure(exit), definition)
          }
          assert.deepStrictEqual(yield* rowsOf("credits", namespaceId), before)
          assert.deepStrictEqual(yield* rowsOf("jobs", namespaceId), [])
          yield* rollUp(at + HOUR_MS, 2)
          yield* assertFolded(namespaceId)
          yield* assertJobsFolded(namespaceId, [row.job.id])
        })
    )
  })

/** Accounts have a row for each hour, so their store is one of their own that holds little time. */
export const accountRollupsContract = (backEnd: string, layer: Layer.Layer<RollupServices, unknown>) =>
  it.layer(layer)(`Rollups of accounts on ${backEnd}`, (it) => {
    it.effect(
      "S24: what there was at the end of each hour, closed a few hours at a time; they go on where they were",
      () =>
        Effect.gen(function* () {
          const at = FIRST_DAY
          const rollups = yield* Rollups
          const ledger = yield* CreditLedger
          const store = yield* JobStore
          const one = yield* fundedNamespace(0, { createdAt: at, environment: "testnet" })
          const two = yield* fundedNamespace(0, { createdAt: at + 2 * HOUR_MS, environment: "mainnet" })
          yield* ledger.grant(aGrant(one.id, 100, at + MINUTE))
          const job = aJob({ namespaceId: one.id, reserved: credits(40), acceptedAt: at + MINUTE })
          const { row } = yield* store.admit(anAdmission(job))
          yield* ledger.grant(aGrant(two.id, CREDITS_MAX, at + 2 * HOUR_MS))
          yield* store.finish(aFinish(row, { charge: credits(15), at: at + 3 * HOUR_MS }))
          const now = at + 5 * HOUR_MS
          assert.strictEqual(yield* rollups.close("accounts", now, 2), 0)
          yield* rollUp(now)
          assert.strictEqual(yield* rollups.close("accounts", now, 3), at + 3 * HOUR_MS)
          assert.strictEqual(yield* rollups.close("accounts", now, 24), now)
          assert.strictEqual(yield* rollups.close("accounts", now, 24), now)
          const rows = yield* rowsOf<AccountRollup>("accounts", null)
          assert.deepStrictEqual(
            rows.map((r) => [
              (r.period - at) / HOUR_MS,
              r.environment,
              r.namespaces,
              r.openJobs,
              r.granted,
              r.available,
              r.reserved,
              r.spent
            ]),
            [
              [0, "testnet", 1, 1, 100n, 60n, 40n, 0n],
              [1, "testnet", 1, 1, 100n, 60n, 40n, 0n],
              [2, "mainnet", 1, 0, CREDITS_MAX, CREDITS_MAX, 0n, 0n],
              [2, "testnet", 1, 1, 100n, 60n, 40n, 0n],
              [3, "mainnet", 1, 0, CREDITS_MAX, CREDITS_MAX, 0n, 0n],
              [3, "testnet", 1, 0, 100n, 85n, 0n, 15n],
              [4, "mainnet", 1, 0, CREDITS_MAX, CREDITS_MAX, 0n, 0n],
              [4, "testnet", 1, 0, 100n, 85n, 0n, 15n]
            ]
          )
        })
    )
  })
