import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import {
  compareScored,
  defaultWeights,
  freshTrack,
  scoreOf,
  track,
  type Scored,
  type ScoredNode
} from "../../src/policies/NodeScore.ts"
import type { NodeTrack } from "../../src/schemas/NodeProfile.ts"
import { nodeId, presence } from "./Samples.ts"

const share = Arbitrary.map(Arbitrary.schema(Schema.Natural), (value) => (value % 1_001) / 1_000)
/** NaN and the infinities as well: a measurement of nothing must not decide who gets work. */
const wild = Arbitrary.map(
  Arbitrary.all([Arbitrary.schema(Schema.Finite), Arbitrary.schema(Schema.Natural)]),
  ([value, kind]) => [Number.NaN, Infinity, -Infinity][kind % 12] ?? value
)
const tracks = Arbitrary.all({
  firstTokenMs: Arbitrary.map(Arbitrary.all([share, share]), ([a, b]) => a * 100_000 + b),
  tokensPerSecond: Arbitrary.map(Arbitrary.all([share, share]), ([a, b]) => a * 500 + b),
  successRate: share
})
const nodes = Arbitrary.map(
  Arbitrary.all({
    track: tracks,
    slots: Arbitrary.schema(Schema.Natural),
    leased: Arbitrary.schema(Schema.Natural),
    loaded: Arbitrary.schema(Schema.Boolean)
  }),
  ({ track, slots, leased, loaded }): ScoredNode => ({
    track,
    slots: (slots % 64) + 1,
    leased: leased % ((slots % 64) + 2),
    models: [{ name: "llama", endpoints: ["chat"], canContinue: true, loaded }]
  })
)
const scored = Arbitrary.map(
  Arbitrary.all({
    score: wild,
    at: Arbitrary.schema(Schema.Natural),
    small: Arbitrary.schema(Schema.Boolean)
  }),
  // Few distinct scores and ids, so that ties happen.
  ({ score, at, small }): Scored => ({ nodeId: nodeId(at % 4), score: small ? at % 3 : score })
)

const loaded = ({ models }: ScoredNode) =>
  models.map(({ name, endpoints, canContinue }) => ({ name, endpoints, canContinue, loaded: true }))

describe("scores", () => {
  it.prop(
    "a score is a finite number, whatever was measured",
    {
      track: Arbitrary.all({ firstTokenMs: wild, tokensPerSecond: wild, successRate: wild }),
      slots: wild,
      leased: wild
    },
    ({ track, slots, leased }) => {
      const score = scoreOf({ track, slots, leased, models: [] }, "llama")
      assert.isTrue(Number.isFinite(score))
      assert.isTrue(score >= 0 && score <= 1)
    }
  )

  for (const value of [Number.MAX_VALUE, -Number.MAX_VALUE, Number.MIN_VALUE, 0, -0, Infinity, -Infinity, Number.NaN]) {
    it(`a score is finite at the edge of numbers, when everything is ${value}`, () => {
      const node = {
        track: { firstTokenMs: value, tokensPerSecond: value, successRate: value },
        slots: value,
        leased: value,
        models: []
      }
      assert.isTrue(Number.isFinite(scoreOf(node, "llama")))
      const after = track(node.track, { succeeded: true, firstTokenMs: value, tokensPerSecond: value })
      for (const part of Object.values(after)) assert.isTrue(Number.isFinite(part) && part >= 0)
    })
  }

  it.prop(
    "a node that is better in one way and equal in the others never ranks lower",
    { node: nodes, better: nodes },
    ({ node, better }) => {
      const improved: ReadonlyArray<ScoredNode> = [
        { ...node, leased: Math.min(node.leased, better.leased) },
        {
          ...node,
          track: { ...node.track, firstTokenMs: Math.min(node.track.firstTokenMs, better.track.firstTokenMs) }
        },
        {
          ...node,
          track: { ...node.track, tokensPerSecond: Math.max(node.track.tokensPerSecond, better.track.tokensPerSecond) }
        },
        { ...node, track: { ...node.track, successRate: Math.max(node.track.successRate, better.track.successRate) } },
        { ...node, models: loaded(node) }
      ]
      for (const one of improved) assert.isAtLeast(scoreOf(one, "llama"), scoreOf(node, "llama"))
    },
    { arbitrary: { runs: 1_000 } }
  )

  it("each way of being better really counts", () => {
    const node = presence({ models: [{ name: "llama", endpoints: ["chat"], canContinue: true, loaded: false }] })
    const base = scoreOf(node, "llama")
    const better: ReadonlyArray<ScoredNode> = [
      { ...node, leased: 0 },
      { ...node, track: { ...node.track, firstTokenMs: 200 } },
      { ...node, track: { ...node.track, tokensPerSecond: 60 } },
      { ...node, track: { ...node.track, successRate: 1 } },
      { ...node, models: loaded(node) }
    ]
    for (const one of better) assert.isAbove(scoreOf(one, "llama"), base)
  })

  it("only the model that is asked for counts as loaded", () => {
    const node = presence()
    assert.isAbove(scoreOf(node, "llama"), scoreOf(node, "qwen"))
  })

  it("a weight of zero silences its share", () => {
    const deaf = { ...defaultWeights, freeShare: 0 }
    assert.strictEqual(scoreOf(presence({ leased: 0 }), "llama", deaf), scoreOf(presence({ leased: 4 }), "llama", deaf))
  })
})

describe("the order of scored nodes", () => {
  it.prop(
    "it is a total order",
    { a: scored, b: scored, c: scored },
    ({ a, b, c }) => {
      assert.strictEqual(Math.sign(compareScored(a, b)) + Math.sign(compareScored(b, a)), 0, "antisymmetric")
      assert.strictEqual(compareScored(a, a), 0, "reflexive")
      if (compareScored(a, b) <= 0 && compareScored(b, c) <= 0) assert.isAtMost(compareScored(a, c), 0, "transitive")
      if (compareScored(a, b) === 0) assert.strictEqual(a.nodeId, b.nodeId, "different nodes are never equal")
    },
    { arbitrary: { runs: 2_000 } }
  )

  it.prop("the order of arrival does not matter", { all: Arbitrary.array(scored, { maxLength: 12 }) }, ({ all }) => {
    const distinct = [...new Map(all.map((one) => [one.nodeId, one])).values()]
    assert.deepStrictEqual(distinct.toReversed().toSorted(compareScored), distinct.toSorted(compareScored))
  })

  it("the higher score is first, and the lower id among equals", () => {
    const [a, b, c] = [
      { nodeId: nodeId(3), score: 0.9 },
      { nodeId: nodeId(1), score: 0.5 },
      { nodeId: nodeId(2), score: 0.5 }
    ]
    assert.deepStrictEqual([c, b, a].toSorted(compareScored), [a, b, c])
  })
})

describe("a track", () => {
  it.prop(
    "it moves towards what was seen and never past it",
    { previous: tracks, seen: tracks, succeeded: Schema.Boolean },
    ({ previous, seen, succeeded }) => {
      const after = track(previous, {
        succeeded,
        firstTokenMs: seen.firstTokenMs,
        tokensPerSecond: seen.tokensPerSecond
      })
      const between = (value: number, a: number, b: number) =>
        assert.isTrue(
          value >= Math.min(a, b) - 1e-6 && value <= Math.max(a, b) + 1e-6,
          `${value} is not between ${a} and ${b}`
        )
      between(after.firstTokenMs, previous.firstTokenMs, seen.firstTokenMs)
      between(after.tokensPerSecond, previous.tokensPerSecond, seen.tokensPerSecond)
      between(after.successRate, previous.successRate, succeeded ? 1 : 0)
    }
  )

  it("what was not measured stays as it was", () => {
    const after = track(freshTrack, { succeeded: false, firstTokenMs: null, tokensPerSecond: null })
    assert.deepStrictEqual(after, { ...freshTrack, successRate: 0.8 })
  })

  it("one bad minute fades", () => {
    const good = { succeeded: true, firstTokenMs: 100, tokensPerSecond: 50 }
    let now: NodeTrack = { firstTokenMs: 60_000, tokensPerSecond: 1, successRate: 0 }
    for (let attempt = 0; attempt < 40; attempt++) now = track(now, good)
    assert.isAbove(now.successRate, 0.99)
    assert.isBelow(now.firstTokenMs, 120)
    assert.isAbove(now.tokensPerSecond, 49)
  })
})
