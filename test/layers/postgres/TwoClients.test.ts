/** Two daemons, each with a client of its own, at the same jobs and the same credits: what one process's batches cannot show. */
import { assert } from "@effect/vitest"
import { Effect, Result } from "effect"
import { describe, it } from "vitest"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { type Admission, JobStore } from "../../../src/layers/JobStore.ts"
import { Outbox } from "../../../src/layers/Outbox.ts"
import {
  aClaim,
  aFinish,
  aJob,
  anAdmission,
  anOutboxRow,
  credits,
  fundedNamespace,
  livingDaemon
} from "../../support/factories.ts"
import { admitted, assertSound, purseOf, timesAtOnce } from "../contracts/StateProbes.ts"
import { type Client, clientOf, freshSchema, withPostgres } from "./PgSchema.ts"

withPostgres("two clients of one PostgreSQL", () => {
  const options = freshSchema("two")
  const one = clientOf(options)
  const two = clientOf(options)
  const each = <A>(use: (client: Client, n: number) => Promise<A>) => Promise.all([one, two].map(use))

  const admit = (admission: Admission) => Effect.flatMap(JobStore, (store) => Effect.result(store.admit(admission)))

  describe("two clients of one PostgreSQL", () => {
    it("admit exactly ten of fifty at once, when the credits are for ten", async () => {
      const { id: namespaceId } = await one.runPromise(fundedNamespace(109))
      const jobs = Array.from({ length: 50 }, () => aJob({ namespaceId, reserved: credits(10) }))
      const answers = await each((client, n) => {
        const half = jobs.filter((_, index) => index % 2 === n)
        return client.runPromise(Effect.forEach(half, (job) => admit(anAdmission(job)), { concurrency: 25 }))
      })
      assert.strictEqual(answers.flat().filter(Result.isSuccess).length, 10)
      assert.deepStrictEqual(await two.runPromise(purseOf(namespaceId)), [9n, 100n, 0n])
      await one.runPromise(
        assertSound(
          namespaceId,
          jobs.map(({ id }) => id)
        )
      )
    })

    it("keep to the number of open jobs of a namespace together", async () => {
      const { id: namespaceId } = await one.runPromise(fundedNamespace(1_000_000))
      const submit = () => admit(anAdmission(aJob({ namespaceId }), { openJobsMax: 7 }))
      const answers = await each((client) => client.runPromise(timesAtOnce(25, submit)))
      assert.strictEqual(answers.flat().filter(Result.isSuccess).length, 7)
    })

    it("let exactly one of them have a job that both claim", async () => {
      for (let round = 0; round < 20; round++) {
        const row = await one.runPromise(admitted())
        const at = row.runAt
        const answers = await each((client) =>
          client.runPromise(
            Effect.gen(function* () {
              const daemonId = yield* livingDaemon(at)
              return yield* (yield* JobStore).claim(aClaim(row, daemonId))
            })
          )
        )
        assert.deepStrictEqual(answers.map(({ _tag }) => _tag).toSorted(), ["Claimed", "Refused"])
        assert.strictEqual((await two.runPromise(Effect.flatMap(JobStore, (store) => store.get(row.job.id))))?.epoch, 1)
      }
    })

    it("make one job of fifty submissions with one key", async () => {
      const { id: namespaceId } = await one.runPromise(fundedNamespace(1_000_000))
      const idempotency = { key: "key", bodyHash: "body", expiresAt: 8_640_000_000_000_000 }
      const submit = () => admit(anAdmission(aJob({ namespaceId }), { idempotency }))
      const answers = await each((client) => client.runPromise(timesAtOnce(25, submit)))
      const rows = answers.flat().map((answer) => Result.getOrThrow(answer))
      assert.strictEqual(rows.filter(({ created }) => created).length, 1)
      assert.strictEqual(new Set(rows.map(({ row }) => row.job.id)).size, 1)
      assert.deepStrictEqual(await one.runPromise(purseOf(namespaceId)), [999_000n, 1_000n, 0n])
    })

    it("make one job of fifty submissions of one job id", async () => {
      const { id: namespaceId } = await one.runPromise(fundedNamespace(1_000_000))
      const job = aJob({ namespaceId })
      const answers = await each((client) => client.runPromise(timesAtOnce(25, () => admit(anAdmission(job)))))
      const created = answers.flat().filter((answer) => Result.isSuccess(answer) && answer.success.created)
      assert.strictEqual(created.length, 1)
      await one.runPromise(assertSound(namespaceId, [job.id]))
    })

    it("settle a job once, when both end it at once", async () => {
      const row = await one.runPromise(
        Effect.gen(function* () {
          const waiting = yield* admitted()
          const claimed = yield* (yield* JobStore).claim(aClaim(waiting, yield* livingDaemon(waiting.runAt)))
          return claimed.row!
        })
      )
      const finish = () => Effect.flatMap(JobStore, (store) => store.finish(aFinish(row, { charge: credits(600) })))
      const answers = await each((client) => client.runPromise(timesAtOnce(25, finish)))
      assert.strictEqual(answers.flat().filter(({ _tag }) => _tag === "Done").length, 1)
      assert.strictEqual(answers.flat().filter(({ _tag }) => _tag === "Repeated").length, 49)
      await two.runPromise(assertSound(row.job.namespaceId, [row.job.id]))
    })

    it("take messages out that both have sent, in whatever order each names them", async () => {
      const rows = Array.from({ length: 200 }, (_, n) => anOutboxRow(n))
      await one.runPromise(Effect.flatMap(Outbox, (outbox) => outbox.add(rows)))
      const ids = rows.map(({ id }) => id)
      await each((client, n) => {
        const ordered = n === 0 ? ids : ids.toReversed()
        return client.runPromise(
          Effect.gen(function* () {
            const outbox = yield* Outbox
            yield* Effect.forEach(ordered, (id) => outbox.sent([id, ...ordered.slice(0, 50)]), { concurrency: 50 })
          })
        )
      })
      const left = await two.runPromise(Effect.flatMap(Outbox, (outbox) => outbox.pending(1_000, 1_000)))
      assert.deepStrictEqual([...left], [])
    })

    it("never stand in each other's way, when their batches name the same namespaces and jobs in other orders", async () => {
      const payers = await one.runPromise(Effect.all(Array.from({ length: 4 }, () => fundedNamespace(1_000_000))))
      const jobs = Array.from({ length: 160 }, (_, n) => aJob({ namespaceId: payers[n % 4]!.id }))
      const daemonIds = await each((client) => client.runPromise(livingDaemon(0)))
      await each((client, n) => {
        const own = jobs.filter((_, index) => index % 2 === n)
        const ordered = n === 0 ? own : own.toReversed()
        return client.runPromise(Effect.forEach(ordered, (job) => admit(anAdmission(job)), { concurrency: 80 }))
      })
      const tags = await each((client, n) => {
        const all = n === 0 ? jobs : jobs.toReversed()
        const work = (job: (typeof jobs)[number]) =>
          Effect.gen(function* () {
            const store = yield* JobStore
            const row = (yield* store.get(job.id))!
            const claimed = yield* store.claim(aClaim(row, daemonIds[n]!))
            if (claimed._tag === "Refused") return claimed.why
            return (yield* store.finish(aFinish(claimed.row, { charge: credits(n) })))._tag
          })
        return client.runPromise(Effect.forEach(all, work, { concurrency: 160 }))
      })
      const ended = tags.flat().filter((tag) => tag === "Done")
      assert.strictEqual(ended.length, jobs.length)
      for (const { id } of payers) {
        await one.runPromise(
          assertSound(
            id,
            jobs.filter(({ namespaceId }) => namespaceId === id).map((job) => job.id)
          )
        )
      }
      assert.deepStrictEqual(await two.runPromise(Effect.flatMap(CreditLedger, (ledger) => ledger.audit)), [])
    })
  })
})
