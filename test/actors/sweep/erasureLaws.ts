/** What erasure must do over any stores: the body is nowhere any more, whatever dies on the way, and what is held stays. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { TestClock } from "effect/testing"
import { Archive } from "../../../src/layers/Archive.ts"
import { Erasures } from "../../../src/layers/Erasures.ts"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { JobStore } from "../../../src/layers/JobStore.ts"
import { Namespaces } from "../../../src/layers/Namespaces.ts"
import { RecordRetention } from "../../../src/layers/RecordRetention.ts"
import { isSignedBy } from "../../../src/layers/Signatures.ts"
import { Traces } from "../../../src/layers/Traces.ts"
import { bodySha256 } from "../../../src/schemas/Body.ts"
import { ErasureId, type JobId } from "../../../src/schemas/Ids.ts"
import type { JobRecord } from "../../../src/schemas/JobRecord.ts"
import type { Namespace } from "../../../src/schemas/Namespace.ts"
import { stoneBytes } from "../../../src/schemas/Tombstone.ts"
import { aFinish, aJob, anAdmission, credits } from "../../support/factories.ts"
import { anOutput, operator } from "../../support/recordFactories.ts"
import {
  archivedOf,
  eraseAll,
  jobsIn,
  living,
  makeHouse,
  oldJob,
  pass,
  provided,
  type Stores,
  sweepAll,
  theNamespace
} from "../../support/RetentionHouse.ts"

const NOW = Date.UTC(2026, 5, 1)
export const CANARY = "canary-4f1d"

let orders = 0
const order = Effect.fnUntraced(function* (
  namespace: Pick<Namespace, "id">,
  of: { readonly jobId?: JobId; readonly clientTag?: string } = {}
) {
  const { jobId = null, clientTag = null } = of
  const id = ErasureId.make(`erasure_${++orders}`)
  const rest = { by: "tester", reason: "asked", askedAt: NOW + orders }
  yield* (yield* Erasures).order({ id, namespaceId: namespace.id, jobId, clientTag, ...rest })
  return id
})

/** The row that belongs to a record, as admission and end left it. */
const rowOf = Effect.fnUntraced(function* ({ jobId, namespaceId, clientTag, createdAt, finishedAt }: JobRecord) {
  const store = yield* JobStore
  const job = aJob({ id: jobId, namespaceId, clientTag, reserved: credits(0), acceptedAt: createdAt, deadlineAt: NOW })
  const { row } = yield* store.admit(anAdmission(job))
  yield* store.finish(aFinish(row, { daemonId: null, state: "cancelled", at: finishedAt ?? NOW }))
})

const tagOf = (jobId: JobId) =>
  Effect.map(
    Effect.flatMap(JobStore, ({ get }) => get(jobId)),
    (row) => row?.job.clientTag
  )

/** A job whose request, answer, pieces and workflow all say the word. */
export const telltale = Effect.fnUntraced(function* (
  namespace: Pick<Namespace, "id">,
  days: number,
  over: Partial<JobRecord> = {}
) {
  const choices = [{ choice: 0, text: `${CANARY} answer`, finish: "stop" as const }]
  const job = yield* oldJob(namespace, days, {
    input: {
      endpoint: "chat",
      mode: "sync",
      model: "tiny",
      requestedModel: "tiny",
      request: { messages: [{ role: "user", content: `${CANARY} question ${"long ".repeat(2_000)}` }] }
    },
    output: { ...anOutput(1, 2), choices },
    workflow: { kind: "vector_sync", ref: CANARY },
    ...over
  })
  const piece = { seq: 4, choice: 0, text: `${CANARY} piece`, offsetMs: 9 }
  yield* (yield* Traces).append({ jobId: job.jobId, epoch: 1, attempt: 1, events: [piece] })
  return job
})

const nowhere = Effect.fnUntraced(function* (namespace: Pick<Namespace, "id">, jobId: JobId) {
  const record = yield* (yield* JobRecords).get(operator, jobId)
  assert.notInclude(
    JSON.stringify(record, (_, value: unknown) => (typeof value === "bigint" ? "" : value)),
    CANARY
  )
  assert.notInclude(JSON.stringify(yield* (yield* Traces).read(operator, jobId, 0, 99)), CANARY)
  const lines = (yield* archivedOf(namespace.id)).filter(({ text }) => text.includes(jobId))
  assert.notInclude(lines.map(({ text }) => text).join(), CANARY)
  return { record, lines }
})

export const erasureLaws = (backEnd: string, stores: () => Layer.Layer<Stores, unknown>) => {
  const law = (title: string, body: Effect.Effect<void, unknown, Stores>) =>
    it.effect(title, () => Effect.andThen(TestClock.setTime(NOW), provided(stores(), body)), 120_000)

  describe(`erasure over ${backEnd}`, () => {
    law(
      "takes the body of a live job, and leaves its figures and a signed stone with the body's hash",
      Effect.gen(function* () {
        const namespace = yield* theNamespace()
        const job = yield* telltale(namespace, 1, { clientTag: "somebody" })
        yield* rowOf(job)
        const id = yield* order(namespace, { jobId: job.jobId })
        yield* eraseAll
        const { record } = yield* nowhere(namespace, job.jobId)
        assert.deepInclude({ ...record?.tombstone }, { why: "erased", sha256: bodySha256(job) })
        assert.deepStrictEqual([record?.output?.tokens, record?.clientTag], [job.output?.tokens, null])
        assert.isNull(yield* tagOf(job.jobId))
        assert.deepInclude({ ...(yield* (yield* Erasures).get(id)) }, { erased: 1, refused: 0, doneAt: NOW })
        const stone = (yield* (yield* Erasures).stone(job.jobId))!
        assert.deepInclude({ ...stone }, { sha256: bodySha256(job), erasedAt: NOW, finishedAt: job.finishedAt ?? 0 })
        assert.isTrue(isSignedBy(stone.key, stoneBytes(stone), stone.signature))
        assert.isFalse(isSignedBy(stone.key, stoneBytes({ ...stone, erasedAt: 1 }), stone.signature))
      })
    )

    law(
      "takes it out of the archive: another segment stands for the one that held it, whole, and the first is gone",
      Effect.gen(function* () {
        for (const rules of [{}, { retentionDays: 20 }]) {
          const namespace = yield* theNamespace(rules)
          const [gone, stays] = [yield* telltale(namespace, 40), yield* telltale(namespace, 41)]
          yield* sweepAll()
          const before = (yield* (yield* Archive).list).find((each) => each.namespaceId === namespace.id)
          yield* order(namespace, { jobId: gone.jobId })
          yield* eraseAll
          yield* nowhere(namespace, gone.jobId)
          const after = (yield* (yield* Archive).list).filter((each) => each.namespaceId === namespace.id)
          assert.lengthOf(after, 1)
          assert.deepInclude(after[0]!, { replaces: before!.id, count: 2, from: before!.from, to: before!.to })
          assert.strictEqual((yield* Effect.flip((yield* Archive).verify(before!.id)))._tag, "BrokenSegment")
          const lines = yield* archivedOf(namespace.id)
          const stone = yield* (yield* Erasures).stone(gone.jobId)
          assert.strictEqual(stone?.sha256, bodySha256(gone))
          assert.deepStrictEqual(lines.find(({ line }) => line.erased !== undefined)?.line.erased as unknown, stone)
          assert.include(lines.find(({ line }) => line.record?.jobId === stays.jobId)?.text, CANARY)

          // Another one of the same segment, and the same again: one segment, both gone.
          yield* order(namespace, { jobId: stays.jobId })
          yield* order(namespace, { jobId: gone.jobId })
          yield* eraseAll
          assert.notInclude((yield* archivedOf(namespace.id)).map(({ text }) => text).join(), CANARY)
          assert.lengthOf(
            (yield* (yield* Archive).list).filter((each) => each.namespaceId === namespace.id),
            1
          )
        }
      })
    )

    law(
      "of an end user or of a namespace goes on in batches over live and archived jobs, and touches nobody else's",
      Effect.gen(function* () {
        const [namespace, other] = [yield* theNamespace(), yield* theNamespace()]
        const mine: Array<JobId> = []
        const others: Array<JobId> = [(yield* telltale(other, 40, { clientTag: "anna" })).jobId]
        for (const days of [1, 2, 3, 40, 41, 100]) {
          for (const [clientTag, jobs] of [
            ["anna", mine],
            ["berta", others]
          ] as const) {
            const job = yield* telltale(namespace, days, { clientTag })
            yield* rowOf(job)
            jobs.push(job.jobId)
          }
        }
        const running = yield* telltale(namespace, 1, { clientTag: "anna", state: "active", finishedAt: null })
        yield* sweepAll({ batchMax: 2 })
        const id = yield* order(namespace, { clientTag: "anna" })
        const { erasure } = yield* makeHouse()
        yield* pass(erasure, 2)
        for (const jobId of mine) yield* nowhere(namespace, jobId)
        for (const jobId of mine) assert.isNull(yield* tagOf(jobId))
        for (const jobId of others.slice(1)) assert.strictEqual(yield* tagOf(jobId), "berta")
        const done = yield* (yield* Erasures).get(id)
        assert.deepInclude({ ...done }, { refused: 1, doneAt: NOW })
        assert.isAtLeast(done?.erased ?? 0, mine.length)
        const archived = [...(yield* archivedOf(namespace.id)), ...(yield* archivedOf(other.id))]
        for (const jobId of others) {
          const record = yield* (yield* JobRecords).get(operator, jobId)
          const lines = archived.filter(({ text }) => text.includes(jobId)).map(({ text }) => text)
          assert.include(`${JSON.stringify(record?.input)}${lines.join()}`, CANARY)
        }
        yield* order(namespace)
        yield* pass(erasure, 3)
        assert.notInclude((yield* archivedOf(namespace.id)).map(({ text }) => text).join(), CANARY)
        assert.include(JSON.stringify((yield* (yield* JobRecords).get(operator, running.jobId))?.input), CANARY)
      })
    )

    law(
      "S86: takes nothing that is under a legal hold, live or archived, and goes on when the hold is released",
      Effect.gen(function* () {
        const namespace = yield* theNamespace()
        const job = yield* telltale(namespace, 1, { held: true })
        const id = yield* order(namespace, { jobId: job.jobId })
        yield* eraseAll
        assert.deepInclude({ ...(yield* (yield* Erasures).get(id)) }, { erased: 0, refused: 1 })
        assert.deepStrictEqual(yield* (yield* JobRecords).get(operator, job.jobId), job)

        const archived = yield* telltale(namespace, 40)
        yield* sweepAll()
        yield* (yield* Namespaces).amend(namespace.id, { ...namespace.rules, held: true })
        const later = yield* order(namespace, { jobId: archived.jobId })
        yield* eraseAll
        assert.isNull((yield* (yield* Erasures).get(later))?.doneAt)
        assert.include((yield* archivedOf(namespace.id)).map(({ text }) => text).join(), CANARY)
        yield* (yield* Namespaces).amend(namespace.id, namespace.rules)
        yield* eraseAll
        yield* nowhere(namespace, archived.jobId)
      })
    )

    law(
      "waits for what retention has in its hands, and then finds it in the archive",
      Effect.gen(function* () {
        const namespace = yield* theNamespace()
        const job = yield* telltale(namespace, 40)
        const life = living()
        const { retention } = yield* makeHouse(life)
        // It dies between verification and the end of the bodies.
        for (life.killAt = 1; ; life.killAt++) {
          life.calls = 0
          yield* Effect.exit(pass(retention))
          if ((yield* (yield* RecordRetention).retiring).length > 0) break
        }
        const id = yield* order(namespace, { jobId: job.jobId })
        yield* eraseAll
        assert.isNull((yield* (yield* Erasures).get(id))?.doneAt)
        yield* sweepAll()
        yield* eraseAll
        yield* nowhere(namespace, job.jobId)
        assert.strictEqual((yield* (yield* Erasures).get(id))?.doneAt, NOW)
      })
    )

    law(
      "is finished by whoever comes next, at whichever call it died",
      Effect.gen(function* () {
        let through = false
        for (let killAt = 1; !through; killAt++) {
          for (const after of [false, true]) {
            const namespace = yield* theNamespace()
            const [live, gone, stays] = [
              yield* telltale(namespace, 1, { clientTag: "anna" }),
              yield* telltale(namespace, 40, { clientTag: "anna" }),
              yield* telltale(namespace, 41, { clientTag: "other" })
            ]
            yield* sweepAll()
            for (const job of [live, gone]) yield* rowOf(job)
            if (killAt % 2 === 0) yield* order(namespace, { clientTag: "anna" })
            else for (const { jobId } of [live, gone]) yield* order(namespace, { jobId })
            const { erasure } = yield* makeHouse({ calls: 0, killAt, after })
            through = (yield* Effect.exit(pass(erasure)))._tag === "Success"
            yield* eraseAll
            for (const { jobId } of [live, gone]) yield* nowhere(namespace, jobId)
            for (const { jobId } of [live, gone]) assert.isNull(yield* tagOf(jobId))
            const lines = yield* archivedOf(namespace.id)
            assert.deepStrictEqual(jobsIn(lines, "bodies"), [gone.jobId, stays.jobId].toSorted())
            assert.lengthOf(
              (yield* (yield* Archive).list).filter((each) => each.namespaceId === namespace.id),
              1
            )
            assert.deepStrictEqual(yield* (yield* RecordRetention).retiring, [])
            assert.deepStrictEqual(yield* (yield* Erasures).open(5), [])
          }
        }
      })
    )
  })
}
