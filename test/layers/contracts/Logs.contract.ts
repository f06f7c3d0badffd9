/** What every Logs must do: typed entries by namespace, oldest first, and never one of a neighbour. */
import { assert, it } from "@effect/vitest"
import { Arbitrary, Effect, type Layer, Schema } from "effect"
import { type LogQuery, Logs, type PlacedEntry } from "../../../src/layers/Logs.ts"
import { type LogEntry, LogType } from "../../../src/schemas/JobRecord.ts"
import {
  aLogEntry,
  freshJob,
  freshNamespace,
  freshNode,
  freshTime,
  only,
  operator
} from "../../support/recordFactories.ts"

const Few = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 }))
const Draft = Schema.Struct({ type: LogType, at: Few, job: Few, namespace: Schema.Boolean })
const Asked = Schema.Struct({
  type: Schema.optionalKey(LogType),
  job: Schema.optionalKey(Few),
  from: Schema.optionalKey(Few),
  to: Schema.optionalKey(Few),
  limit: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 12 }))
})

export const logsContract = (backEnd: string, layer: Layer.Layer<Logs, unknown>) =>
  it.layer(layer)(`Logs on ${backEnd}`, (it) => {
    it.effect("gives entries back whole, oldest first, in order of arrival within one instant", () =>
      Effect.gen(function* () {
        const logs = yield* Logs
        const namespaceId = freshNamespace()
        const at = freshTime()
        const [third, first, second] = [
          aLogEntry(namespaceId, {
            at: at + 1,
            code: "third",
            nodeId: freshNode(),
            data: { why: "a\u0000\ud800", n: [1] }
          }),
          aLogEntry(namespaceId, { at, code: "first", jobId: freshJob() }),
          aLogEntry(namespaceId, { at, code: "second" })
        ]
        yield* logs.append([third, first])
        yield* logs.append([second])

        assert.deepStrictEqual(yield* logs.query(only(namespaceId), { limit: 10 }), [first, second, third])
        assert.deepStrictEqual(yield* logs.query(only(namespaceId), { limit: 2 }), [first, second])
        assert.deepStrictEqual(yield* logs.query(operator, { from: at, to: at + 2, limit: 10 }), [first, second, third])
      })
    )

    it.effect("takes an empty batch for nothing", () =>
      Effect.gen(function* () {
        const logs = yield* Logs
        const namespaceId = freshNamespace()
        yield* logs.append([])
        assert.deepStrictEqual(yield* logs.query(only(namespaceId), { limit: 10 }), [])
      })
    )

    it.effect("S72: hides a namespace's entries from every other, also by job", () =>
      Effect.gen(function* () {
        const logs = yield* Logs
        const namespaceId = freshNamespace()
        const jobId = freshJob()
        yield* logs.append([aLogEntry(namespaceId, { jobId })])

        assert.deepStrictEqual(yield* logs.query(only(freshNamespace()), { jobId, limit: 10 }), [])
        assert.lengthOf(yield* logs.query(only(namespaceId), { jobId, limit: 10 }), 1)
        assert.lengthOf(yield* logs.query(operator, { jobId, limit: 10 }), 1)
      })
    )

    it.effect.prop(
      "S71: answers any question as a look at every entry would",
      { drafts: Arbitrary.array(Arbitrary.schema(Draft), { maxLength: 20 }), asked: Asked },
      ({ drafts, asked }) =>
        Effect.gen(function* () {
          const logs = yield* Logs
          const at = freshTime()
          const namespaces = [freshNamespace(), freshNamespace()] as const
          const jobs = Array.from({ length: 4 }, freshJob)
          const entries = drafts.map((draft, index): LogEntry =>
            aLogEntry(namespaces[draft.namespace ? 0 : 1], {
              type: draft.type,
              at: at + draft.at,
              jobId: draft.job === 0 ? null : jobs[draft.job]!,
              code: `c${index}`
            })
          )
          yield* Effect.forEach(entries, (entry) => logs.append([entry]))
          const query: LogQuery = {
            limit: asked.limit,
            from: at + (asked.from ?? 0),
            to: at + (asked.to ?? 10),
            ...(asked.type === undefined ? {} : { type: asked.type }),
            ...(asked.job === undefined ? {} : { jobId: jobs[asked.job]! })
          }
          const fold = (mine: (entry: LogEntry) => boolean) =>
            entries
              .filter(
                (entry) =>
                  mine(entry) &&
                  (query.type === undefined || entry.type === query.type) &&
                  (query.jobId === undefined || entry.jobId === query.jobId) &&
                  entry.at >= query.from! &&
                  entry.at < query.to!
              )
              .toSorted((a, b) => a.at - b.at)
              .slice(0, query.limit)

          assert.deepStrictEqual(
            yield* logs.query(operator, query),
            fold(() => true)
          )
          for (const namespaceId of namespaces) {
            assert.deepStrictEqual(
              yield* logs.query(only(namespaceId), query),
              fold((entry) => entry.namespaceId === namespaceId)
            )
          }
        })
    )

    it.effect.prop(
      "pages through every entry once and in order, also many of one instant, while others arrive",
      {
        drafts: Arbitrary.array(Arbitrary.schema(Draft), { minLength: 1, maxLength: 20 }),
        type: Schema.NullOr(LogType),
        limit: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4 })),
        mine: Schema.Boolean
      },
      ({ drafts, type, limit, mine }) =>
        Effect.gen(function* () {
          const { append, page } = yield* Logs
          const at = freshTime()
          const namespaceId = freshNamespace()
          const draw = (draft: typeof Draft.Type, code: string) =>
            aLogEntry(namespaceId, { type: draft.type, at: at + draft.at, code })
          const entries = drafts.map((draft, index) => draw(draft, `c${index}`))
          yield* append(entries)
          const seen: Array<PlacedEntry> = []
          let found: ReadonlyArray<PlacedEntry> = []
          do {
            const after = seen.at(-1)?.place
            found = yield* page(mine ? only(namespaceId) : operator, {
              from: at,
              to: at + 10,
              limit,
              ...(type === null ? {} : { type }),
              ...(after === undefined ? {} : { after })
            })
            seen.push(...found)
            if (seen.length < 40) yield* append([draw(drafts[0]!, "late")])
          } while (found.length > 0)

          assert.deepStrictEqual(
            seen.map(({ entry }) => entry).filter(({ code }) => code !== "late"),
            entries.filter((entry) => type === null || entry.type === type).toSorted((a, b) => a.at - b.at)
          )
          assert.strictEqual(new Set(seen.map(({ place }) => place.id)).size, seen.length)
        }),
      { arbitrary: { runs: 50 } }
    )
  })
