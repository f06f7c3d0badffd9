/** What every RecordRetention must do: only what may leave is marked, a marked job is frozen, and no crash makes a pass lossy or double. */
import { assert, it } from "@effect/vitest"
import { Arbitrary, Effect, type Layer, Schema } from "effect"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { JobSearch } from "../../../src/layers/JobSearch.ts"
import { Logs } from "../../../src/layers/Logs.ts"
import { RecordRetention } from "../../../src/layers/RecordRetention.ts"
import { Traces } from "../../../src/layers/Traces.ts"
import { withoutBody } from "../../../src/schemas/Body.ts"
import { isTerminal, JobState } from "../../../src/schemas/JobState.ts"
import {
  aChange,
  aFinishedRecord,
  aLogEntry,
  archiveLine,
  aRecord,
  freshJob,
  freshNamespace,
  aTombstone,
  freshSegment,
  only,
  operator,
  pieces
} from "../../support/recordFactories.ts"

type Services = JobRecords | JobSearch | Logs | RecordRetention | Traces

export interface RetentionCapabilities {
  /** A layer over a store of its own; each time it is provided, another daemon lives over the same data. */
  readonly lives: Layer.Layer<Services, unknown>
}

const ALL = 1_000_000

/** A finished job with two pieces and two log entries. */
const finishedJob = Effect.fnUntraced(function* (over: Parameters<typeof aRecord>[0] = {}, finishedAt = 100) {
  const record = aFinishedRecord(finishedAt, over)
  yield* (yield* JobRecords).open(record)
  yield* (yield* Traces).append({ jobId: record.jobId, epoch: 1, attempt: 1, events: pieces(1, 2) })
  yield* (yield* Logs).append([
    aLogEntry(record.namespaceId, { jobId: record.jobId, at: 2, code: "second" }),
    aLogEntry(record.namespaceId, { jobId: record.jobId, at: 1, code: "first" })
  ])
  return record
})

const Draft = Schema.Struct({ state: JobState, finished: Schema.Boolean, held: Schema.Boolean, taken: Schema.Boolean })

export const recordRetentionContract = (
  backEnd: string,
  layer: Layer.Layer<Services, unknown>,
  { lives }: RetentionCapabilities
) => {
  it.layer(layer)(`RecordRetention on ${backEnd}`, (it) => {
    it.effect("offers finished jobs of the namespace that ended before an instant, oldest first", () =>
      Effect.gen(function* () {
        const retention = yield* RecordRetention
        const namespaceId = freshNamespace()
        const [late, twin, early] = [
          yield* finishedJob({ namespaceId }, 50),
          yield* finishedJob({ namespaceId, state: "failed" }, 40),
          yield* finishedJob({ namespaceId, state: "expired" }, 40)
        ]
        yield* finishedJob({ namespaceId }, 60)
        yield* finishedJob({ namespaceId, held: true }, 40)
        yield* finishedJob({ namespaceId, state: "active" }, 40)
        yield* finishedJob({ namespaceId, finishedAt: null })
        yield* finishedJob({}, 40)

        assert.deepStrictEqual(yield* retention.expired(namespaceId, 60, 10), [twin.jobId, early.jobId, late.jobId])
        assert.deepStrictEqual(yield* retention.expired(namespaceId, 60, 2), [twin.jobId, early.jobId])
        yield* retention.mark(freshSegment(), [twin.jobId])
        assert.deepStrictEqual(yield* retention.expired(namespaceId, 60, 10), [early.jobId, late.jobId])
      })
    )

    it.effect.prop(
      "marks no job that is unfinished, held or marked already, and loses count of none",
      { drafts: Arbitrary.array(Arbitrary.schema(Draft), { maxLength: 10 }) },
      ({ drafts }) =>
        Effect.gen(function* () {
          const retention = yield* RecordRetention
          const namespaceId = freshNamespace()
          const [segment, other] = [freshSegment(), freshSegment()]
          const start = yield* retention.counts
          const jobs = yield* Effect.forEach(drafts, ({ state, finished, held, taken }) =>
            Effect.map(finishedJob({ namespaceId, state, held, finishedAt: finished ? 5 : null }), ({ jobId }) => ({
              jobId,
              mayLeave: finished && !held && isTerminal(state),
              taken
            }))
          )
          const taken = jobs.filter((job) => job.taken && job.mayLeave)
          const mine = jobs.filter((job) => !job.taken && job.mayLeave)

          assert.strictEqual(
            yield* retention.mark(
              other,
              jobs.filter((job) => job.taken).map(({ jobId }) => jobId)
            ),
            taken.length
          )
          const ids = [...jobs.map(({ jobId }) => jobId), freshJob()]
          assert.strictEqual(yield* retention.mark(segment, ids), mine.length)
          assert.strictEqual(yield* retention.mark(segment, ids), mine.length)

          const read = yield* retention.read(segment)
          assert.deepStrictEqual(
            read.map(({ record }) => record.jobId),
            mine.map(({ jobId }) => jobId)
          )
          assert.deepStrictEqual(yield* retention.counts, { ...start, live: start.live + jobs.length })
          assert.strictEqual(yield* retention.prune(segment), mine.length)
          assert.strictEqual(yield* retention.prune(segment), 0)
          assert.deepStrictEqual(yield* retention.counts, {
            live: start.live + jobs.length - mine.length,
            pruned: start.pruned + mine.length
          })
          const left = yield* (yield* JobSearch).search(only(namespaceId), {}, null, 100)
          assert.lengthOf(left, jobs.length - mine.length)
          yield* retention.prune(other)
        })
    )

    it.effect("reads a segment by end and id, each job with its pieces and its entries, the same bytes each time", () =>
      Effect.gen(function* () {
        const retention = yield* RecordRetention
        const namespaceId = freshNamespace()
        const [last, first, second] = [
          yield* finishedJob({ namespaceId }, 9),
          yield* finishedJob({ namespaceId }, 8),
          yield* finishedJob({ namespaceId }, 8)
        ]
        const segment = freshSegment()
        yield* retention.mark(segment, [second.jobId, last.jobId, first.jobId])

        const once = yield* retention.read(segment)
        const again = yield* retention.read(segment)

        assert.deepStrictEqual(
          once.map(({ record }) => record),
          [first, second, last]
        )
        assert.deepStrictEqual(once[0]?.traces, pieces(1, 2))
        assert.deepStrictEqual(
          once[0]?.logs.map(({ code }) => code),
          ["first", "second"]
        )
        assert.deepStrictEqual(again.map(archiveLine), once.map(archiveLine))
      })
    )

    it.effect("freezes a marked job: whatever comes later changes no byte of its segment", () =>
      Effect.gen(function* () {
        const retention = yield* RecordRetention
        const { jobId, namespaceId } = yield* finishedJob()
        const segment = freshSegment()
        yield* retention.mark(segment, [jobId])
        const before = (yield* retention.read(segment)).map(archiveLine)

        assert.strictEqual(
          yield* (yield* JobRecords).patch(aChange(jobId, { clientTag: "late", output: null }, true)),
          "missing"
        )
        assert.strictEqual(yield* (yield* JobRecords).patch(aChange(jobId, {}, true)), "missing")
        yield* (yield* JobRecords).discard(jobId)
        assert.isFalse(yield* (yield* Traces).append({ jobId, epoch: 99, attempt: 1, events: pieces(3, 3) }))
        assert.deepStrictEqual(yield* (yield* Traces).fence(jobId, 100), pieces(1, 2))
        assert.isFalse(yield* (yield* Traces).append({ jobId, epoch: 100, attempt: 1, events: pieces(3, 3) }))
        yield* (yield* Logs).append([aLogEntry(namespaceId, { jobId, at: 0, code: "late" })])
        assert.isFalse(yield* retention.hold(jobId, true))

        assert.deepStrictEqual((yield* retention.read(segment)).map(archiveLine), before)
        assert.strictEqual(yield* retention.prune(segment), 1)
        const left = yield* (yield* Logs).query(operator, { jobId, limit: 10 })
        assert.deepStrictEqual(
          left.map(({ code }) => code),
          ["late"]
        )
      })
    )

    it.effect("deletes document, pieces and entries of the segment, and nothing else", () =>
      Effect.gen(function* () {
        const retention = yield* RecordRetention
        const namespaceId = freshNamespace()
        const [gone, stays] = [yield* finishedJob({ namespaceId }), yield* finishedJob({ namespaceId })]
        yield* (yield* Logs).append([aLogEntry(namespaceId, { code: "of no job" })])
        const segment = freshSegment()
        yield* retention.mark(segment, [gone.jobId])

        assert.strictEqual(yield* retention.prune(segment), 1)

        assert.isNull(yield* (yield* JobRecords).get(operator, gone.jobId))
        assert.deepStrictEqual(yield* (yield* Traces).read(operator, gone.jobId, 0, ALL), [])
        assert.deepStrictEqual(yield* (yield* Logs).query(operator, { jobId: gone.jobId, limit: 10 }), [])
        assert.deepStrictEqual(yield* retention.read(segment), [])
        assert.deepStrictEqual(yield* (yield* JobRecords).get(operator, stays.jobId), stays)
        assert.lengthOf(yield* (yield* Traces).read(operator, stays.jobId, 0, ALL), 2)
        assert.lengthOf(yield* (yield* Logs).query(only(namespaceId), { limit: 10 }), 3)
      })
    )

    it.effect("lets no late piece of a replaced writer back in after the job was pruned", () =>
      Effect.gen(function* () {
        const retention = yield* RecordRetention
        const { jobId } = yield* finishedJob()
        const segment = freshSegment()
        yield* retention.mark(segment, [jobId])
        yield* retention.prune(segment)

        assert.isFalse(yield* (yield* Traces).append({ jobId, epoch: 1, attempt: 1, events: pieces(3, 4) }))

        assert.deepStrictEqual(yield* (yield* Traces).read(operator, jobId, 0, ALL), [])
      })
    )

    it.effect("lets a body go before the rest: text and pieces are gone, figures stay, and nobody writes it back", () =>
      Effect.gen(function* () {
        const retention = yield* RecordRetention
        const workflow = { kind: "vector_sync", ref: "r", data: { secret: 1 } } as const
        const record = yield* finishedJob({ workflow, clientTag: "tag" })
        const { jobId, namespaceId } = record
        const segment = freshSegment()
        yield* retention.mark(segment, [jobId], "bodies")
        const [found] = yield* retention.retiring.pipe(
          Effect.map((all) => all.filter(({ segmentId }) => segmentId === segment))
        )
        assert.deepStrictEqual(found, { segmentId: segment, namespaceId, leavesAs: "bodies", count: 1 })

        assert.strictEqual(yield* retention.prune(segment, [{ jobId, tombstone: aTombstone }]), 1)
        assert.strictEqual(yield* retention.prune(segment, [{ jobId, tombstone: aTombstone }]), 0)

        const left = withoutBody(record, aTombstone)
        assert.isNull(left.input.request)
        assert.deepStrictEqual(left.output?.choices, [])
        assert.deepStrictEqual(left.output?.tokens, record.output?.tokens)
        assert.deepStrictEqual(yield* (yield* JobRecords).get(operator, jobId), left)
        assert.deepStrictEqual(yield* (yield* Traces).read(operator, jobId, 0, ALL), [])
        assert.isFalse(yield* (yield* Traces).append({ jobId, epoch: 99, attempt: 1, events: pieces(1, 2) }))
        assert.strictEqual(
          yield* (yield* JobRecords).patch(aChange(jobId, { output: record.output }, true, 9)),
          "missing"
        )
        assert.lengthOf(yield* (yield* Logs).query(operator, { jobId, limit: 10 }), 2)
        assert.deepStrictEqual(yield* (yield* JobRecords).get(operator, jobId), left)
      })
    )

    it.effect("tells jobs with a body from those without, and takes the rest of a job later", () =>
      Effect.gen(function* () {
        const retention = yield* RecordRetention
        const namespaceId = freshNamespace()
        const [bare, full] = [yield* finishedJob({ namespaceId }), yield* finishedJob({ namespaceId })]
        const [first, second] = [freshSegment(), freshSegment()]
        yield* retention.mark(first, [bare.jobId], "bodies")
        yield* retention.prune(first, [{ jobId: bare.jobId, tombstone: aTombstone }])

        assert.deepStrictEqual(yield* retention.expired(namespaceId, 1000, 10), [full.jobId])
        assert.deepStrictEqual(yield* retention.expired(namespaceId, 1000, 10, "stripped"), [bare.jobId])
        assert.strictEqual(yield* retention.mark(second, [bare.jobId], "metadata"), 1)
        const [line] = yield* retention.read(second)
        assert.deepStrictEqual([line?.traces, line?.logs.length], [[], 2])
        assert.strictEqual(yield* retention.prune(second), 1)
        assert.isNull(yield* (yield* JobRecords).get(operator, bare.jobId))
        assert.deepStrictEqual(yield* (yield* Logs).query(operator, { jobId: bare.jobId, limit: 10 }), [])
        assert.deepStrictEqual(yield* (yield* JobRecords).get(operator, full.jobId), full)
      })
    )

    it.effect("S86: takes held jobs as held alone, also those without a body", () =>
      Effect.gen(function* () {
        const retention = yield* RecordRetention
        const { jobId, namespaceId } = yield* finishedJob({ held: true })
        yield* finishedJob({ namespaceId })

        assert.deepStrictEqual(yield* retention.expired(namespaceId, 1000, 10, "held"), [jobId])
        for (const leavesAs of ["jobs", "bodies", "metadata", "erased"] as const) {
          assert.strictEqual(yield* retention.mark(freshSegment(), [jobId], leavesAs), 0)
        }
        assert.strictEqual(yield* retention.mark(freshSegment(), [jobId], "held"), 1)
      })
    )

    it.effect("holds a job back and lets it go again, and holds no unknown one", () =>
      Effect.gen(function* () {
        const retention = yield* RecordRetention
        const { jobId, namespaceId } = yield* finishedJob()

        assert.isTrue(yield* retention.hold(jobId, true))
        assert.isTrue((yield* (yield* JobRecords).get(operator, jobId))?.held)
        assert.strictEqual(yield* retention.mark(freshSegment(), [jobId]), 0)
        assert.deepStrictEqual(yield* retention.expired(namespaceId, 1000, 10), [])
        assert.isTrue(yield* retention.hold(jobId, false))
        assert.deepStrictEqual(yield* retention.expired(namespaceId, 1000, 10), [jobId])
        assert.isFalse(yield* retention.hold(freshJob(), true))
      })
    )
  })

  it.effect(`RecordRetention on ${backEnd} goes on with the same batch when the daemon dies after each step`, () =>
    Effect.gen(function* () {
      const life = <A, E>(body: Effect.Effect<A, E, Services>) => Effect.provide(body, lives, { local: true })
      const namespaceId = freshNamespace()
      const segment = freshSegment()
      const retention = Effect.flatMap(RecordRetention, Effect.succeed)
      const jobs = yield* life(Effect.forEach([1, 2, 3], (at) => finishedJob({ namespaceId }, at)))
      yield* life(
        Effect.flatMap(retention, (_) => Effect.flatMap(_.expired(namespaceId, 3, 10), (ids) => _.mark(segment, ids)))
      )
      const lines = yield* life(Effect.flatMap(retention, (_) => _.read(segment)))

      assert.deepStrictEqual(yield* life(Effect.flatMap(retention, (_) => _.retiring)), [
        { segmentId: segment, namespaceId, leavesAs: "jobs", count: 2 }
      ])
      const again = yield* life(Effect.flatMap(retention, (_) => _.read(segment)))
      assert.deepStrictEqual(again.map(archiveLine), lines.map(archiveLine))
      assert.deepStrictEqual(
        again.map(({ record }) => record.jobId),
        jobs.slice(0, 2).map(({ jobId }) => jobId)
      )
      assert.strictEqual(yield* life(Effect.flatMap(retention, (_) => _.prune(segment))), 2)
      assert.strictEqual(yield* life(Effect.flatMap(retention, (_) => _.prune(segment))), 0)
      assert.deepStrictEqual(yield* life(Effect.flatMap(retention, (_) => _.retiring)), [])
      assert.deepStrictEqual(yield* life(Effect.flatMap(retention, (_) => _.counts)), { live: 1, pruned: 2 })
    })
  )
}
