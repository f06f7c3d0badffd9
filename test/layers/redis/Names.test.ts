/** Names that others choose: whatever they hold, they mean themselves, and nothing that one node says hurts another. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { describe, it } from "vitest"
import { Leases } from "../../../src/layers/Leases.ts"
import { LiveNodes } from "../../../src/layers/LiveNodes.ts"
import { RateLimits } from "../../../src/layers/RateLimits.ts"
import { fromKeyText, toKeyText } from "../../../src/layers/redis/KeyText.ts"
import { aLease, aModel, aNode, HOUR, inAnHour, MINUTE, serves } from "../contracts/LiveFactories.ts"
import { alive, RedisRig, withRedis } from "./RedisRig.ts"

const NAMES = [
  "a",
  "b",
  "a:b",
  "testnet:a",
  "*",
  "?",
  "[a]",
  "{x}",
  "}",
  "{",
  "{}",
  " ",
  "a b",
  "line\r\nend",
  "line\\r\\nend",
  "\r\n$1\r\nx\r\n",
  "nul\u0000",
  "nul",
  "nul\\u0000",
  "'; return redis.call('FLUSHALL') --",
  '"',
  '\\"',
  "\\",
  "ü 漢 🦉",
  "u\u0308",
  "\u00fc",
  "\ufffd",
  "\ud800",
  "\udc00",
  "\udfff\ud800",
  "\\ud800",
  "\ud83e",
  "x".repeat(256)
]

describe("texts as keys hold them", () => {
  it("are well-formed, without control characters, and become themselves again", () => {
    for (const name of NAMES) {
      const text = toKeyText(name)
      assert.strictEqual(fromKeyText(text), name)
      assert.strictEqual(Buffer.from(text, "utf8").toString("utf8"), text)
      assert.notMatch(text, /\p{Cc}/u)
    }
    assert.strictEqual(new Set(NAMES.map(toKeyText)).size, NAMES.length)
  })
})

withRedis("names on Redis", () => {
  const rig = new RedisRig()

  it("of models are told apart, listed and leased, whatever they hold", () =>
    alive(
      rig,
      Effect.gen(function* () {
        const live = yield* LiveNodes
        const leases = yield* Leases
        const now = yield* inAnHour
        const nodes = NAMES.map((name) => aNode(name, { digest: name, region: name }))
        for (const node of nodes) assert.isTrue(yield* live.announce(node, now + HOUR))

        const listed = yield* live.models("testnet", now)
        assert.deepStrictEqual(
          listed.map(({ name }) => name),
          NAMES.toSorted((a, b) => (a < b ? -1 : 1))
        )
        assert.deepStrictEqual([...new Set(listed.map(({ nodes }) => nodes))], [1])
        for (const [at, model] of NAMES.entries()) {
          const query = { environment: "testnet", model, sampleMax: 8, except: new Set<never>(), now } as const
          const { nodes: found, ...counts } = yield* leases.candidates(query)
          assert.deepStrictEqual(found, [{ ...nodes[at]!, leased: 0 }])
          assert.deepStrictEqual(counts, { free: 1, serving: 1 })
          assert.isTrue(yield* leases.take(aLease(nodes[at]!.nodeId, now + MINUTE), now))
          assert.strictEqual((yield* leases.candidates(query)).free, 0)
        }
      })
    ))

  it("of models wake whoever waits under the name that was announced", () =>
    alive(
      rig,
      Effect.gen(function* () {
        const now = yield* inAnHour
        const capacity = yield* (yield* Leases).capacity
        const names = new Set(NAMES)
        yield* (yield* LiveNodes).announce(aNode("", { models: NAMES.map((name) => serves(name)) }), now + HOUR)
        const seen = new Set<string>()
        while (names.size > seen.size) for (const name of yield* capacity.take) seen.add(name)
        assert.deepStrictEqual(seen, names)
      })
    ))

  it("that a script could not read hurt nobody, also when their node runs out", () =>
    alive(
      rig,
      Effect.gen(function* () {
        const live = yield* LiveNodes
        const leases = yield* Leases
        const now = yield* inAnHour
        const model = aModel()
        const fine = aNode(model)
        yield* live.announce(fine, now + HOUR)
        yield* live.announce(aNode("\ud800"), now + MINUTE)

        assert.isTrue(yield* leases.take(aLease(fine.nodeId, now + HOUR), now + MINUTE))
        assert.isTrue((yield* live.models("testnet", now + MINUTE)).some(({ name }) => name === model))
      })
    ))

  it("of limits are told apart", () =>
    alive(
      rig,
      Effect.gen(function* () {
        const limits = yield* RateLimits
        const now = yield* inAnHour
        for (const name of NAMES) {
          assert.isTrue((yield* limits.take({ name, ratePerSecond: 1, burst: 1 }, now)).allowed, JSON.stringify(name))
        }
        assert.isFalse((yield* limits.take({ name: "\ud800", ratePerSecond: 1, burst: 1 }, now)).allowed)
      })
    ))
})
