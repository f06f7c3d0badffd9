/** What every Traces must do: numbers without a gap, the first writing of a number stands, and whoever was fenced out writes nothing. */
import { assert, it } from "@effect/vitest"
import { Arbitrary, Effect, type Layer, Schema } from "effect"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { Traces } from "../../../src/layers/Traces.ts"
import type { TokenEvent } from "../../../src/schemas/TokenEvent.ts"
import {
  arbitraryPiece,
  aRecord,
  freshJob,
  freshNamespace,
  only,
  operator,
  pieces
} from "../../support/recordFactories.ts"

const ALL = 1_000_000

const openJob = Effect.gen(function* () {
  const record = aRecord()
  yield* (yield* JobRecords).open(record)
  return record
})

/** What the promises say, in ten lines. */
const model = () => {
  let [fence, events]: [number, ReadonlyArray<TokenEvent>] = [0, []]
  return {
    events: () => events,
    fence: (epoch: number) => {
      fence = Math.max(fence, epoch)
    },
    append: (epoch: number, batch: ReadonlyArray<TokenEvent>) => {
      if (epoch < fence || (batch[0]?.seq ?? 0) > events.length + 1) return false
      events = [...events, ...batch.filter(({ seq }) => seq > events.length)]
      fence = epoch
      return true
    }
  }
}

const Small = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4 }))
const Step = Schema.Union([
  Schema.TaggedStruct("fence", { epoch: Small }),
  Schema.TaggedStruct("append", {
    epoch: Small,
    ahead: Schema.Int.check(Schema.isBetween({ minimum: -4, maximum: 2 })),
    count: Small
  })
])

export const tracesContract = (backEnd: string, layer: Layer.Layer<JobRecords | Traces, unknown>) =>
  it.layer(layer)(`Traces on ${backEnd}`, (it) => {
    it.effect("keeps pieces in order over batches, and reads after a number up to a limit", () =>
      Effect.gen(function* () {
        const traces = yield* Traces
        const { jobId, namespaceId } = yield* openJob
        assert.deepStrictEqual(yield* traces.fence(jobId, 1), [])

        assert.isTrue(yield* traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(1, 3) }))
        assert.isTrue(yield* traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(4, 4) }))
        assert.isTrue(yield* traces.append({ jobId, epoch: 1, attempt: 2, events: pieces(5, 9) }))

        const seqs = (after: number, limit: number) =>
          Effect.map(traces.read(only(namespaceId), jobId, after, limit), (events) => events.map(({ seq }) => seq))
        assert.deepStrictEqual(yield* seqs(0, ALL), [1, 2, 3, 4, 5, 6, 7, 8, 9])
        assert.deepStrictEqual(yield* seqs(2, 3), [3, 4, 5])
        assert.deepStrictEqual(yield* seqs(6, 2), [7, 8])
        assert.deepStrictEqual(yield* seqs(9, 5), [])
        assert.deepStrictEqual(yield* seqs(0, 0), [])
      })
    )

    it.effect("skips pieces that it has, and the first writing of a number stands", () =>
      Effect.gen(function* () {
        const traces = yield* Traces
        const { jobId } = yield* openJob
        yield* traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(1, 3, "old") })

        assert.isTrue(yield* traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(2, 5, "new") }))
        assert.isTrue(yield* traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(1, 4, "again") }))

        const texts = (yield* traces.read(operator, jobId, 0, ALL)).map(({ text }) => text)
        assert.deepStrictEqual(texts, ["old1", "old2", "old3", "new4", "new5"])
      })
    )

    it.effect("refuses a batch that leaves a gap, and stores nothing of it", () =>
      Effect.gen(function* () {
        const traces = yield* Traces
        const { jobId } = yield* openJob

        assert.isFalse(yield* traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(2, 3) }))
        assert.deepStrictEqual(yield* traces.read(operator, jobId, 0, ALL), [])
        yield* traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(1, 2) })
        assert.isFalse(yield* traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(4, 5) }))

        assert.deepStrictEqual(yield* traces.read(operator, jobId, 0, ALL), pieces(1, 2))
      })
    )

    it.effect("takes a batch with a gap inside for a bug of the writer", () =>
      Effect.gen(function* () {
        const traces = yield* Traces
        const { jobId } = yield* openJob
        const exit = yield* Effect.exit(
          traces.append({ jobId, epoch: 1, attempt: 1, events: [...pieces(1, 1), ...pieces(3, 3)] })
        )
        assert.strictEqual(exit._tag, "Failure")
        assert.deepStrictEqual(yield* traces.read(operator, jobId, 0, ALL), [])
      })
    )

    it.effect("shuts out the replaced writer, who writes nothing into its successor's stream", () =>
      Effect.gen(function* () {
        const traces = yield* Traces
        const { jobId } = yield* openJob
        yield* traces.fence(jobId, 3)
        yield* traces.append({ jobId, epoch: 3, attempt: 1, events: pieces(1, 2) })

        const handedOver = yield* traces.fence(jobId, 4)

        assert.deepStrictEqual(handedOver, pieces(1, 2))
        assert.isFalse(yield* traces.append({ jobId, epoch: 3, attempt: 1, events: pieces(3, 3, "stale") }))
        assert.isTrue(yield* traces.append({ jobId, epoch: 4, attempt: 2, events: pieces(3, 3, "mine") }))
        assert.deepStrictEqual(yield* traces.read(operator, jobId, 2, ALL), pieces(3, 3, "mine"))
      })
    )

    it.effect("keeps the fence when an older one is asked for", () =>
      Effect.gen(function* () {
        const traces = yield* Traces
        const { jobId } = yield* openJob
        yield* traces.fence(jobId, 5)
        yield* traces.fence(jobId, 4)
        assert.isFalse(yield* traces.append({ jobId, epoch: 4, attempt: 1, events: pieces(1, 1) }))
        assert.isTrue(yield* traces.append({ jobId, epoch: 5, attempt: 1, events: pieces(1, 1) }))
      })
    )

    it.effect("shows pieces to the job's namespace and to operators, and to no other namespace", () =>
      Effect.gen(function* () {
        const traces = yield* Traces
        const { jobId, namespaceId } = yield* openJob
        yield* traces.append({ jobId, epoch: 1, attempt: 1, events: pieces(1, 2) })

        assert.deepStrictEqual(yield* traces.read(only(freshNamespace()), jobId, 0, ALL), [])
        assert.deepStrictEqual(yield* traces.read(only(namespaceId), jobId, 0, ALL), pieces(1, 2))
        assert.deepStrictEqual(yield* traces.read(operator, jobId, 0, ALL), pieces(1, 2))
        assert.deepStrictEqual(yield* traces.read(only(namespaceId), freshJob(), 0, ALL), [])
      })
    )

    it.effect("carries the vectors of embeddings and any other delta", () =>
      Effect.gen(function* () {
        const traces = yield* Traces
        const { jobId } = yield* openJob
        const embedding = Array.from({ length: 1536 }, (_, index) => Math.sin(index))
        const events: ReadonlyArray<TokenEvent> = [
          { seq: 1, choice: 0, text: "", extra: { embedding }, offsetMs: 3 },
          {
            seq: 2,
            choice: 1,
            text: "",
            extra: { tool_calls: [{ id: "a\u0000", n: null }] },
            finish: "stop",
            offsetMs: 4
          }
        ]
        yield* traces.append({ jobId, epoch: 1, attempt: 1, events })
        assert.deepStrictEqual(yield* traces.read(operator, jobId, 0, ALL), events)
      })
    )

    it.effect.prop(
      "brings any piece back unchanged",
      { batch: Arbitrary.array(arbitraryPiece, { maxLength: 5 }) },
      ({ batch }) =>
        Effect.gen(function* () {
          const traces = yield* Traces
          const { jobId } = yield* openJob
          const events = batch.map((event, index) => ({ ...event, seq: index + 1 }))
          yield* traces.append({ jobId, epoch: 1, attempt: 1, events })
          assert.deepStrictEqual(yield* traces.read(operator, jobId, 0, ALL), events)
        })
    )

    it.effect.prop(
      "does as the promises say under any order of fences and appends",
      { steps: Schema.Array(Step) },
      ({ steps }) =>
        Effect.gen(function* () {
          const traces = yield* Traces
          const { jobId } = yield* openJob
          const expected = model()
          for (const [index, step] of steps.entries()) {
            if (step._tag === "fence") {
              expected.fence(step.epoch)
              assert.deepStrictEqual(yield* traces.fence(jobId, step.epoch), expected.events())
            } else {
              const first = Math.max(expected.events().length + 1 + step.ahead, 1)
              const events = pieces(first, first + step.count - 1, `${index}.`)
              const stored = yield* traces.append({ jobId, epoch: step.epoch, attempt: 1, events })
              assert.strictEqual(stored, expected.append(step.epoch, events))
            }
            assert.deepStrictEqual(yield* traces.read(operator, jobId, 0, ALL), expected.events())
          }
        })
    )
  })
