/** The promises of the job store that cross tables: credits, outbox, history and idempotency keys stand or fall together. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { describe } from "vitest"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { Daemons } from "../../../src/layers/Daemons.ts"
import { JobStore, JobSurvey } from "../../../src/layers/JobStore.ts"
import { Outbox } from "../../../src/layers/Outbox.ts"
import { SqliteClient } from "../../../src/layers/sqlite/SqliteClient.ts"
import { Credits, CREDITS_MAX } from "../../../src/schemas/Credits.ts"
import { DaemonId, type EnvelopeId, NamespaceId } from "../../../src/schemas/Ids.ts"
import type { Job } from "../../../src/schemas/Job.ts"
import {
  admissionOf,
  AT,
  claimOf,
  DAEMON,
  finishOf,
  freshStore,
  jobOf,
  NAMESPACE,
  releaseOf,
  settle
} from "./StateSamples.ts"

const key = (bodyHash: string, more: { readonly expiresAt?: number } = {}) => ({
  idempotency: { key: "k", bodyHash, expiresAt: AT + 1_000, ...more }
})
const balance = Effect.flatMap(CreditLedger, ({ balance }) => balance(NAMESPACE))
const kinds = (job: Job) =>
  Effect.map(
    Effect.flatMap(JobStore, ({ events }) => events(job.id)),
    (all) => all.map((event) => event.kind)
  )
const pending = (before: number) =>
  Effect.map(
    Effect.flatMap(Outbox, ({ pending }) => pending(before, 100)),
    (rows) => rows.map((row) => row.id)
  )
const message = (name: string) => `msg_${name}` as EnvelopeId

describe("admission in the embedded store", () => {
  it.effect("answers with the first row and reserves once, when the key and the body repeat", () =>
    Effect.gen(function* () {
      yield* settle()
      const { admit } = yield* JobStore
      const [first, second] = [jobOf("a"), jobOf("b")]
      yield* admit(admissionOf(first, key("one")))
      const again = yield* admit(admissionOf(second, key("one")))
      assert.deepStrictEqual([again.created, again.row.job.id], [false, first.id])
      const other = yield* Effect.flip(admit(admissionOf(second, key("two"))))
      assert.strictEqual(other._tag === "Refusal" && other.code, "idempotency_mismatch")
      assert.strictEqual((yield* balance).reserved, first.reserved)
      assert.deepStrictEqual(yield* pending(AT + 1), [message("queued-a")])
    }).pipe(Effect.provide(freshStore))
  )

  it.effect("makes a new job and remembers that one, when the key has expired", () =>
    Effect.gen(function* () {
      yield* settle()
      const { admit } = yield* JobStore
      yield* admit(admissionOf(jobOf("a"), key("one")))
      const later = jobOf("b", { acceptedAt: AT + 1_000 })
      assert.isTrue((yield* admit(admissionOf(later, key("two", { expiresAt: AT + 5_000 })))).created)
      const again = yield* admit(admissionOf(jobOf("c", { acceptedAt: AT + 2_000 }), key("two")))
      assert.strictEqual(again.row.job.id, later.id)
    }).pipe(Effect.provide(freshStore))
  )

  it.effect("forgets expired keys, when new ones come", () =>
    Effect.gen(function* () {
      yield* settle()
      const { admit } = yield* JobStore
      for (let n = 0; n < 10; n++) {
        const idempotency = { key: `k${n}`, bodyHash: "h", expiresAt: AT + n * 10 + 5 }
        yield* admit(admissionOf(jobOf(`j${n}`, { acceptedAt: AT + n * 10 }), { idempotency }))
      }
      const { read } = yield* SqliteClient
      const kept = yield* read({ of: "Test", method: "count" }, (sql) => sql("SELECT key FROM idempotency_key").all())
      assert.strictEqual(kept.length, 1)
    }).pipe(Effect.provide(freshStore))
  )

  it.effect("refuses and changes nothing, when credits, room or the namespace lack", () =>
    Effect.gen(function* () {
      yield* settle(1_500_000n)
      const { admit, get } = yield* JobStore
      const refusal = (job: Job, openJobsMax: number) =>
        Effect.map(Effect.flip(admit(admissionOf(job, { openJobsMax }))), (error) =>
          error._tag === "Refusal" ? `${error.code}: ${error.message}` : error._tag
        )
      const dear = jobOf("dear", { reserved: Credits.make(2_000_001n) })
      assert.strictEqual(
        yield* refusal(dear, 10),
        "insufficient_credits: The request needs 2.000001 credits and 1.5 are available. " +
          "Ask for fewer output tokens, or add credits."
      )
      yield* admit(admissionOf(jobOf("a")))
      assert.match(yield* refusal(jobOf("b"), 1), /^overloaded: The namespace has 1 unfinished jobs and may have 1/)
      const stranger = jobOf("c", { namespaceId: NamespaceId.make("ns_nobody") })
      assert.match(yield* refusal(stranger, 10), /^not_found/)
      for (const job of [dear, jobOf("b"), stranger]) assert.isNull(yield* get(job.id))
      assert.strictEqual((yield* balance).available, 1_499_000n)
      assert.strictEqual(yield* (yield* Outbox).depth, 1)
      assert.strictEqual(yield* (yield* JobSurvey).open(NAMESPACE), 1)
    }).pipe(Effect.provide(freshStore))
  )

  it.effect("lets exactly as many in as the credits pay for, when many arrive at once", () =>
    Effect.gen(function* () {
      yield* settle(10_000n)
      const { admit } = yield* JobStore
      const jobs = Array.from({ length: 25 }, (_, n) => jobOf(`j${n}`))
      const exits = yield* Effect.forEach(jobs, (job) => Effect.exit(admit(admissionOf(job))), { concurrency: 25 })
      assert.strictEqual(exits.filter(Exit.isSuccess).length, 10)
      assert.deepStrictEqual(yield* balance, { granted: 10_000n, available: 0n, reserved: 10_000n, spent: 0n } as never)
      assert.deepStrictEqual(yield* (yield* CreditLedger).audit, [])
    }).pipe(Effect.provide(freshStore))
  )
})

describe("a job in the embedded store", () => {
  it.effect("keeps its credits exact and its ledger sound, when amounts are as large as they can be and many", () =>
    Effect.gen(function* () {
      yield* settle(CREDITS_MAX)
      const { admit, claim, finish } = yield* JobStore
      const reserved = Credits.make(CREDITS_MAX - 1n)
      for (let n = 0; n < 5; n++) {
        const job = jobOf(`j${n}`, { reserved })
        yield* admit(admissionOf(job))
        yield* claim(claimOf(job))
        const charge = Credits.make(n === 4 ? CREDITS_MAX - 2n : 0n)
        const done = yield* finish(finishOf(job, { charge }))
        assert.strictEqual(done.row?.charged, charge)
      }
      const expected = { granted: CREDITS_MAX, available: 2n, reserved: 0n, spent: CREDITS_MAX - 2n }
      assert.deepStrictEqual(yield* balance, expected as never)
      assert.deepStrictEqual(yield* (yield* CreditLedger).audit, [])
      const more = yield* Effect.flip(
        (yield* CreditLedger).grant({ namespaceId: NAMESPACE, amount: Credits.make(1n), reference: "more", at: AT })
      )
      assert.strictEqual(more._tag === "Refusal" && more.code, "invalid_request")
    }).pipe(Effect.provide(freshStore))
  )

  it.effect("dies and changes nothing, when the charge is above the reservation", () =>
    Effect.gen(function* () {
      yield* settle()
      const { admit, claim, finish, get } = yield* JobStore
      const job = jobOf("a")
      yield* admit(admissionOf(job))
      yield* claim(claimOf(job))
      const exit = yield* Effect.exit(finish(finishOf(job, { charge: Credits.make(1_001n) })))
      assert.isTrue(Exit.hasDies(exit))
      assert.strictEqual((yield* get(job.id))?.state, "active")
      assert.strictEqual((yield* finish(finishOf(job, { charge: Credits.make(1_000n) })))._tag, "Done")
    }).pipe(Effect.provide(freshStore))
  )

  it.effect("takes a repeat for what it is and refuses the past, when calls come late or twice", () =>
    Effect.gen(function* () {
      yield* settle()
      const { admit, claim, release, finish } = yield* JobStore
      const job = jobOf("a")
      yield* admit(admissionOf(job))
      yield* claim(claimOf(job))
      assert.strictEqual((yield* release(releaseOf(job, { epoch: 2 })))._tag, "Stale")
      assert.strictEqual((yield* release(releaseOf(job)))._tag, "Done")
      assert.strictEqual((yield* release(releaseOf(job)))._tag, "Repeated")
      assert.strictEqual((yield* release(releaseOf(job, { runAt: AT + 501 })))._tag, "Stale")
      assert.strictEqual((yield* finish(finishOf(job)))._tag, "Stale")
      yield* claim(claimOf(job, { epochSeen: 1 }))
      assert.strictEqual((yield* finish(finishOf(job)))._tag, "Stale")
      assert.strictEqual((yield* finish(finishOf(job, { epoch: 2 })))._tag, "Done")
      assert.strictEqual((yield* finish(finishOf(job, { epoch: 2 })))._tag, "Repeated")
      assert.strictEqual((yield* finish(finishOf(job, { epoch: 2, state: "failed" })))._tag, "Stale")
      assert.deepStrictEqual(yield* kinds(job), ["admitted", "claimed", "released", "claimed", "finished"])
      assert.deepStrictEqual(yield* balance, {
        granted: 1_000_000n,
        available: 999_600n,
        reserved: 0n,
        spent: 400n
      } as never)
    }).pipe(Effect.provide(freshStore))
  )

  it.effect("is announced again only when its delay is over, when it is released with one", () =>
    Effect.gen(function* () {
      yield* settle()
      const { admit, claim, release } = yield* JobStore
      const { sent } = yield* Outbox
      const job = jobOf("a")
      yield* admit(admissionOf(job))
      yield* sent([message("queued-a")])
      yield* claim(claimOf(job))
      yield* release(releaseOf(job))
      assert.deepStrictEqual(yield* pending(AT + 499), [])
      assert.deepStrictEqual(yield* pending(AT + 500), [message("again-a")])
    }).pipe(Effect.provide(freshStore))
  )

  it.effect("obeys nobody who was declared dead, when another daemon joined", () =>
    Effect.gen(function* () {
      yield* settle()
      const { admit, claim, release, finish } = yield* JobStore
      const { join } = yield* Daemons
      const [job, other] = [jobOf("a"), jobOf("b")]
      yield* admit(admissionOf(job))
      yield* admit(admissionOf(other))
      yield* claim(claimOf(job))
      const successor = DaemonId.make("daemon_two")
      yield* join(successor, AT + 100)
      const refused = yield* claim(claimOf(other))
      assert.strictEqual(refused._tag === "Refused" && refused.why, "dead")
      assert.strictEqual((yield* release(releaseOf(job)))._tag, "Stale")
      assert.strictEqual((yield* finish(finishOf(job)))._tag, "Stale")
      const adopted = yield* claim(claimOf(job, { daemonId: successor, nodeId: null, epochSeen: 1, crashed: true }))
      assert.deepInclude(adopted.row, { owner: successor, epoch: 2, attempt: 1, crashes: 1 })
      assert.deepStrictEqual(yield* kinds(job), ["admitted", "claimed", "adopted"])
      assert.isFalse(yield* (yield* Daemons).beat(DAEMON, AT + 200))
    }).pipe(Effect.provide(freshStore))
  )
})
