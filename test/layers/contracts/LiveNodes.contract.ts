/**
 * What every LiveNodes must do, whatever it is made of. Times are passed and lie ahead of the clock; names are fresh. The layer
 * also gives the Leases over the same memory, because leases outlive sessions.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer, Schema } from "effect"
import { Leases } from "../../../src/layers/Leases.ts"
import { LiveNodes } from "../../../src/layers/LiveNodes.ts"
import type { Outage } from "../../../src/layers/Outage.ts"
import { aLease, aModel, aNode, aNodeId, aSession, HOUR, inAnHour, MINUTE, serves } from "./LiveFactories.ts"

/** What a back end can be made to do; a test that needs more is left out. */
export interface LiveFaults<R> {
  readonly outage?: (on: boolean) => Effect.Effect<void, never, R>
  readonly wipe?: Effect.Effect<void, never, R>
}

const modelIn = Effect.fnUntraced(function* (
  name: string,
  now: number,
  environment: "testnet" | "mainnet" = "testnet"
) {
  const models = yield* (yield* LiveNodes).models(environment, now)
  return models.find((model) => model.name === name)
})

export const liveNodesContract = <R = never>(
  backEnd: string,
  over: Layer.Layer<LiveNodes | Leases | R, Outage>,
  faults: LiveFaults<R> = {}
) =>
  layer(over, { excludeTestServices: true })(`LiveNodes on ${backEnd}`, (it) => {
    it.effect("knows a node from its announcement until it expires", () =>
      Effect.gen(function* () {
        const nodes = yield* LiveNodes
        const now = yield* inAnHour
        const node = aNode(aModel(), { slots: 3, region: "eu" })
        yield* nodes.announce(node, now + MINUTE)

        assert.deepStrictEqual(yield* nodes.get(node.nodeId, now), { ...node, leased: 0 })
        assert.isNotNull(yield* nodes.get(node.nodeId, now + MINUTE - 1))
        assert.isNull(yield* nodes.get(node.nodeId, now + MINUTE))
      })
    )

    it.effect("says nothing of a node that was never announced", () =>
      Effect.gen(function* () {
        assert.isNull(yield* (yield* LiveNodes).get(aNodeId(), yield* inAnHour))
      })
    )

    it.effect("changes what a refresh names, keeps the rest, and moves the end", () =>
      Effect.gen(function* () {
        const nodes = yield* LiveNodes
        const now = yield* inAnHour
        const node = aNode(aModel(), { digest: "old" })
        yield* nodes.announce(node, now + MINUTE)
        const track = { firstTokenMs: 5, tokensPerSecond: 6, successRate: 0.5 }

        const known = yield* nodes.refresh(
          node.nodeId,
          node.sessionId,
          { track, healthy: false, seenAt: now + 1 },
          now + HOUR
        )

        assert.isTrue(known)
        const expected = { ...node, track, healthy: false, lastSeenAt: now + 1, leased: 0 }
        assert.deepStrictEqual(yield* nodes.get(node.nodeId, now + HOUR - 1), expected)
      })
    )

    it.effect("asks for an announcement when a session that is unknown, expired or superseded refreshes", () =>
      Effect.gen(function* () {
        const nodes = yield* LiveNodes
        const now = yield* inAnHour
        const node = aNode(aModel())
        const refresh = (sessionId = node.sessionId, seenAt = now) =>
          nodes.refresh(node.nodeId, sessionId, { seenAt }, seenAt + MINUTE)

        assert.isFalse(yield* refresh(), "unknown")
        yield* nodes.announce(node, now + MINUTE)
        assert.isFalse(yield* refresh(aSession()), "another's")
        assert.isTrue(yield* refresh())
        yield* nodes.announce({ ...node, sessionId: aSession() }, now + MINUTE)
        assert.isFalse(yield* refresh(), "superseded")
        yield* nodes.announce(node, now + MINUTE)
        assert.isFalse(yield* refresh(node.sessionId, now + MINUTE), "expired")
      })
    )

    it.effect("lets only the announced session withdraw its node", () =>
      Effect.gen(function* () {
        const nodes = yield* LiveNodes
        const now = yield* inAnHour
        const old = aNode(aModel())
        const newer = { ...old, sessionId: aSession() }
        yield* nodes.announce(old, now + MINUTE)
        yield* nodes.announce(newer, now + MINUTE)

        yield* nodes.withdraw(old.nodeId, old.sessionId)
        assert.strictEqual((yield* nodes.get(old.nodeId, now))?.sessionId, newer.sessionId)
        yield* nodes.withdraw(old.nodeId, newer.sessionId)
        assert.isNull(yield* nodes.get(old.nodeId, now))
        yield* nodes.withdraw(old.nodeId, newer.sessionId)
      })
    )

    it.effect("keeps a node's leases over a new session and over its absence", () =>
      Effect.gen(function* () {
        const nodes = yield* LiveNodes
        const leases = yield* Leases
        const now = yield* inAnHour
        const node = aNode(aModel(), { slots: 2 })
        yield* nodes.announce(node, now + MINUTE)
        yield* leases.take(aLease(node.nodeId, now + HOUR), now)

        const newer = { ...node, sessionId: aSession() }
        yield* nodes.announce(newer, now + MINUTE)
        assert.strictEqual((yield* nodes.get(node.nodeId, now))?.leased, 1)
        yield* nodes.withdraw(node.nodeId, newer.sessionId)
        yield* nodes.announce(node, now + MINUTE)
        assert.strictEqual((yield* nodes.get(node.nodeId, now))?.leased, 1)
      })
    )

    it.effect("lists who is present by id, without those who expired or left", () =>
      Effect.gen(function* () {
        const nodes = yield* LiveNodes
        const now = yield* inAnHour
        const model = aModel()
        const [a, b, soon, gone] = [aNode(model), aNode(model), aNode(model), aNode(model)]
        for (const node of [a, b, gone]) yield* nodes.announce(node, now + HOUR)
        yield* nodes.announce(soon, now + MINUTE)
        yield* nodes.withdraw(gone.nodeId, gone.sessionId)

        const listed = yield* nodes.list(now + MINUTE)

        const mine = listed.map(({ nodeId }) => nodeId).filter((id) => [a, b, soon, gone].some((n) => n.nodeId === id))
        assert.deepStrictEqual(mine, [a.nodeId, b.nodeId].toSorted())
      })
    )

    it.effect("sums a model over its active, healthy, unrestricted nodes", () =>
      Effect.gen(function* () {
        const nodes = yield* LiveNodes
        const now = yield* inAnHour
        const name = aModel()
        const a = aNode(name, { slots: 2, models: [serves(name, ["embeddings"])] })
        const b = aNode(name, { slots: 3, models: [serves(name, ["chat", "completions"])] })
        const elsewhere = aNode(name, { environment: "mainnet" })
        for (const node of [a, b, elsewhere]) yield* nodes.announce(node, now + MINUTE)
        yield* (yield* Leases).take(aLease(b.nodeId, now + HOUR), now)

        const endpoints = ["chat", "completions", "embeddings"] as const
        assert.deepStrictEqual(yield* modelIn(name, now), { name, endpoints, nodes: 2, slots: 5, leased: 1 })
        yield* nodes.refresh(b.nodeId, b.sessionId, { restrictions: ["paused"], seenAt: now }, now + MINUTE)
        assert.deepStrictEqual(yield* modelIn(name, now), { name, endpoints, nodes: 1, slots: 2, leased: 0 })
        yield* nodes.refresh(b.nodeId, b.sessionId, { restrictions: [], seenAt: now }, now + HOUR)
        assert.strictEqual((yield* modelIn(name, now))?.nodes, 2)
        assert.deepStrictEqual((yield* modelIn(name, now + MINUTE))?.endpoints, ["chat", "completions"])
        assert.isUndefined(yield* modelIn(name, now + HOUR))
      })
    )

    it.effect("names a model that only restricted nodes serve, with no nodes", () =>
      Effect.gen(function* () {
        const now = yield* inAnHour
        const name = aModel()
        yield* (yield* LiveNodes).announce(aNode(name, { restrictions: ["frozen"] }), now + MINUTE)
        assert.strictEqual((yield* modelIn(name, now))?.nodes, 0)
      })
    )

    const Node = Schema.Literals([0, 1, 2])
    const Step = Schema.Union([
      Schema.TaggedStruct("announce", {
        node: Node,
        slots: Schema.Literals([1, 2]),
        models: Schema.Literals(["a", "b", "ab"])
      }),
      Schema.TaggedStruct("restrict", { node: Node, restricted: Schema.Boolean }),
      Schema.TaggedStruct("health", { node: Node, healthy: Schema.Boolean }),
      Schema.TaggedStruct("remodel", { node: Node, models: Schema.Literals(["a", "b", "ab"]) }),
      Schema.TaggedStruct("take", { node: Node }),
      Schema.TaggedStruct("withdraw", { node: Node })
    ])
    it.effect.prop(
      "sums what the list shows, after any changes",
      { steps: Schema.Array(Step) },
      ({ steps }) =>
        Effect.gen(function* () {
          const live = yield* LiveNodes
          const leases = yield* Leases
          const now = yield* inAnHour
          const names = { a: aModel(), b: aModel() }
          const served = (models: "a" | "b" | "ab") =>
            [...models].map((letter) => serves(letter === "a" ? names.a : names.b))
          const nodes = [aNode(names.a), aNode(names.a), aNode(names.a)]
          for (const step of steps) {
            const { nodeId, sessionId } = nodes[step.node]!
            const refresh = (change: object) =>
              live.refresh(nodeId, sessionId, { ...change, seenAt: now }, now + MINUTE)
            if (step._tag === "announce") {
              yield* live.announce(
                { ...nodes[step.node]!, slots: step.slots, models: served(step.models) },
                now + MINUTE
              )
            } else if (step._tag === "restrict") yield* refresh({ restrictions: step.restricted ? ["paused"] : [] })
            else if (step._tag === "health") yield* refresh({ healthy: step.healthy })
            else if (step._tag === "remodel") yield* refresh({ models: served(step.models) })
            else if (step._tag === "take") yield* leases.take(aLease(nodeId, now + HOUR), now)
            else yield* live.withdraw(nodeId, sessionId)
          }
          const listed = yield* live.list(now)
          for (const name of [names.a, names.b]) {
            const serving = listed.filter(({ models }) => models.some((model) => model.name === name))
            const ready = serving.filter((node) => node.healthy && node.restrictions.length === 0)
            const sum = (of: (node: (typeof ready)[0]) => number) => ready.reduce((total, node) => total + of(node), 0)
            const expected =
              serving.length === 0
                ? undefined
                : {
                    name,
                    endpoints: ["chat"] as const,
                    nodes: ready.length,
                    slots: sum((n) => n.slots),
                    leased: sum((n) => n.leased)
                  }
            assert.deepStrictEqual(yield* modelIn(name, now), expected)
          }
        }),
      { arbitrary: { runs: 60 } }
    )

    it.effect.skipIf(faults.outage === undefined)(
      "fails with an Outage while it is out, and has lost nothing after",
      () =>
        Effect.gen(function* () {
          const nodes = yield* LiveNodes
          const now = yield* inAnHour
          const node = aNode(aModel())
          yield* nodes.announce(node, now + MINUTE)
          yield* faults.outage!(true)
          const { nodeId, sessionId } = node
          const failures = yield* Effect.all(
            [
              Effect.flip(nodes.announce(node, now + MINUTE)),
              Effect.flip(nodes.refresh(nodeId, sessionId, { seenAt: now }, now + MINUTE)),
              Effect.flip(nodes.withdraw(nodeId, sessionId)),
              Effect.flip(nodes.get(nodeId, now)),
              Effect.flip(nodes.list(now)),
              Effect.flip(nodes.models("testnet", now))
            ],
            { concurrency: 1 }
          ).pipe(Effect.ensuring(faults.outage!(false)))

          assert.deepStrictEqual([...new Set(failures.map(({ _tag }) => _tag))], ["Outage"])
          assert.isNotNull(yield* nodes.get(nodeId, now))
        })
    )

    it.effect.skipIf(faults.wipe === undefined)(
      "has forgotten a node and its leases when it was wiped, until the next announcement",
      () =>
        Effect.gen(function* () {
          const nodes = yield* LiveNodes
          const now = yield* inAnHour
          const name = aModel()
          const node = aNode(name)
          yield* nodes.announce(node, now + MINUTE)
          yield* (yield* Leases).take(aLease(node.nodeId, now + HOUR), now)

          yield* faults.wipe!

          assert.isFalse(yield* nodes.refresh(node.nodeId, node.sessionId, { seenAt: now }, now + MINUTE))
          assert.isUndefined(yield* modelIn(name, now))
          yield* nodes.announce(node, now + MINUTE)
          assert.strictEqual((yield* nodes.get(node.nodeId, now))?.leased, 0)
        })
    )

    it.effect("refuses a lower generation than it knows, and changes nothing by it", () =>
      Effect.gen(function* () {
        const nodes = yield* LiveNodes
        const now = yield* inAnHour
        const [name, other] = [aModel(), aModel()]
        const later = aNode(name, { generation: 3 })
        const earlier = { ...later, generation: 2, sessionId: aSession(), slots: 9, models: [serves(other)] }
        assert.isTrue(yield* nodes.announce(later, now + MINUTE))

        assert.isFalse(yield* nodes.announce(earlier, now + HOUR))

        assert.deepStrictEqual(yield* nodes.get(later.nodeId, now), { ...later, leased: 0 })
        assert.isUndefined(yield* modelIn(other, now))
        assert.isFalse(yield* nodes.refresh(earlier.nodeId, earlier.sessionId, { seenAt: now }, now + HOUR))
        yield* nodes.withdraw(earlier.nodeId, earlier.sessionId)
        assert.isTrue(yield* nodes.refresh(later.nodeId, later.sessionId, { seenAt: now }, now + MINUTE))
        assert.isNull(yield* nodes.get(later.nodeId, now + MINUTE), "the end did not move")
      })
    )

    it.effect("puts an equal generation in the place of what it knows", () =>
      Effect.gen(function* () {
        const nodes = yield* LiveNodes
        const now = yield* inAnHour
        const [name, other] = [aModel(), aModel()]
        const node = aNode(name, { generation: 3 })
        const again = { ...node, sessionId: aSession(), slots: 4, models: [serves(other)] }
        yield* nodes.announce(node, now + MINUTE)

        assert.isTrue(yield* nodes.announce(again, now + HOUR))

        assert.deepStrictEqual(yield* nodes.get(node.nodeId, now + MINUTE), { ...again, leased: 0 })
        assert.isUndefined(yield* modelIn(name, now))
        assert.strictEqual((yield* modelIn(other, now))?.slots, 4)
        assert.isFalse(yield* nodes.refresh(node.nodeId, node.sessionId, { seenAt: now }, now + HOUR))
      })
    )

    it.effect("puts a higher generation in the place of what it knows, and takes the lower one no more", () =>
      Effect.gen(function* () {
        const nodes = yield* LiveNodes
        const now = yield* inAnHour
        const node = aNode(aModel(), { generation: 3 })
        // Two digits: a comparison of texts would take it for less.
        const later = { ...node, generation: 10, sessionId: aSession() }
        yield* nodes.announce(node, now + MINUTE)

        assert.isTrue(yield* nodes.announce(later, now + MINUTE))

        assert.strictEqual((yield* nodes.get(node.nodeId, now))?.sessionId, later.sessionId)
        assert.isFalse(yield* nodes.announce(node, now + MINUTE))
        assert.isTrue(yield* nodes.refresh(later.nodeId, later.sessionId, { seenAt: now }, now + MINUTE))
      })
    )
  })
