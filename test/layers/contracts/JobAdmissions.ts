/** The part of the JobStore suite about admission: reserve, refuse without a trace, and take a repeat for what it is. */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { type Admission, JobStore, JobSurvey, WITHDRAWN } from "../../../src/layers/JobStore.ts"
import { Outbox } from "../../../src/layers/Outbox.ts"
import type { Refusal } from "../../../src/schemas/Refusal.ts"
import {
  aFinish,
  aJob,
  aJobId,
  anAdmission,
  aNamespaceId,
  credits,
  freshTime,
  fundedNamespace,
  MINUTE,
  queuedRow
} from "../../support/factories.ts"
import {
  admitted,
  atOnce,
  changingNothing,
  doneOf,
  entriesOf,
  type JobServices,
  messagesOf,
  purseOf,
  timesAtOnce
} from "./StateProbes.ts"

const refusalOf = <A, E, R>(body: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(body), (error) => (error as Refusal).code ?? error)

const key = (over: Partial<NonNullable<Admission["idempotency"]>> = {}) => ({
  idempotency: { key: "key", bodyHash: "body", expiresAt: 8_640_000_000_000_000, ...over }
})

export const jobAdmissions = <E>(backEnd: string, over: Layer.Layer<JobServices, E>) =>
  layer(over, { excludeTestServices: true })(`JobStore (admission) on ${backEnd}`, (it) => {
    it.effect("reserves the credits, begins the history and promises the message, when it admits", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const { id: namespaceId } = yield* fundedNamespace(100)
        const job = aJob({ namespaceId, reserved: credits(60) })
        const admission = anAdmission(job)

        const { row, created } = yield* store.admit(admission)

        assert.isTrue(created)
        assert.deepStrictEqual(row, {
          job,
          state: "queued",
          owner: null,
          epoch: 0,
          attempt: 0,
          failures: 0,
          crashes: 0,
          nodeId: null,
          runAt: job.acceptedAt,
          usage: { promptTokens: 0, outputTokens: 0 },
          charged: credits(0),
          errorCode: null,
          finishedAt: null
        })
        assert.deepStrictEqual(yield* store.get(job.id), row)
        assert.deepStrictEqual(yield* purseOf(namespaceId), [40n, 60n, 0n])
        assert.deepStrictEqual(yield* entriesOf(job), ["reserve 60"])
        assert.deepStrictEqual(yield* messagesOf(job.id), [queuedRow(job, admission.envelope)])
        assert.strictEqual(yield* (yield* JobSurvey).open(namespaceId), 1)
        const [first, ...more] = yield* store.events(job.id)
        const { kind, from, to, epoch, attempt, daemonId, at } = first!
        assert.deepStrictEqual([kind, from, to, epoch, attempt], ["admitted", null, "queued", 0, 0])
        assert.deepStrictEqual([daemonId, at, more], [null, job.acceptedAt, []])
      })
    )

    it.effect("gives every fact of a job back as it came, when its values are unusual", () =>
      Effect.gen(function* () {
        const { id: namespaceId } = yield* fundedNamespace(2n ** 62n)
        const job = aJob({
          namespaceId,
          environment: "mainnet",
          endpoint: "embeddings",
          model: `it's "a" model/of.many parts: é😀 % -- ;`,
          priority: "urgent",
          constraints: { subcloud: "sub cloud", region: "eu", gpu: "H100", vramMinMiB: 81_920 },
          reserved: credits(2n ** 53n + 1n),
          quote: {
            version: 7,
            perPromptToken: credits(2n ** 60n + 1n),
            perOutputToken: credits(3),
            perRequest: credits(0)
          },
          clientTag: "näme\n\t'",
          traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        })
        const row = yield* admitted(job)
        assert.deepStrictEqual((yield* (yield* JobStore).get(row.job.id))?.job, job)
      })
    )

    it.effect("leaves nothing behind, when it refuses for want of credits, room or a namespace", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const { id: namespaceId } = yield* fundedNamespace(100)
        yield* store.admit(anAdmission(aJob({ namespaceId, reserved: credits(10) })))
        const refused = (code: string, job: ReturnType<typeof aJob>, more: Partial<Admission>) =>
          changingNothing(
            job.id,
            job.namespaceId,
            refusalOf(store.admit(anAdmission(job, { ...more, ...key() })))
          ).pipe(Effect.map((actual) => assert.strictEqual(actual, code)))

        yield* refused("insufficient_credits", aJob({ namespaceId, reserved: credits(91) }), {})
        yield* refused("overloaded", aJob({ namespaceId, reserved: credits(1) }), { openJobsMax: 1 })
        yield* refused("not_found", aJob({ namespaceId: aNamespaceId() }), {})

        const other = anAdmission(aJob({ namespaceId, reserved: credits(90) }), key({ bodyHash: "another" }))
        assert.isTrue((yield* store.admit(other)).created, "a refused submission's key is free")
      })
    )

    it.effect("admits what costs exactly all, and what costs nothing from an empty account", () =>
      Effect.gen(function* () {
        const { id: namespaceId } = yield* fundedNamespace(60)
        yield* admitted({ namespaceId, reserved: credits(60) })
        yield* admitted({ namespaceId, reserved: credits(0) })
        assert.deepStrictEqual(yield* purseOf(namespaceId), [0n, 60n, 0n])
      })
    )

    it.effect("admits exactly ten of fifty at once, when the credits are for ten", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const { id: namespaceId } = yield* fundedNamespace(109)
        const jobs = Array.from({ length: 50 }, () => aJob({ namespaceId, reserved: credits(10) }))

        const answers = yield* atOnce(jobs.map((job) => Effect.result(store.admit(anAdmission(job)))))

        assert.strictEqual(answers.filter(({ _tag }) => _tag === "Success").length, 10)
        const codes = answers.flatMap((answer) => (answer._tag === "Failure" ? [(answer.failure as Refusal).code] : []))
        assert.deepStrictEqual([...new Set(codes)], ["insufficient_credits"])
        assert.deepStrictEqual(yield* purseOf(namespaceId), [9n, 100n, 0n])
        assert.strictEqual((yield* messagesOf(...jobs.map(({ id }) => id))).length, 10)
      })
    )

    it.effect("admits exactly as many of fifty at once as may be open, and again when some have ended", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const { id: namespaceId } = yield* fundedNamespace(1_000_000)
        const submit = () => Effect.result(store.admit(anAdmission(aJob({ namespaceId }), { openJobsMax: 3 })))
        const answers = yield* timesAtOnce(50, submit)

        const rows = answers.flatMap((answer) => (answer._tag === "Success" ? [answer.success.row] : []))
        assert.strictEqual(rows.length, 3)
        doneOf(yield* store.finish(aFinish(rows[0]!)))
        assert.deepStrictEqual([(yield* submit())._tag, (yield* submit())._tag], ["Success", "Failure"])
      })
    )

    it.effect("answers each of many at once for itself, when some are refused", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const { id: namespaceId } = yield* fundedNamespace(1_000_000)
        const jobs = Array.from({ length: 40 }, (_, n) =>
          aJob(n % 4 === 0 ? { namespaceId: aNamespaceId() } : { namespaceId })
        )
        const answers = yield* atOnce(jobs.map((job) => Effect.result(store.admit(anAdmission(job)))))
        for (const [n, answer] of answers.entries()) {
          assert.strictEqual(answer._tag, n % 4 === 0 ? "Failure" : "Success")
          if (answer._tag === "Success") assert.strictEqual(answer.success.row.job.id, jobs[n]!.id)
        }
      })
    )

    it.effect("answers with the first row and changes nothing, when one job is admitted twice", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const { id: namespaceId } = yield* fundedNamespace(100)
        const job = aJob({ namespaceId, reserved: credits(60) })
        const admission = anAdmission(job)
        const { row } = yield* store.admit(admission)
        yield* (yield* Outbox).sent([admission.envelope.id])

        const again = yield* changingNothing(job.id, namespaceId, store.admit(admission))
        const renewed = yield* changingNothing(job.id, namespaceId, store.admit(anAdmission(job)))

        assert.deepStrictEqual(
          [again, renewed],
          [
            { row, created: false },
            { row, created: false }
          ]
        )
      })
    )

    it.effect("makes one job of fifty submissions of one job id at once", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const { id: namespaceId } = yield* fundedNamespace(1_000_000)
        const job = aJob({ namespaceId })
        const answers = yield* timesAtOnce(50, () => store.admit(anAdmission(job)))
        assert.strictEqual(answers.filter(({ created }) => created).length, 1)
        assert.deepStrictEqual(yield* entriesOf(job), ["reserve 1000"])
        assert.strictEqual((yield* messagesOf(job.id)).length, 1)
      })
    )

    it.effect(
      "answers with the first job, when a key and its body come again, also after the end and without credits",
      () =>
        Effect.gen(function* () {
          const store = yield* JobStore
          const { id: namespaceId } = yield* fundedNamespace(60)
          const { row } = yield* store.admit(anAdmission(aJob({ namespaceId, reserved: credits(60) }), key()))
          const submit = Effect.suspend(() => {
            const job = aJob({ namespaceId, reserved: credits(60) })
            return changingNothing(job.id, namespaceId, store.admit(anAdmission(job, { ...key(), openJobsMax: 1 })))
          })

          assert.deepStrictEqual(yield* submit, { row, created: false })
          const ended = doneOf(yield* store.finish(aFinish(row)))
          assert.deepStrictEqual(yield* submit, { row: ended, created: false })
        })
    )

    it.effect("refuses a key with another body, and takes the same key of another namespace for another", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const [one, two] = [yield* fundedNamespace(5_000), yield* fundedNamespace(5_000)]
        yield* store.admit(anAdmission(aJob({ namespaceId: one.id }), key()))

        const misuse = aJob({ namespaceId: one.id })
        const refused = store.admit(anAdmission(misuse, key({ bodyHash: "another body" })))
        assert.strictEqual(yield* changingNothing(misuse.id, one.id, refusalOf(refused)), "idempotency_mismatch")
        const other = key({ bodyHash: "another body" })
        assert.isTrue((yield* store.admit(anAdmission(aJob({ namespaceId: two.id }), other))).created)
        assert.isTrue((yield* store.admit(anAdmission(aJob({ namespaceId: one.id }), key({ key: "k2" })))).created)
      })
    )

    it.effect("takes the key of a job that was withdrawn for a new one: its client was told to try again", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const { id: namespaceId } = yield* fundedNamespace(5_000)
        const submit = Effect.suspend(() => store.admit(anAdmission(aJob({ namespaceId }), key())))
        const { row: first } = yield* submit
        doneOf(yield* store.finish(aFinish(first, { daemonId: null, state: "failed", code: WITHDRAWN })))

        const { row: second, created } = yield* submit
        const again = yield* submit

        assert.isTrue(created)
        assert.deepStrictEqual([again.created, again.row.job.id], [false, second.job.id])
      })
    )

    it.effect("takes a key that has expired for a new one, and remembers its new job", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const { id: namespaceId } = yield* fundedNamespace(5_000)
        const acceptedAt = freshTime()
        const submit = (at: number, bodyHash: string, expiresAt: number) =>
          store.admit(anAdmission(aJob({ namespaceId, acceptedAt: at }), key({ bodyHash, expiresAt })))
        const end = acceptedAt + MINUTE
        const { row: first } = yield* submit(acceptedAt, "one", end)

        const before = yield* submit(end - 1, "one", end + MINUTE)
        const { row: second, created } = yield* submit(end + 1, "two", end + MINUTE)
        const again = yield* submit(end + 2, "two", end + MINUTE)

        assert.deepStrictEqual([before.created, before.row.job.id], [false, first.job.id])
        assert.isTrue(created)
        assert.deepStrictEqual([again.created, again.row.job.id], [false, second.job.id])
      })
    )

    it.effect("makes one job of fifty submissions with one key at once", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const { id: namespaceId } = yield* fundedNamespace(1_000_000)
        const answers = yield* timesAtOnce(50, () => store.admit(anAdmission(aJob({ namespaceId }), key())))
        assert.strictEqual(answers.filter(({ created }) => created).length, 1)
        assert.strictEqual(new Set(answers.map(({ row }) => row.job.id)).size, 1)
        assert.strictEqual(yield* (yield* JobSurvey).open(namespaceId), 1)
        assert.deepStrictEqual(yield* purseOf(namespaceId), [999_000n, 1_000n, 0n])
      })
    )

    it.effect("knows nothing of a job that was never admitted", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const id = aJobId()
        assert.isNull(yield* store.get(id))
        assert.deepStrictEqual(yield* store.events(id), [])
        assert.strictEqual(yield* (yield* JobSurvey).open(aNamespaceId()), 0)
      })
    )
  })
