/** What becomes of calls when their connection dies, the server is not there, or one of them asks what it cannot have. */
import { assert } from "@effect/vitest"
import { Cause, Effect, Exit, Latch, Redacted } from "effect"
import { describe, it } from "vitest"
import { type Admission, JobStore } from "../../../src/layers/JobStore.ts"
import { Outage } from "../../../src/layers/Outage.ts"
import { Outbox } from "../../../src/layers/Outbox.ts"
import * as PgClient from "../../../src/layers/postgres/PgClient.ts"
import { aClaim, aFinish, aJob, anAdmission, aRelease, fundedNamespace, livingDaemon } from "../../support/factories.ts"
import { assertSound, claimedOf, messagesOf } from "../contracts/StateProbes.ts"
import { openProxy } from "./PgProxy.ts"
import { clientOf, freshSchema, openClient, holding, shell, whoWaits, withPostgres } from "./PgSchema.ts"

const admit = (admission: Admission) => Effect.flatMap(JobStore, (store) => store.admit(admission))

const outageOf = (exit: Exit.Exit<unknown, unknown>): Outage => {
  const error = Exit.isFailure(exit) && exit.cause.reasons.find(Cause.isFailReason)?.error
  assert.instanceOf(error, Outage)
  return error as Outage
}

withPostgres("connections to PostgreSQL that die", () => {
  const options = freshSchema("connections")
  const { schema } = options
  const client = clientOf(options)

  describe("a connection to PostgreSQL", () => {
    it("is an Outage for all of its batch when it is killed, and the next call finds another one", async () => {
      const { id: namespaceId } = await client.runPromise(fundedNamespace(1_000_000))
      const jobs = Array.from({ length: 20 }, () => aJob({ namespaceId }))
      const calls = jobs.map((job) => Effect.exit(admit(anAdmission(job))))
      const held = await holding(schema, `SELECT FROM credit_balance WHERE namespace_id = '${namespaceId}' FOR UPDATE`)
      const answers = client.runPromise(Effect.all(calls, { concurrency: calls.length }))
      const waiting = await whoWaits(options.applicationName)
      await shell("public", ...waiting.map((pid) => `SELECT pg_terminate_backend(${pid})`))

      for (const exit of await answers) {
        const { of, during } = outageOf(exit)
        assert.deepStrictEqual([of, during], ["JobStore", "admit"])
      }
      await held.end()
      const again = await client.runPromise(Effect.forEach(jobs, (job) => admit(anAdmission(job))))
      assert.isTrue(again.every(({ created }) => created))
      await client.runPromise(
        assertSound(
          namespaceId,
          jobs.map(({ id }) => id)
        )
      )
    })

    it("is an Outage when its server gives up waiting for a lock", async () => {
      const { id: namespaceId } = await client.runPromise(fundedNamespace(1_000_000))
      const job = aJob({ namespaceId })
      const held = await holding(schema, `SELECT FROM credit_balance WHERE namespace_id = '${namespaceId}' FOR UPDATE`)
      outageOf(await client.runPromise(Effect.exit(admit(anAdmission(job)))))
      await held.end()
      assert.isTrue((await client.runPromise(admit(anAdmission(job)))).created)
    })
  })

  describe("a move whose answer is lost after it was made", () => {
    it("is taken for what it is, when it is made again", async () => {
      const proxy = await openProxy()
      // One connection, so that the answer which is swallowed is that of the move.
      const lossy = openClient({ ...options, url: proxy.url, connectionsMax: 1 })
      const { id: namespaceId } = await lossy.runPromise(fundedNamespace(1_000_000))
      const daemonId = await lossy.runPromise(livingDaemon(0))
      const admission = anAdmission(aJob({ namespaceId }))
      const twice = async <A>(call: Effect.Effect<A, unknown, JobStore>): Promise<A> => {
        const swallowed = proxy.swallowNextAnswer()
        outageOf(await lossy.runPromise(Effect.exit(call)))
        await swallowed
        return lossy.runPromise(Effect.orDie(call))
      }
      const on = <A, E>(use: (store: JobStore["Service"]) => Effect.Effect<A, E>) => Effect.flatMap(JobStore, use)

      const admitted = await twice(admit(admission))
      assert.deepStrictEqual([admitted.created, admitted.row.state], [false, "queued"])
      const claimed = await twice(on((store) => store.claim(aClaim(admitted.row, daemonId))))
      assert.deepStrictEqual([claimed._tag, claimed.row?.owner, claimed.row?.epoch], ["Refused", daemonId, 1])
      const released = await twice(on((store) => store.release(aRelease(claimed.row!))))
      assert.deepStrictEqual([released._tag, released.row?.state], ["Repeated", "queued"])
      const row = claimedOf(await lossy.runPromise(on((store) => store.claim(aClaim(released.row!, daemonId)))))
      const finished = await twice(on((store) => store.finish(aFinish(row))))
      assert.deepStrictEqual([finished._tag, finished.row?.state], ["Repeated", "completed"])
      await lossy.runPromise(assertSound(namespaceId, [row.job.id]))

      const messages = await lossy.runPromise(messagesOf(row.job.id))
      const sent = Effect.flatMap(Outbox, (outbox) => outbox.sent(messages.map(({ id }) => id)))
      const swallowed = proxy.swallowNextAnswer()
      outageOf(await lossy.runPromise(Effect.exit(sent)))
      await swallowed
      await lossy.runPromise(sent)
      assert.deepStrictEqual(await lossy.runPromise(messagesOf(row.job.id)), [])
      await lossy.dispose()
      await proxy.close()
    })
  })

  describe("a server", () => {
    it("that is not there is an Outage for whoever starts, after a bounded wait", async () => {
      const proxy = await openProxy()
      await proxy.close()
      const late = openClient({ ...options, url: proxy.url, startMs: 300 })
      const { of, during } = outageOf(await Effect.runPromiseExit(late.contextEffect))
      await late.dispose()
      assert.deepStrictEqual([of, during], ["PgClient", "open"])
    })

    it("that comes up a little later is waited for", async () => {
      const proxy = await openProxy()
      await proxy.close()
      const late = openClient({ ...options, url: proxy.url })
      const opened = late.runPromise(PgClient.PgClient)
      const back = await openProxy(proxy.port)
      assert.strictEqual((await opened).schema, schema)
      await late.dispose()
      await back.close()
    })

    it("that goes away is an Outage for each call, and works again when it is back", async () => {
      const proxy = await openProxy()
      const through = openClient({ ...options, url: proxy.url })
      const { id: namespaceId } = await through.runPromise(fundedNamespace(1_000_000))
      await proxy.close()
      const job = aJob({ namespaceId })
      outageOf(await through.runPromise(Effect.exit(admit(anAdmission(job)))))
      outageOf(await through.runPromise(Effect.exit(Effect.flatMap(JobStore, (store) => store.get(job.id)))))
      const back = await openProxy(proxy.port)
      assert.isTrue((await through.runPromise(admit(anAdmission(job)))).created)
      await through.dispose()
      await back.close()
    })

    it("that does not answer any more is an Outage after a bounded wait, and works again by another way", async () => {
      const proxy = await openProxy()
      const through = openClient({ ...options, url: proxy.url, answerMs: 200 })
      const { id: namespaceId } = await through.runPromise(fundedNamespace(1_000_000))
      proxy.freeze()
      const job = aJob({ namespaceId })
      outageOf(await through.runPromise(Effect.exit(admit(anAdmission(job)))))
      await proxy.close()
      const back = await openProxy(proxy.port)
      assert.isTrue((await through.runPromise(admit(anAdmission(job)))).created)
      await through.dispose()
      await back.close()
    })

    it("whose password is wrong is an Outage that does not tell the password", async () => {
      const url = new URL(Redacted.value(options.url))
      url.password = "opensesame"
      const stranger = openClient({ ...options, url: Redacted.make(url.href), startMs: 0 })
      const exit = await Effect.runPromiseExit(stranger.contextEffect)
      await stranger.dispose()
      // A server that trusts everybody lets this one in too.
      if (Exit.isFailure(exit)) assert.notInclude(Cause.pretty(exit.cause), "opensesame")
    })
  })

  describe("two transactions of PostgreSQL that wait for each other", () => {
    it("both go through, because the one that the server ends is tried again", async () => {
      const [one, two] = [await client.runPromise(fundedNamespace(10)), await client.runPromise(fundedNamespace(10))]
      const tries = await client.runPromise(
        Effect.gen(function* () {
          const { sql, transaction } = yield* PgClient.PgClient
          const both = yield* Latch.make()
          let [inside, tries] = [0, 0]
          const lock = (id: string) => sql.unsafe("SELECT FROM credit_balance WHERE namespace_id = $1 FOR UPDATE", [id])
          const through = (first: string, second: string) =>
            transaction(
              { of: "Test", method: "cross" },
              Effect.gen(function* () {
                tries += 1
                yield* lock(first)
                if (++inside === 2) yield* both.open
                yield* both.await
                yield* lock(second)
              })
            )
          yield* Effect.all([through(one.id, two.id), through(two.id, one.id)], { concurrency: 2 })
          return tries
        })
      )
      assert.strictEqual(tries, 3)
    })
  })

  describe("an item that the server cannot store", () => {
    it("dies alone, and its neighbours of the batch go through", async () => {
      const { id: namespaceId } = await client.runPromise(fundedNamespace(1_000_000))
      const key = (name: string) => ({ idempotency: { key: name, bodyHash: "body", expiresAt: 8_640_000_000_000_000 } })
      const [before, bad, after] = [
        anAdmission(aJob({ namespaceId })),
        anAdmission(aJob({ namespaceId }), key("a\u0000b")),
        anAdmission(aJob({ namespaceId }))
      ]
      const worse = anAdmission(aJob({ namespaceId, deadlineAt: Number.NaN }))
      const calls = [before, bad, worse, after].map((admission) => Effect.exit(admit(admission)))
      const exits = await client.runPromise(Effect.all(calls, { concurrency: calls.length }))
      const died = (exit: Exit.Exit<unknown, unknown>) => Exit.isFailure(exit) && Cause.hasDies(exit.cause)
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false, false, true])
      assert.deepStrictEqual(exits.map(died), [false, true, true, false])
      await client.runPromise(
        assertSound(
          namespaceId,
          [before, bad, worse, after].map(({ job }) => job.id)
        )
      )
    })
  })
})
