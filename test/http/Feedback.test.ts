/** What customers say of answers: kept with the job, shown to them, counted for operators, who do not read their words. */
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { JobRecords } from "../../src/layers/JobRecords.ts"
import { EvaluationView, JobView } from "../../src/schemas/openai/JobView.ts"
import { aFinishedRecord, aJob, aRecord, endedRow, freshTime } from "../support/factories.ts"
import { freshNode } from "../support/recordFactories.ts"
import { ask, makeWorld, World } from "./World.ts"

const strict = { onExcessProperty: "error" } as const

/** A job of this namespace that ended under epoch 1, with its record. */
const aPastJob = (over: { readonly open?: boolean } = {}) =>
  Effect.gen(function* () {
    const { namespace, place } = yield* World
    const job = aJob({ namespaceId: namespace.id })
    place(endedRow({ job }))
    const nodeId = freshNode()
    const base = over.open === true ? aRecord() : aFinishedRecord(freshTime())
    const record = { ...base, jobId: job.id, namespaceId: namespace.id, routing: { ...base.routing, nodeId } }
    yield* (yield* JobRecords).open(record)
    return { path: `/v1/jobs/${job.id}`, jobId: job.id, nodeId, model: record.input.model }
  })

it.effect("Feedback is shown with its job, the last one counts, and operators see figures without words", () =>
  Effect.gen(function* () {
    const { control } = yield* World
    const { path, jobId, nodeId, model } = yield* aPastJob()
    const before = Schema.decodeUnknownSync(JobView, strict)((yield* ask(path)).body)
    assert.isNull(before.evaluation?.feedback)

    yield* ask(`${path}/feedback`, { body: { score: 5 } })
    const said = { score: 2, label: "wrong_facts", comment: "My own words, é" }
    const given = yield* ask(`${path}/feedback`, { body: said })
    assert.strictEqual(given.status, 200)
    const { feedback } = Schema.decodeUnknownSync(EvaluationView, strict)(given.body)
    assert.deepInclude(feedback, said)
    const after = Schema.decodeUnknownSync(JobView, strict)((yield* ask(path)).body)
    assert.deepStrictEqual(after.evaluation?.feedback, feedback)

    const seen = yield* ask(`${control}/control/jobs/${jobId}`, { key: null })
    assert.notInclude(seen.text, "My own words")
    for (const [by, group] of [
      ["node", nodeId],
      ["model", model]
    ] as const) {
      const { text } = yield* ask(`${control}/control/ratings?by=${by}&from=0`, { key: null })
      assert.deepStrictEqual(JSON.parse(text), { data: [{ group, ratings: 1, meanScore: 2, low: 1 }] })
    }
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Feedback is refused where it is none, of a job that is none, is another's, has not ended, or has left", () =>
  Effect.gen(function* () {
    const { otherKey, place, namespace } = yield* World
    const { path } = yield* aPastJob()
    for (const [body, param] of [
      [{ score: 6 }, "score"],
      [{ score: 1.5 }, "score"],
      [{}, "score"],
      [{ score: 1, label: "Two words" }, "label"],
      [{ score: 1, comment: "x".repeat(2001) }, "comment"],
      [{ score: 1, more: 1 }, "more"]
    ] as const) {
      const { status, body: problem } = yield* ask(`${path}/feedback`, { body })
      assert.deepStrictEqual([status, problem.error.param], [400, param])
    }
    const codeOf = (at: string, key?: string) =>
      Effect.map(
        ask(`${at}/feedback`, { body: { score: 1 }, ...(key === undefined ? {} : { key }) }),
        ({ status }) => status
      )
    assert.strictEqual(yield* codeOf(path, otherKey), 404)
    assert.strictEqual(yield* codeOf("/v1/jobs/job_none"), 404)
    assert.strictEqual(yield* codeOf((yield* aPastJob({ open: true })).path), 409)
    const [running, left] = [aJob({ namespaceId: namespace.id }), aJob({ namespaceId: namespace.id })]
    place(endedRow({ job: running, state: "active", finishedAt: null }))
    place(endedRow({ job: left }))
    assert.strictEqual(yield* codeOf(`/v1/jobs/${running.id}`), 409)
    assert.strictEqual(yield* codeOf(`/v1/jobs/${left.id}`), 410)
  }).pipe(Effect.provide(makeWorld()))
)
