/** What every Quality must do: a trial that ended stays, evidence counts once, and a standing knows what its score is made of. */
import { assert, it } from "@effect/vitest"
import { Arbitrary, Effect, type Layer, Schema } from "effect"
import { Quality, type TrialQuery } from "../../../src/layers/Quality.ts"
import { type Score, type Trial, TrialKind, TrialState } from "../../../src/schemas/Quality.ts"
import { aTrial, anEvidence, freshNodeId, freshSetId } from "../../support/qualityFactories.ts"

const Few = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 }))
const Draft = Schema.Struct({ kind: TrialKind, state: TrialState, model: Few, set: Few, at: Few })
const Asked = Schema.Struct({
  kind: Schema.optionalKey(TrialKind),
  state: Schema.optionalKey(TrialState),
  model: Schema.optionalKey(Few),
  set: Schema.optionalKey(Few),
  limit: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 8 }))
})
const MODELS = ["sim-small", "a/b.c", "\ud800\u0000"]

const score = (at: number): Score => ({
  trials: { samples: 3.5, rate: 0.5, low: 0.2, high: 0.8 },
  checks: null,
  faults: { structure: 2 },
  at
})

export const qualityContract = (backEnd: string, layer: Layer.Layer<Quality, unknown>) =>
  it.layer(layer)(`Quality on ${backEnd}`, (it) => {
    it.effect("S49: keeps expectation, answer, score and node of a trial, and nothing changes one that has ended", () =>
      Effect.gen(function* () {
        const quality = yield* Quality
        const planned = aTrial({ expect: [{ kind: "regex", pattern: "^4$" }], setId: freshSetId(), setVersion: 3 })
        const { nodeId } = planned
        yield* quality.put(planned)
        const ended: Trial = {
          ...planned,
          state: "failed",
          endedAt: 5_000,
          answer: "five\u0000\ud800",
          answerSha256: "ab",
          checks: [{ check: "regex", ok: false }],
          score: 0
        }
        yield* quality.put(ended)
        yield* quality.put({ ...planned, state: "running" })
        yield* quality.put({ ...ended, state: "passed", score: 1 })

        assert.deepStrictEqual(yield* quality.trials({ nodeId, limit: 10 }), [ended])
      })
    )

    it.effect("lists trials without an end, oldest first", () =>
      Effect.gen(function* () {
        const quality = yield* Quality
        const nodeId = freshNodeId()
        const of = (state: Trial["state"], plannedAt: number) => aTrial({ nodeId, state, plannedAt })
        const all = [of("planned", 3), of("running", 2), of("passed", 1), of("void", 0), of("running", 1)]
        yield* Effect.forEach(all, quality.put)

        const open = yield* quality.trials({ open: 1000 })
        const ours = open.filter((trial) => trial.nodeId === nodeId)
        assert.deepStrictEqual(ours, [all[4], all[1], all[0]])
        assert.strictEqual((yield* quality.trials({ open: 1 })).length, 1)
      })
    )

    it.effect.prop(
      "answers any question as a look at every trial would",
      { drafts: Arbitrary.array(Arbitrary.schema(Draft), { maxLength: 12 }), asked: Asked },
      ({ drafts, asked }) =>
        Effect.gen(function* () {
          const quality = yield* Quality
          const nodeId = freshNodeId()
          const sets = [freshSetId(), freshSetId(), freshSetId()]
          const all = drafts.map(({ kind, state, model, set, at }) =>
            aTrial({ nodeId, kind, state, model: MODELS[model]!, setId: sets[set]!, plannedAt: at })
          )
          yield* Effect.forEach(all, quality.put)
          const { model, set, ...rest } = asked
          const query: TrialQuery = {
            ...rest,
            nodeId,
            ...(model === undefined ? {} : { model: MODELS[model]! }),
            ...(set === undefined ? {} : { setId: sets[set]! })
          }
          const expected = all
            .filter(
              (trial) =>
                (query.kind === undefined || trial.kind === query.kind) &&
                (query.state === undefined || trial.state === query.state) &&
                (query.model === undefined || trial.model === query.model) &&
                (query.setId === undefined || trial.setId === query.setId)
            )
            .toSorted((a, b) => b.plannedAt - a.plannedAt || (a.id < b.id ? 1 : -1))
            .slice(0, query.limit)
          assert.deepStrictEqual(yield* quality.trials(query), expected)
          if (query.setId !== undefined) {
            const { nodeId: _nodeId, ...bySet } = query
            assert.deepStrictEqual(yield* quality.trials(bySet), expected)
          }
        }),
      { arbitrary: { runs: 25 } }
    )

    it.effect("counts evidence once, newest first, and apart by node, model and source", () =>
      Effect.gen(function* () {
        const quality = yield* Quality
        const nodeId = freshNodeId()
        const of = (model: string, source: "trials" | "checks", at: number) =>
          anEvidence({ nodeId, model, source, at, faults: { pace: at } })
        const [old, young, check, other] = [
          of("m", "trials", 1),
          of("m", "trials", 2),
          of("m", "checks", 3),
          of("n", "trials", 4)
        ]
        yield* quality.count([old, young, check, other])
        yield* quality.count([{ ...old, passed: 100 }, young])

        assert.deepStrictEqual(yield* quality.evidence(nodeId, "m", "trials", 10), [young, old])
        assert.deepStrictEqual(yield* quality.evidence(nodeId, "m", "trials", 1), [young])
        assert.deepStrictEqual(yield* quality.evidence(nodeId, "m", "checks", 10), [check])
        assert.deepStrictEqual(yield* quality.evidence(freshNodeId(), "m", "trials", 10), [])
      })
    )

    it.effect("a standing is pending from its evidence until its score knows all of it", () =>
      Effect.gen(function* () {
        const quality = yield* Quality
        const nodeId = freshNodeId()
        const pending = Effect.map(quality.standings({ pending: true, nodeId, limit: 10 }), (found) =>
          found.map(({ model }) => model)
        )
        yield* quality.count([anEvidence({ nodeId, model: "m" }), anEvidence({ nodeId, model: "\ud800" })])
        const seen = (yield* quality.standings({ nodeId, model: "m", limit: 10 }))[0]!
        assert.isNull(seen.score)
        assert.sameMembers([...(yield* pending)], ["m", "\ud800"])
        yield* quality.count([anEvidence({ nodeId, model: "m" })])
        yield* quality.settle({ ...seen, score: score(1) })
        assert.sameMembers([...(yield* pending)], ["m", "\ud800"])

        const again = (yield* quality.standings({ nodeId, model: "m", limit: 10 }))[0]!
        assert.deepStrictEqual(again.score, score(1))
        yield* quality.settle({ ...again, score: score(2) })
        // Who looked before knows less.
        yield* quality.settle({ ...seen, score: score(3) })
        assert.deepStrictEqual(yield* pending, ["\ud800"])
        const [last] = yield* quality.standings({ nodeId, model: "m", limit: 10 })
        assert.deepStrictEqual(last?.score, score(2))
        assert.strictEqual(last?.scoredRev, last?.rev)
      })
    )

    it.effect("forgets what speaks for or against a node, and keeps its trials and other nodes'", () =>
      Effect.gen(function* () {
        const quality = yield* Quality
        const [trial, stays] = [aTrial({ state: "failed" }), anEvidence()]
        const { nodeId } = trial
        yield* quality.put(trial)
        yield* quality.count([anEvidence({ nodeId }), anEvidence({ nodeId, source: "checks" }), stays])

        assert.strictEqual(yield* quality.forget({ _tag: "Node", nodeId }), 2)
        assert.deepStrictEqual(yield* quality.standings({ nodeId, limit: 10 }), [])
        assert.deepStrictEqual(yield* quality.evidence(nodeId, "sim-small", "trials", 10), [])
        yield* quality.settle({ nodeId, model: "sim-small", rev: 9, scoredRev: 0, score: score(1) })
        assert.deepStrictEqual(yield* quality.standings({ nodeId, limit: 10 }), [])
        assert.deepStrictEqual(yield* quality.trials({ nodeId, limit: 10 }), [trial])
        assert.strictEqual((yield* quality.standings({ nodeId: stays.nodeId, limit: 10 })).length, 1)
      })
    )

    it.effect("forgets what is old, a bounded part at a time, but no trial that goes on", () =>
      Effect.gen(function* () {
        const quality = yield* Quality
        const nodeId = freshNodeId()
        // Older than anything of the other tests.
        const of = (state: Trial["state"], plannedAt: number) => aTrial({ nodeId, state, plannedAt })
        const [first, second, goesOn, young] = [of("passed", -9), of("void", -8), of("running", -9), of("passed", -5)]
        yield* Effect.forEach([first, second, goesOn, young], quality.put)
        yield* quality.count([anEvidence({ nodeId, at: -9 }), anEvidence({ nodeId, at: -5 })])

        const old = { _tag: "Before", before: -5 } as const
        assert.strictEqual(yield* quality.forget({ ...old, limit: 1 }), 2)
        assert.strictEqual(yield* quality.forget({ ...old, limit: 10 }), 1)
        assert.strictEqual(yield* quality.forget({ ...old, limit: 10 }), 0)
        assert.deepStrictEqual(yield* quality.trials({ nodeId, limit: 10 }), [young, goesOn])
        assert.strictEqual((yield* quality.evidence(nodeId, "sim-small", "trials", 10)).length, 1)
      })
    )
  })
